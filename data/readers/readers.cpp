// The list of formats. Token stores (.h5) are not rows: they are opened as they are.
#include <fmt/ranges.h>

#include "data/readers/formats.h"
#include "data/readers/reader.h"
#include "distributed/core/error.h"

namespace rankwise {
namespace {

struct Format {
  std::string_view ending;
  int64_t (*read)(Lines&, const Wanted&, const Each&);
};

constexpr Format kFormats[] = {
    {".csv", read_csv},
    {".jsonl", read_jsonl},
    {".tsv", read_tsv},
    {".txt", read_txt},
};

const Format& format_of(const std::filesystem::path& file) {
  const std::string ending = file.extension();
  for (const Format& format : kFormats) {
    if (format.ending == ending) return format;
  }
  if (ending == ".h5") {
    throw input_error("{}: token stores come with `prepare`, which this version does not have yet",
                      file.string());
  }
  throw input_error("{}: unknown ending '{}'; known: {}", file.string(), ending, known_endings());
}

}  // namespace

int64_t read_rows(const std::filesystem::path& file, const std::function<bool(int64_t)>& wanted,
                  const std::function<void(Row&&)>& each) {
  const Format& format = format_of(file);
  Lines lines(file);
  const int64_t rows = format.read(lines, wanted, each);
  if (rows == 0) throw input_error("{}: no rows", file.string());
  return rows;
}

void read_rows(const std::filesystem::path& file, const std::function<void(Row&&)>& each) {
  read_rows(
      file, [](int64_t) { return true; }, each);
}

std::string known_endings() {
  std::vector<std::string_view> endings;
  for (const Format& format : kFormats) endings.push_back(format.ending);
  return fmt::format("{}", fmt::join(endings, ", "));
}

}  // namespace rankwise
