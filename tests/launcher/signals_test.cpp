// Signals to real processes: what they set, and what they end with.
#include "launcher/signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

namespace rankwise {
namespace {

// The wait status of a child that runs `body` and then exits with 0.
int status_of(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST(Signals, AskToStop) {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) {
    const int status = status_of([signal] {
      watch_signals();
      if (stop_request()) _exit(1);
      raise(signal);
      _exit(stop_request() ? 75 : 2);
    });
    ASSERT_TRUE(WIFEXITED(status)) << signal;
    EXPECT_EQ(WEXITSTATUS(status), 75) << signal;
  }
}

TEST(Signals, ASecondInterruptEndsAtOnce) {
  const int status = status_of([] {
    watch_signals();
    raise(SIGINT);
    raise(SIGINT);
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGINT);
}

TEST(Signals, OneOfAnotherKindBeforeDoesNotCount) {
  const int status = status_of([] {
    watch_signals();
    raise(SIGTERM);
    raise(SIGTERM);
    raise(SIGINT);
  });
  EXPECT_TRUE(WIFEXITED(status));
}

TEST(Signals, EndAVerbThatDoesNotWatch) {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) {
    const int status = status_of([signal] { raise(signal); });
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), signal);
  }
}

}  // namespace
}  // namespace rankwise
