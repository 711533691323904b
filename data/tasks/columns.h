// The columns of one row as a task asks for them. Every error names the file and the row.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/readers/reader.h"
#include "distributed/core/error.h"

namespace rankwise {

class Columns {
 public:
  Columns(const Row& row, const std::filesystem::path& file) : row_(row), file_(file) {}

  const Json* find(const std::string& column) const;  // nullptr where absent or null
  const Json& at(const std::string& column) const;    // Errors: kInput naming the columns there are
  const std::string& text(const std::string& column) const;
  // Whole numbers from 0 to limit - 1.
  std::vector<int32_t> ids(const std::string& column, int64_t limit) const;

  template <class... Args>
  Error error(fmt::format_string<Args...> text, Args&&... args) const {
    return input_error("{}:{}: {}", file_.string(), row_.number,
                       fmt::format(text, std::forward<Args>(args)...));
  }

 private:
  const Row& row_;
  const std::filesystem::path& file_;
};

}  // namespace rankwise
