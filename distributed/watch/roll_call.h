// Who is missing when a wait is too long. A waiting rank looks at its mates in the node's shared
// memory; where nobody there has told of progress for the limit, it asks the first rank of every
// other node, who answers for its node, from within its own wait or where it tells of progress.
// Nodes that have not answered after two seconds, and ranks without progress, are missing. A rank
// that is asked while it waits calls the roll itself, so that all who are present learn the same.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "distributed/comm/world.h"
#include "distributed/core/error.h"
#include "distributed/watch/mailbox.h"
#include "distributed/watch/status_board.h"

namespace rankwise {

class RollCall {
 public:
  // whole: that of the communicator that this one's ranks were split from, else null.
  RollCall(World world, StatusBoard board, std::unique_ptr<Mailbox> mailbox,
           std::shared_ptr<RollCall> whole = nullptr);
  ~RollCall();
  RollCall(const RollCall&) = delete;
  RollCall& operator=(const RollCall&) = delete;

  void enter_phase(const std::string& phase);
  // This rank works: cheap. Answers others where the thread that made this calls it.
  void progressed();

  void begin_wait(const Call& call);
  // To be called again and again during a wait; cheap. Throws Error(kCommunication) that names who
  // is missing, with host and phase, when a roll call has found that this wait will not end.
  void look(double limit_seconds);
  void end_wait();

  // What the roll call found that ended a wait; none: no wait has ended so.
  struct Verdict {
    int first_present = 0;  // the lowest rank
    bool a_node_is_silent = false;
  };
  const std::optional<Verdict>& verdict() const { return verdict_; }
  // Others may still be calling the roll: for so long this rank answers as one that waits.
  void stay_present(std::chrono::milliseconds time);

 private:
  using Statuses = std::map<int, RankStatus>;  // by rank

  void answer_letters();
  void take(const Letter& letter);
  Statuses of_this_node() const;
  bool due(double limit_seconds) const;
  void ask();
  void conclude(double limit_seconds);
  std::vector<std::string> missing(double limit_seconds) const;
  int first_present(double limit_seconds) const;
  bool is_stuck(int rank, const RankStatus& status, double limit_seconds) const;
  bool all_wait(double limit_seconds) const;

  World world_;
  StatusBoard board_;
  std::unique_ptr<Mailbox> mailbox_;
  std::shared_ptr<RollCall> whole_;
  std::thread::id owner_ = std::this_thread::get_id();
  std::vector<int> leaders_;  // the first rank of each node

  Call call_;                       // waited for
  std::string phase_, last_phase_;  // last_phase_: when the last collective ended
  double wait_began_ = 0, looked_ = 0, answered_ = 0, quiet_until_ = 0;
  std::optional<double> asked_;  // when, while a roll call is held
  double last_asked_ = 0;
  int64_t round_ = 0;
  bool was_asked_ = false;
  std::set<int> answering_nodes_;
  Statuses statuses_;
  std::optional<Verdict> verdict_;
};

}  // namespace rankwise
