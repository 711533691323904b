// What the ranks of a node let each other see of themselves, in memory that they share: a rank that
// is stuck or stopped needs to do nothing for its mates to know what it last did.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace rankwise {

// A collective in flight. Equal calls have equal numbers on all ranks, which tells a late rank from
// a lost one.
struct Call {
  const char* collective = "";
  int64_t number = 0;  // from 1
};

struct RankStatus {
  int64_t waits_in = 0;  // number of the collective that it waits in; 0: it computes
  std::string collective, phase;
  double seconds = 0;       // that it has waited, or that went by since it last told of progress
  double seen_seconds = 0;  // that went by since it last did anything, looking while it waits too
};

class StatusBoard {
 public:
  static size_t bytes(int ranks);
  // memory: bytes(ranks) that began as zeros, the same for all ranks of a node and alive as long as
  // `owner`. Each rank writes its own place only.
  StatusBoard(std::span<std::byte> memory, std::shared_ptr<const void> owner, int rank);

  void progressed();  // from any thread
  void enter_phase(const std::string& phase);
  void wait_in(const Call& call);
  void look();  // while it waits
  void go_on();

  RankStatus of(int rank) const;  // of a rank of this node

  // Whether a rank of this node has begun a roll call since `seconds` of this machine's clock.
  void begin_roll_call();
  bool roll_call_begun_since(double seconds) const;
  static double now();  // seconds; the same clock for all processes of the machine

 private:
  struct Place;
  struct Head;
  Place& place(int rank) const;
  Head& head() const;

  std::span<std::byte> memory_;
  std::shared_ptr<const void> owner_;
  int rank_;
};

}  // namespace rankwise
