// Where a library puts what a person should read. Libraries never print: they are handed a Log.
#pragma once

#include <fmt/format.h>

#include <string>

namespace rankwise {

class Log {
 public:
  virtual ~Log() = default;
  virtual void line(const std::string& text) = 0;  // one line for the whole job (rank 0 shows it)
  virtual void warning(const std::string& text) = 0;  // the same, marked as a warning

  template <class... Args>
  void info(fmt::format_string<Args...> text, Args&&... args) {
    line(fmt::format(text, std::forward<Args>(args)...));
  }
  template <class... Args>
  void warn(fmt::format_string<Args...> text, Args&&... args) {
    warning(fmt::format(text, std::forward<Args>(args)...));
  }
};

// Swallows everything: other ranks, and tests.
class SilentLog : public Log {
 public:
  void line(const std::string&) override {}
  void warning(const std::string&) override {}
};

}  // namespace rankwise
