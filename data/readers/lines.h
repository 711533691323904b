// A text file line by line, in bounded memory; and the check that text is UTF-8. Knows no format.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace rankwise {

class Lines {
 public:
  explicit Lines(std::filesystem::path file);  // Errors: kInput: missing, unreadable, empty

  // The next line without its '\n' (a '\r' before it stays), valid until the next call; a UTF-8
  // BOM is skipped. False at the end of the file; blank lines before the end are not returned.
  bool next(std::string_view& line);
  int64_t number() const { return number_; }  // 1-based, of the line that next() returned last
  std::string where() const;                  // "file:number", for messages
  const std::filesystem::path& file() const { return file_; }

 private:
  bool read_line(std::string_view& line);
  bool refill();

  std::filesystem::path file_;
  std::ifstream stream_;
  std::string buffer_;
  size_t begin_ = 0;  // of what is not handed out yet
  bool at_end_ = false;
  std::deque<std::string> held_;  // blank lines and the one after them
  std::string current_;
  int64_t number_ = 0;
};

std::string_view without_cr(std::string_view line);  // "a\r" → "a"
bool valid_utf8(std::string_view text);

}  // namespace rankwise
