// The formats behind read_rows, one file each, and what those with a header line share.
// Not for use outside this folder.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/readers/lines.h"
#include "data/readers/reader.h"

namespace rankwise {

using Wanted = std::function<bool(int64_t)>;  // 0-based index of a row → parse it?
using Each = std::function<void(Row&&)>;

// Each returns the number of rows in the file. Errors: kInput.
int64_t read_csv(Lines& lines, const Wanted& wanted, const Each& each);
int64_t read_jsonl(Lines& lines, const Wanted& wanted, const Each& each);
int64_t read_tsv(Lines& lines, const Wanted& wanted, const Each& each);
int64_t read_txt(Lines& lines, const Wanted& wanted, const Each& each);

// The header line of a table: the names of its columns.
class Header {
 public:
  // Errors: kInput: a name twice, invalid UTF-8.
  Header(std::vector<std::string> names, const std::filesystem::path& file);

  // number: the line where the row starts. Errors: kInput: another number of fields, invalid UTF-8.
  template <class Text>
  Row row(const std::vector<Text>& fields, int64_t number) const;

 private:
  Error error(int64_t number, const std::string& what) const;
  void check_count(size_t fields, int64_t number) const;

  std::vector<std::string> names_;
  std::filesystem::path file_;
};

extern template Row Header::row(const std::vector<std::string>&, int64_t) const;
extern template Row Header::row(const std::vector<std::string_view>&, int64_t) const;

}  // namespace rankwise
