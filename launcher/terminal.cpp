// Draws the progress bar, and finds out whether anybody can see it.
#include "launcher/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <set>

namespace rankwise {
namespace {

constexpr double kBarSeconds = 0.1, kLineSeconds = 10;  // between two of them

struct Process {
  std::string name;
  pid_t parent = 0;
};

// From /proc/<pid>/stat: "pid (name) state parent …"; the name may hold blanks and parentheses.
std::optional<Process> read_process(pid_t pid, const std::filesystem::path& proc) {
  std::ifstream stream(proc / std::to_string(pid) / "stat");
  std::string text;
  std::getline(stream, text);
  const size_t open = text.find('('), close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close + 4 >= text.size()) {
    return std::nullopt;
  }
  return Process{text.substr(open + 1, close - open - 1), std::atoi(text.c_str() + close + 4)};
}

std::optional<int> columns_of(int descriptor) {
  winsize size = {};
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return std::nullopt;
  return size.ws_col;
}

Screen screen_at(const std::filesystem::path& device) {
  const std::string name = device.string();
  Screen screen{.is_terminal = name.starts_with("/dev/pts/") || name.starts_with("/dev/tty")};
  if (!screen.is_terminal) return screen;
  const int descriptor = open(name.c_str(), O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor >= 0) {
    screen.columns = columns_of(descriptor).value_or(screen.columns);
    close(descriptor);
  }
  return screen;
}

std::string duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  const int64_t hours = whole / 3600, minutes = whole / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

// Cuts behind a whole UTF-8 character; every character counts as one column.
std::string cut(const std::string& text, int columns) {
  int seen = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const bool begins_character = (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
    if (begins_character && seen++ == columns) return text.substr(0, at);
  }
  return text;
}

Screen screen_of(int descriptor, const std::filesystem::path& proc) {
  if (const auto mpirun = mpirun_of(getpid(), proc)) {
    std::error_code unreadable;
    return screen_at(std::filesystem::read_symlink(
        proc / std::to_string(*mpirun) / "fd" / std::to_string(descriptor), unreadable));
  }
  Screen screen{.is_terminal = isatty(descriptor) == 1};
  screen.columns = columns_of(descriptor).value_or(screen.columns);
  return screen;
}

}  // namespace

std::optional<pid_t> mpirun_of(pid_t pid, const std::filesystem::path& proc) {
  static const std::set<std::string> kNames = {"mpirun", "mpiexec", "orterun", "prterun"};
  for (int depth = 0; depth < 64 && pid > 1; ++depth) {
    const auto process = read_process(pid, proc);
    if (!process) return std::nullopt;
    if (kNames.contains(process->name)) return pid;
    pid = process->parent;
  }
  return std::nullopt;
}

Screen standard_error(const std::filesystem::path& proc) { return screen_of(STDERR_FILENO, proc); }
Screen standard_output(const std::filesystem::path& proc) { return screen_of(STDOUT_FILENO, proc); }

int help_columns(int from_environment) {
  return from_environment > 0 ? from_environment : columns_of(STDOUT_FILENO).value_or(100);
}

std::string progress_line(int64_t done, int64_t total, double per_second,
                          const std::string& detail) {
  std::string text = fmt::format("{}/{}", done, total);
  if (per_second > 0) {
    text += fmt::format(", {:.3g}/s, {} left", per_second, duration((total - done) / per_second));
  }
  return detail.empty() ? text : text + " | " + detail;
}

std::string progress_bar(int64_t done, int64_t total, double per_second, const std::string& detail,
                         int columns) {
  const double share = total > 0 ? std::clamp(static_cast<double>(done) / total, 0.0, 1.0) : 0.0;
  const std::string text = progress_line(done, total, per_second, detail);
  std::string bar = fmt::format("{:3.0f}% ", std::floor(share * 100));
  if (columns >= 60) {
    const int width = columns / 5;
    bar += fmt::format("[{:.<{}}] ", std::string(static_cast<size_t>(share * width), '#'), width);
  }
  return cut(bar + text, columns - 1);  // a terminal wraps at its last column
}

Terminal::Terminal(std::ostream& out, bool bar, int columns, Seconds now)
    : out_(out), bar_(bar), columns_(columns), now_(std::move(now)) {}

double Terminal::steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Terminal::line(const std::string& text) {
  const std::lock_guard lock(mutex_);
  clear();
  out_ << text << '\n';
  if (bar_ && running_) draw();
  out_.flush();
}

void Terminal::warning(const std::string& text) { line("warning: " + text); }

void Terminal::show(int64_t done, int64_t total, const std::string& detail) {
  const std::lock_guard lock(mutex_);
  const double now = now_();
  if (!running_ || total != total_) {
    running_ = true;
    started_at_ = now;
    drawn_at_ = bar_ ? now - kLineSeconds : now;  // a bar at once, a line after 10 seconds
    first_ = done;
  }
  done_ = done, total_ = total, detail_ = detail;
  stale_ = true;
  if (now - drawn_at_ >= (bar_ ? kBarSeconds : kLineSeconds)) draw();
}

void Terminal::finish() {
  const std::lock_guard lock(mutex_);
  if (running_ && stale_ && bar_) draw();
  if (on_screen_) out_ << '\n' << std::flush;
  running_ = on_screen_ = false;
}

void Terminal::draw() {
  const double now = now_(), seconds = now - started_at_;
  const double per_second = seconds > 0 ? (done_ - first_) / seconds : 0;
  clear();
  if (bar_) {
    out_ << progress_bar(done_, total_, per_second, detail_, columns_);
  } else {
    out_ << progress_line(done_, total_, per_second, detail_) << '\n';
  }
  out_.flush();
  on_screen_ = bar_;
  stale_ = false;
  drawn_at_ = now;
}

void Terminal::clear() {
  if (on_screen_) out_ << "\r\x1b[K";
  on_screen_ = false;
}

}  // namespace rankwise
