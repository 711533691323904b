// Fields under the column names of a table's first line.
#include <fmt/ranges.h>

#include <set>

#include "data/readers/formats.h"
#include "distributed/core/error.h"

namespace rankwise {

Header::Header(std::vector<std::string> names, const std::filesystem::path& file)
    : names_(std::move(names)), file_(file) {
  std::set<std::string> seen;
  for (const auto& name : names_) {
    if (!valid_utf8(name)) throw error(1, "invalid UTF-8 in the header line");
    if (!seen.insert(name).second) {
      throw error(1, fmt::format("the header line names the column '{}' twice", name));
    }
  }
}

template <class Text>
Row Header::row(const std::vector<Text>& fields, int64_t number) const {
  check_count(fields.size(), number);
  Row row{Json::object(), number};
  for (size_t i = 0; i < names_.size(); ++i) {
    if (!valid_utf8(fields[i])) {
      throw error(number, fmt::format("invalid UTF-8 in field '{}'", names_[i]));
    }
    row.columns[names_[i]] = fields[i];
  }
  return row;
}
template Row Header::row(const std::vector<std::string>&, int64_t) const;
template Row Header::row(const std::vector<std::string_view>&, int64_t) const;

void Header::check_count(size_t fields, int64_t number) const {
  if (fields == names_.size()) return;
  const std::string missing =
      fields < names_.size() ? fmt::format("; field '{}' is missing", names_[fields]) : "";
  throw error(number, fmt::format("{} fields, but the header line has {} ({}){}", fields,
                                  names_.size(), fmt::join(names_, ", "), missing));
}

Error Header::error(int64_t number, const std::string& what) const {
  return input_error("{}:{}: {}", file_.string(), number, what);
}

}  // namespace rankwise
