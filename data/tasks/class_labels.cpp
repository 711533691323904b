// Labels are names or whole numbers; every error names the file, the row and what is known.
#include "data/tasks/class_labels.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace rankwise {

std::optional<std::string> label_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer() || value.is_boolean()) return value.dump();
  return std::nullopt;
}

bool is_fraction(const Json& value) {
  if (value.is_number_float()) return true;
  if (!value.is_string()) return false;
  const auto& text = value.get_ref<const std::string&>();
  return text.find('.') != std::string::npos && text.find_first_of("0123456789") < text.size() &&
         text.find_first_not_of("+-.0123456789eE") == std::string::npos;
}

int32_t class_of(const Columns& columns, const std::string& column, const Json& value,
                 const Labels& labels, std::optional<int64_t> count) {
  if (is_fraction(value)) {
    throw columns.error("column '{}' holds {}: --num_labels 1 makes it a regression", column,
                        value.dump());
  }
  const auto text = label_text(value);
  if (!text) {
    throw columns.error("column '{}' must be a name or a whole number, it is {}", column,
                        value.type_name());
  }
  if (const auto index = labels.index_of(*text)) return *index;
  const auto& names = labels.names();
  const auto number = whole_number(*text);
  const bool is_index = number && *number >= 0 && *number < static_cast<int64_t>(names.size());
  if (is_index && !labels.are_numbers() && columns.find("input_ids")) {
    return static_cast<int32_t>(*number);  // a ready-made row may hold the class itself
  }
  if (labels.are_numbers() && count) {
    throw columns.error("label {} in column '{}' is out of range 0..{}", *text, column, *count - 1);
  }
  const auto shown = static_cast<std::ptrdiff_t>(std::min<size_t>(names.size(), 20));
  throw columns.error("unknown label '{}' in column '{}'; known: {}", *text, column,
                      fmt::join(names.begin(), names.begin() + shown, ", "));
}

}  // namespace rankwise
