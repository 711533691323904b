// JSON Lines: one object a line, its keys the columns.
#include "data/readers/formats.h"
#include "distributed/core/error.h"

namespace rankwise {

int64_t read_jsonl(Lines& lines, const Wanted& wanted, const Each& each) {
  std::string_view line;
  int64_t rows = 0;
  for (; lines.next(line); ++rows) {
    if (!wanted(rows)) continue;
    if (!valid_utf8(line)) throw input_error("{}: invalid UTF-8", lines.where());
    Row row{parse_json(line, lines.where(), ErrorKind::kInput), lines.number()};
    if (!row.columns.is_object()) {
      throw input_error("{}: a row must be a JSON object, this is {} {}", lines.where(),
                        row.columns.is_array() ? "an" : "a", row.columns.type_name());
    }
    each(std::move(row));
  }
  return rows;
}

}  // namespace rankwise
