// The one wait loop of the backends that have something to poll, and what is said when a wait is
// too long.
#include "distributed/comm/wait.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace rankwise {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

Error hang_error(const Communicator& communicator, const Call& call) {
  const World& world = communicator.world();
  return Error(
      ErrorKind::kCommunication,
      fmt::format("rank {} of {} on host {} waited {} s in {} number {} (phase: {})", world.rank,
                  world.ranks, world.hosts[world.rank], communicator.hang_timeout_seconds(),
                  call.collective, call.number, communicator.phase()),
      "another rank is late, gone or stuck; --hang_timeout sets the limit");
}

void wait_until(const Communicator& communicator, const Call& call,
                const std::function<bool()>& done) {
  constexpr auto kSpin = 5us, kYield = 500us;
  constexpr Clock::duration kShortestSleep = 20us, kLongestSleep = 200us;
  const auto start = Clock::now();
  const std::chrono::duration<double> limit(communicator.hang_timeout_seconds());
  while (!done()) {
    const auto waited = Clock::now() - start;
    if (waited < kSpin) continue;
    if (waited > limit) throw hang_error(communicator, call);
    if (waited < kYield) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(std::clamp(waited / 16, kShortestSleep, kLongestSleep));
    }
  }
}

}  // namespace rankwise
