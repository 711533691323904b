// Its globals are the project's only ones: a signal handler has no other way to speak.
#include "launcher/signals.h"

#include <csignal>

namespace rankwise {
namespace {

std::atomic<bool> stop{false}, interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may touch it");

void ask_to_stop(int signal) {
  if (signal == SIGINT && interrupted.exchange(true)) {
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
  stop = true;
}

}  // namespace

const std::atomic<bool>& stop_request() { return stop; }

void watch_signals() {
  struct sigaction action = {};
  action.sa_handler = ask_to_stop;
  action.sa_flags = SA_RESTART;  // reads and writes under way go on
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaction(signal, &action, nullptr);
}

}  // namespace rankwise
