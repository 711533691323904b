// Every number is an atomic of its own: who reads while a rank writes may see half of a change,
// which is good enough for people and for limits of seconds.
#include "distributed/watch/status_board.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>

namespace rankwise {

// A text in shared memory, cut where it is longer.
template <size_t kWords>
class SharedText {
 public:
  void write(std::string_view text) {
    std::array<char, kWords * 8> bytes{};
    std::memcpy(bytes.data(), text.data(), std::min(text.size(), bytes.size()));
    for (size_t i = 0; i < kWords; ++i) {
      uint64_t word = 0;
      std::memcpy(&word, bytes.data() + i * 8, 8);
      words_[i].store(word, std::memory_order_relaxed);
    }
  }
  std::string read() const {
    std::array<char, kWords * 8 + 1> bytes{};
    for (size_t i = 0; i < kWords; ++i) {
      const uint64_t word = words_[i].load(std::memory_order_relaxed);
      std::memcpy(bytes.data() + i * 8, &word, 8);
    }
    return bytes.data();
  }

 private:
  std::array<std::atomic<uint64_t>, kWords> words_;
};

struct alignas(64) StatusBoard::Head {
  std::atomic<double> roll_call;
};

struct alignas(64) StatusBoard::Place {
  std::atomic<double> since;  // progress, or the begin of the wait
  std::atomic<double> looked;
  std::atomic<int64_t> waits_in;
  SharedText<2> collective;
  SharedText<12> phase;
};

size_t StatusBoard::bytes(int ranks) {
  return sizeof(Head) + sizeof(Place) * static_cast<size_t>(ranks);
}

StatusBoard::StatusBoard(std::span<std::byte> memory, std::shared_ptr<const void> owner, int rank)
    : memory_(memory), owner_(std::move(owner)), rank_(rank) {
  static_assert(std::atomic<double>::is_always_lock_free &&
                std::atomic<int64_t>::is_always_lock_free);
  progressed();
}

StatusBoard::Head& StatusBoard::head() const { return *reinterpret_cast<Head*>(memory_.data()); }

StatusBoard::Place& StatusBoard::place(int rank) const {
  return reinterpret_cast<Place*>(memory_.data() + sizeof(Head))[rank];
}

double StatusBoard::now() {
  const auto clock = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(clock).count();
}

void StatusBoard::progressed() { place(rank_).since.store(now(), std::memory_order_relaxed); }

void StatusBoard::enter_phase(const std::string& phase) {
  place(rank_).phase.write(phase);
  progressed();
}

void StatusBoard::wait_in(const Call& call) {
  progressed();
  place(rank_).collective.write(call.collective);
  place(rank_).waits_in.store(call.number, std::memory_order_relaxed);
}

void StatusBoard::look() { place(rank_).looked.store(now(), std::memory_order_relaxed); }

void StatusBoard::go_on() {
  progressed();
  place(rank_).waits_in.store(0, std::memory_order_relaxed);
}

RankStatus StatusBoard::of(int rank) const {
  const Place& its = place(rank);
  const double now = StatusBoard::now(), since = its.since.load(std::memory_order_relaxed),
               looked = its.looked.load(std::memory_order_relaxed);
  return {.waits_in = its.waits_in.load(std::memory_order_relaxed),
          .collective = its.collective.read(),
          .phase = its.phase.read(),
          .seconds = std::max(0.0, now - since),
          .seen_seconds = std::max(0.0, now - std::max(since, looked))};
}

void StatusBoard::begin_roll_call() { head().roll_call.store(now(), std::memory_order_relaxed); }

bool StatusBoard::roll_call_begun_since(double seconds) const {
  return head().roll_call.load(std::memory_order_relaxed) > seconds;
}

}  // namespace rankwise
