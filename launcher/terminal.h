// What a person sees on standard error: log lines, and a progress bar on a terminal or plain lines
// elsewhere.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <ostream>
#include <string>

#include "distributed/core/log.h"
#include "jobs/job.h"

namespace rankwise {

struct Screen {
  bool is_terminal = false;
  int columns = 100;
};

// The process id of the mpirun that started process `pid` on this host, if there is one.
std::optional<pid_t> mpirun_of(pid_t pid, const std::filesystem::path& proc = "/proc");

// Where standard error and standard output end up. Under mpirun those are mpirun's own: the ranks'
// are pipes.
Screen standard_error(const std::filesystem::path& proc = "/proc");
Screen standard_output(const std::filesystem::path& proc = "/proc");

// The width for help texts: $COLUMNS, else that of the terminal on standard output, else 100.
int help_columns(int from_environment);

// "  42% [#####.......] 530/1061, 11.8/s, 0:45 left | loss 0.43", cut at `columns`. `per_second` is
// 0 where it is not known yet.
std::string progress_bar(int64_t done, int64_t total, double per_second, const std::string& detail,
                         int columns);
// "530/1061, 11.8/s, 0:45 left | loss 0.43"
std::string progress_line(int64_t done, int64_t total, double per_second,
                          const std::string& detail);

class Terminal : public Log, public Progress {
 public:
  using Seconds = std::function<double()>;  // a clock

  // bar: whether to draw one; else a plain line at most every 10 seconds.
  Terminal(std::ostream& out, bool bar, int columns, Seconds now = steady_seconds);

  void line(const std::string& text) override;
  void warning(const std::string& text) override;
  void show(int64_t done, int64_t total, const std::string& detail) override;
  void finish() override;

  static double steady_seconds();

 private:
  void draw();
  void clear();

  std::ostream& out_;
  const bool bar_;
  const int columns_;
  const Seconds now_;
  std::mutex mutex_;  // a background thread may log

  int64_t first_ = 0, done_ = 0, total_ = 0;
  std::string detail_;
  double started_at_ = 0, drawn_at_ = 0;
  bool running_ = false, on_screen_ = false, stale_ = false;
};

}  // namespace rankwise
