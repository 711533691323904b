// Programs that answer, fail, and do not come back.
#include "launcher/command.h"

#include <gtest/gtest.h>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

using namespace std::chrono_literals;

TEST(Command, GivesBackWhatItSaysAndItsCode) {
  const CommandResult result =
      run_command({"sh", "-c", "cat; echo \"$WORD\" >&2; exit 7"}, 10s, "in\n", {"WORD=a b"});
  EXPECT_EQ(result.code, 7);
  EXPECT_EQ(result.out, "in\n");
  EXPECT_EQ(result.err, "a b\n");
}

TEST(Command, HandlesMoreThanAPipeHolds) {
  const std::string input(1 << 20, 'x');
  EXPECT_EQ(run_command({"cat"}, 10s, input).out, input);
}

TEST(Command, HasATimeLimit) {
  for (const char* script : {"sleep 60", "exec >&- ; sleep 60", "sleep 60 & sleep 60"}) {
    const auto before = std::chrono::steady_clock::now();
    EXPECT_THROW(run_command({"sh", "-c", script}, 200ms), Error) << script;
    EXPECT_LT(std::chrono::steady_clock::now() - before, 10s) << script;
  }
}

TEST(Command, IsMissing) {
  try {
    run_command({"rankwise-no-such-program"}, 1s);
    FAIL() << "ran";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMachine);
    EXPECT_NE(std::string(error.what()).find("rankwise-no-such-program"), std::string::npos);
  }
}

TEST(Command, ASignalIsACode) { EXPECT_EQ(run_command({"sh", "-c", "kill -9 $$"}, 10s).code, 137); }

}  // namespace
}  // namespace rankwise
