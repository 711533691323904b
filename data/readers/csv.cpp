// Comma-separated values as RFC 4180 has them: quoted fields may hold commas, line breaks and
// doubled quotes.
#include "data/readers/formats.h"
#include "distributed/core/error.h"

namespace rankwise {
namespace {

// The fields of one record, read from as many lines as it has.
class Record {
 public:
  // False at the end of the file.
  bool read(Lines& lines) {
    std::string_view line;
    if (!lines.next(line)) return false;
    first_line_ = lines.number();
    fields_.clear();
    while (!ends_with(line, lines)) {
      if (!lines.next(line)) {
        throw error(lines, fmt::format("field {} opens a quote that never closes", number()));
      }
      fields_.back() += '\n';
    }
    return true;
  }
  const std::vector<std::string>& fields() const { return fields_; }
  int64_t first_line() const { return first_line_; }

 private:
  // Takes one more line; false where it ends inside quotes.
  bool ends_with(std::string_view line, const Lines& lines) {
    size_t at = 0;
    if (fields_.empty()) {
      at = open_field(line, 0);
    }
    for (;;) {
      if (quoted_ && !take_quoted(line, at)) return false;
      if (!quoted_) take_plain(line, at);
      const std::string_view rest = line.substr(at);
      if (rest.empty() || rest == "\r") return true;
      if (rest[0] != ',') {
        throw error(lines, fmt::format("text after the closing quote of field {}", number()));
      }
      at = open_field(line, at + 1);
    }
  }

  size_t open_field(std::string_view line, size_t at) {
    fields_.emplace_back();
    quoted_ = at < line.size() && line[at] == '"';
    return quoted_ ? at + 1 : at;
  }

  void take_plain(std::string_view line, size_t& at) {
    const size_t comma = line.find(',', at);
    const size_t end = comma != std::string_view::npos ? comma : without_cr(line).size();
    fields_.back() = line.substr(at, end - at);
    at = end;
  }

  bool take_quoted(std::string_view line, size_t& at) {
    for (;;) {
      const size_t quote = line.find('"', at);
      fields_.back() += line.substr(at, quote - at);
      if (quote == std::string_view::npos) return false;
      at = quote + 1;
      if (at == line.size() || line[at] != '"') return true;
      fields_.back() += '"';
      ++at;
    }
  }

  size_t number() const { return fields_.size(); }
  Error error(const Lines& lines, const std::string& what) const {
    return input_error("{}:{}: {}", lines.file().string(), first_line_, what);
  }

  std::vector<std::string> fields_;
  bool quoted_ = false;  // the field being read
  int64_t first_line_ = 0;
};

}  // namespace

int64_t read_csv(Lines& lines, const Wanted& wanted, const Each& each) {
  Record record;
  if (!record.read(lines)) return 0;
  const Header header(record.fields(), lines.file());
  int64_t rows = 0;
  for (; record.read(lines); ++rows) {
    if (wanted(rows)) each(header.row(record.fields(), record.first_line()));
  }
  return rows;
}

}  // namespace rankwise
