// The one wait loop of the backends that have something to poll.
#include "distributed/comm/wait.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "distributed/watch/roll_call.h"

namespace rankwise {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

Error alone_too_long(const Communicator& communicator, const Call& call) {
  const World& world = communicator.world();
  return communication_error("rank {} of {} on host {} waited {} s in {} number {} (phase: {})",
                             world.rank, world.ranks, world.hosts[world.rank],
                             communicator.hang_timeout_seconds(), call.collective, call.number,
                             communicator.phase());
}

// MPI libraries take a step or two of a collective's many at each look: with one look a sleep, a
// sum would sleep once for each message.
bool looks_find(const std::function<bool()>& done) {
  constexpr int kLooks = 4;
  for (int look = 0; look < kLooks; ++look) {
    if (done()) return true;
  }
  return false;
}

}  // namespace

void wait_until(const Communicator& communicator, const Call& call,
                const std::function<bool()>& done) {
  constexpr auto kSpin = 5us, kYield = 500us;
  constexpr Clock::duration kShortestSleep = 20us, kLongestSleep = 200us;
  const auto start = Clock::now();
  RollCall* const roll_call =
      communicator.roll_call().get();  // null: one rank, or ranks that come together
  if (roll_call) roll_call->begin_wait(call);
  while (!looks_find(done)) {
    const auto waited = Clock::now() - start;
    if (waited < kSpin) continue;
    if (waited < kYield) {
      sched_yield();
    } else {
      const double limit = communicator.hang_timeout_seconds();
      if (roll_call) {
        roll_call->look(limit);
      } else if (waited > std::chrono::duration<double>(limit)) {
        throw alone_too_long(communicator, call);
      }
      std::this_thread::sleep_for(std::clamp(waited / 64, kShortestSleep, kLongestSleep));
    }
  }
  if (roll_call) roll_call->end_wait();
}

}  // namespace rankwise
