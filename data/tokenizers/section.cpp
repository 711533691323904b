// Typed access to parts of a JSON file, see section.h.
#include "data/tokenizers/section.h"

#include <fmt/format.h>

namespace rankwise {

Section::Section(const Json& json, std::string file, std::string path)
    : json_(&json), file_(std::move(file)), path_(std::move(path)) {}

bool Section::has(const std::string& name) const {
  if (!json_->is_object()) throw error("must be an object");
  const auto found = json_->find(name);
  return found != json_->end() && !found->is_null();
}

Section Section::at(const std::string& name) const {
  const std::string path = path_.empty() ? name : path_ + "." + name;
  if (!has(name)) throw model_error("{}: {} is missing", file_, path);
  return Section((*json_)[name], file_, path);
}

std::vector<Section> Section::items(const std::string& name) const {
  const Section array = at(name);
  if (!array.json_->is_array()) throw array.error("must be a list");
  std::vector<Section> items;
  for (const Json& item : *array.json_) {
    items.push_back(Section(item, file_, fmt::format("{}[{}]", array.path_, items.size())));
  }
  return items;
}

std::string Section::text(const std::string& name) const { return at(name).as_text(); }

std::string Section::text(const std::string& name, const std::string& otherwise) const {
  return has(name) ? text(name) : otherwise;
}

std::optional<bool> Section::boolean(const std::string& name) const {
  if (!has(name)) return std::nullopt;
  const Section value = at(name);
  if (!value.json_->is_boolean()) throw value.error("must be true or false");
  return value.json_->get<bool>();
}

bool Section::boolean(const std::string& name, bool otherwise) const {
  return boolean(name).value_or(otherwise);
}

int64_t Section::integer(const std::string& name, int64_t least, int64_t most) const {
  return at(name).as_integer(least, most);
}

int64_t Section::as_integer(int64_t least, int64_t most) const {
  const bool fits = json_->is_number_integer() &&
                    (!json_->is_number_unsigned() || json_->get<uint64_t>() <= uint64_t(INT64_MAX));
  const int64_t value = fits ? json_->get<int64_t>() : 0;
  if (!fits || value < least || value > most) {
    throw error(fmt::format("must be an integer from {} to {}", least, most));
  }
  return value;
}

std::string Section::as_text() const {
  if (!json_->is_string()) throw error("must be a text");
  return json_->get<std::string>();
}

Error Section::error(const std::string& what) const {
  return model_error("{}: {}{}{}", file_, path_, path_.empty() ? "" : " ", what);
}

}  // namespace rankwise
