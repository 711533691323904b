// Tab-separated values: a header line, then rows. A quote is a character like any other.
#include "data/readers/formats.h"

namespace rankwise {
namespace {

void split(std::string_view line, std::vector<std::string_view>& fields) {
  fields.clear();
  for (size_t tab; (tab = line.find('\t')) != std::string_view::npos;) {
    fields.push_back(line.substr(0, tab));
    line.remove_prefix(tab + 1);
  }
  fields.push_back(line);
}

}  // namespace

int64_t read_tsv(Lines& lines, const Wanted& wanted, const Each& each) {
  std::string_view line;
  if (!lines.next(line)) return 0;
  std::vector<std::string_view> fields;
  split(without_cr(line), fields);
  const Header header({fields.begin(), fields.end()}, lines.file());
  int64_t rows = 0;
  for (; lines.next(line); ++rows) {
    if (!wanted(rows)) continue;
    split(without_cr(line), fields);
    each(header.row(fields, lines.number()));
  }
  return rows;
}

}  // namespace rankwise
