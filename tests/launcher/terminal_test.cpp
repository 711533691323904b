// The bytes that a person sees, against a clock of our own; and where they end up, in a made-up
// /proc.
#include "launcher/terminal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace rankwise {
namespace {

TEST(Progress, SaysRateAndTimeLeft) {
  EXPECT_EQ(progress_line(530, 1061, 11.8, "loss 0.43"), "530/1061, 11.8/s, 0:45 left | loss 0.43");
  EXPECT_EQ(progress_line(0, 10, 0, ""), "0/10");
  EXPECT_EQ(progress_line(1, 7201, 1, ""), "1/7201, 1/s, 2:00:00 left");
  EXPECT_EQ(progress_line(1, 61, 0.5, ""), "1/61, 0.5/s, 2:00 left");
}

TEST(Progress, TheBarFillsAndFits) {
  EXPECT_EQ(progress_bar(5, 10, 1, "x", 60), " 50% [######......] 5/10, 1/s, 0:05 left | x");
  EXPECT_EQ(progress_bar(10, 10, 1, "", 60), "100% [############] 10/10, 1/s, 0:00 left");
  EXPECT_EQ(progress_bar(0, 0, 0, "", 60), "  0% [............] 0/0");
  EXPECT_EQ(progress_bar(5, 10, 1, "a long detail", 20), " 50% 5/10, 1/s, 0:0");
  EXPECT_EQ(progress_bar(5, 10, 0, "äöü", 16), " 50% 5/10 | äöü");
  EXPECT_EQ(progress_bar(5, 10, 0, "äöü", 15), " 50% 5/10 | äö");
}

struct Shown {
  std::ostringstream out;
  double now = 100;
  Terminal terminal;
  explicit Shown(bool bar) : terminal(out, bar, 60, [this] { return now; }) {}
  std::string take() {
    const std::string text = out.str();
    out.str("");
    return text;
  }
};

TEST(TerminalWithABar, RedrawsAtMostTenTimesASecond) {
  Shown shown(true);
  shown.terminal.show(0, 10, "");
  EXPECT_EQ(shown.take(), "  0% [............] 0/10");
  shown.now += 0.05;
  shown.terminal.show(1, 10, "");
  EXPECT_EQ(shown.take(), "");
  shown.now += 0.95;
  shown.terminal.show(5, 10, "");
  EXPECT_EQ(shown.take(), "\r\x1b[K 50% [######......] 5/10, 5/s, 0:01 left");
}

TEST(TerminalWithABar, ClearsItBeforeALogLineAndDrawsItAgain) {
  Shown shown(true);
  shown.terminal.show(0, 10, "");
  shown.take();
  shown.terminal.warning("odd");
  EXPECT_EQ(shown.take(), "\r\x1b[Kwarning: odd\n  0% [............] 0/10");
  shown.now += 0.01;
  shown.terminal.show(10, 10, "");
  shown.terminal.finish();
  EXPECT_EQ(shown.take(), "\r\x1b[K100% [############] 10/10, 1e+03/s, 0:00 left\n");
  shown.terminal.line("after");
  EXPECT_EQ(shown.take(), "after\n");
}

TEST(TerminalWithABar, CountsTheRateFromWhereItBegan) {
  Shown shown(true);
  shown.terminal.show(100, 120, "");  // a resumed run
  shown.take();
  shown.now += 2;
  shown.terminal.show(110, 120, "");
  EXPECT_EQ(shown.take(), "\r\x1b[K 91% [###########.] 110/120, 5/s, 0:02 left");
}

TEST(TerminalWithoutABar, WritesALineEveryTenSeconds) {
  Shown shown(false);
  shown.terminal.show(0, 100, "");
  shown.now += 9.9;
  shown.terminal.show(9, 100, "");
  EXPECT_EQ(shown.take(), "");
  shown.now += 0.1;
  shown.terminal.show(10, 100, "loss 1");
  EXPECT_EQ(shown.take(), "10/100, 1/s, 1:30 left | loss 1\n");
  shown.terminal.line("text");
  shown.terminal.finish();
  EXPECT_EQ(shown.take(), "text\n");
}

class Proc : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(root_); }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void add(pid_t pid, const std::string& name, pid_t parent, const std::string& error_device) {
    const auto folder = root_ / std::to_string(pid);
    std::filesystem::create_directories(folder / "fd");
    std::ofstream(folder / "stat") << pid << " (" << name << ") S " << parent << " 1 1 0 -1 0";
    std::filesystem::create_symlink(error_device, folder / "fd" / "2");
  }
  const std::filesystem::path root_ =
      std::filesystem::temp_directory_path() / ("rankwise_proc_" + std::to_string(getpid()));
};

TEST_F(Proc, FindsMpirunAboveAWrapper) {
  add(50, "rankwise", 40, "pipe:[1]");
  add(40, "odd ) name (", 30, "pipe:[1]");
  add(30, "orterun", 20, "/dev/pts/3");
  add(20, "bash", 1, "/dev/pts/3");
  EXPECT_EQ(mpirun_of(50, root_), 30);
  EXPECT_EQ(mpirun_of(20, root_), std::nullopt);
  EXPECT_EQ(mpirun_of(99, root_), std::nullopt);
}

TEST_F(Proc, LooksAtTheDescriptorOfMpirun) {
  add(getpid(), "rankwise", 1000001, "/dev/pts/7");
  add(1000001, "mpirun", 1, "/dev/pts/999999");  // a terminal, though one that cannot be asked
  EXPECT_TRUE(standard_error(root_).is_terminal);
  EXPECT_EQ(standard_error(root_).columns, 100);
  std::filesystem::remove_all(root_ / "1000001");
  add(1000001, "mpirun", 1, "/home/user/job.log");
  EXPECT_FALSE(standard_error(root_).is_terminal);
}

}  // namespace
}  // namespace rankwise
