// Plain text: every line a row with the one column "text".
#include "data/readers/formats.h"
#include "distributed/core/error.h"

namespace rankwise {

int64_t read_txt(Lines& lines, const Wanted& wanted, const Each& each) {
  std::string_view line;
  int64_t rows = 0;
  for (; lines.next(line); ++rows) {
    if (!wanted(rows)) continue;
    if (!valid_utf8(line)) throw input_error("{}: invalid UTF-8", lines.where());
    each(Row{{{"text", without_cr(line)}}, lines.number()});
  }
  return rows;
}

}  // namespace rankwise
