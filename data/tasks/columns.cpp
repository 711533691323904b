// Typed look-ups in a row.
#include "data/tasks/columns.h"

#include <fmt/ranges.h>

namespace rankwise {

const Json* Columns::find(const std::string& column) const {
  const auto found = row_.columns.find(column);
  return found == row_.columns.end() || found->is_null() ? nullptr : &*found;
}

const Json& Columns::at(const std::string& column) const {
  if (const Json* value = find(column)) return *value;
  if (row_.columns.contains(column)) throw error("column '{}' is null", column);
  std::vector<std::string> names;
  for (const auto& item : row_.columns.items()) names.push_back(item.key());
  throw error("no column '{}'; there are: {}", column, fmt::join(names, ", "));
}

const std::string& Columns::text(const std::string& column) const {
  const Json& value = at(column);
  if (!value.is_string()) {
    throw error("column '{}' must be a text, it is {}: {}", column, value.type_name(),
                value.dump().substr(0, 60));
  }
  return value.get_ref<const std::string&>();
}

std::vector<int32_t> Columns::ids(const std::string& column, int64_t limit) const {
  const Json& value = at(column);
  if (!value.is_array()) {
    throw error("column '{}' must be a list of whole numbers, it is {}", column, value.type_name());
  }
  std::vector<int32_t> ids;
  ids.reserve(value.size());
  for (const Json& id : value) {
    if (!id.is_number_integer()) {
      throw error("column '{}', entry {}: {} is not a whole number", column, ids.size(),
                  id.dump().substr(0, 60));
    }
    const bool huge = id.is_number_unsigned() && id.get<uint64_t>() >= static_cast<uint64_t>(limit);
    if (huge || id.get<int64_t>() < 0) {
      throw error("column '{}', entry {}: {} is out of range 0..{}", column, ids.size(), id.dump(),
                  limit - 1);
    }
    ids.push_back(static_cast<int32_t>(id.get<int64_t>()));
  }
  return ids;
}

}  // namespace rankwise
