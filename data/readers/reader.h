// Rows of a dataset file. One file a format; the list is in readers.cpp.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "peft/hub/json.h"

namespace rankwise {

// A row: an object of columns. tsv and csv give texts; jsonl gives what the line says; txt gives
// {"text": line}.
struct Row {
  Json columns;
  int64_t number = 0;  // 1-based line of the file where the row starts, as an editor shows it
};

// Calls `each` for every row, in file order. tsv and csv have a header line (csv: RFC 4180, quotes,
// embedded newlines; both: \r\n accepted, UTF-8 BOM skipped). Blank lines at the end are no rows.
// Errors: kInput naming file, row, field: missing or empty file, no rows, too few or too many
// fields, broken JSON, invalid UTF-8, an unknown ending.
void read_rows(const std::filesystem::path& file, const std::function<void(Row&&)>& each);

// The same for a share of the rows: `wanted` says by 0-based index which; the others are passed
// over without being parsed or checked. Returns the number of rows in the file.
int64_t read_rows(const std::filesystem::path& file, const std::function<bool(int64_t)>& wanted,
                  const std::function<void(Row&&)>& each);

// The endings that read_rows knows: ".csv, .jsonl, .tsv, .txt".
std::string known_endings();

}  // namespace rankwise
