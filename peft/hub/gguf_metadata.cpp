// Typed access to the metadata of a GGUF file.
#include "peft/hub/gguf.h"

namespace rankwise {
namespace {

std::string kind_of(const Json& value) {
  if (value.is_array()) return fmt::format("a list of {}", value.size());
  if (value.is_string()) return "a text";
  return value.dump();
}

bool is_integer(const Json& value) {
  return value.is_number_integer() &&
         !(value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX);
}

}  // namespace

Error GgufMetadata::error(const std::string& key, const std::string& what) const {
  return model_error("{}: '{}' {}", file_.string(), key, what);
}

bool GgufMetadata::add(const std::string& key, Json value) {
  return values_.emplace(key, std::move(value)).second;
}

const Json& GgufMetadata::at(const std::string& key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) throw error(key, "is missing");
  return found->second;
}

const Json& GgufMetadata::list(const std::string& key) const {
  const Json& value = at(key);
  if (!value.is_array()) throw error(key, fmt::format("is {}, not a list", kind_of(value)));
  return value;
}

std::string GgufMetadata::text(const std::string& key) const {
  const Json& value = at(key);
  if (!value.is_string()) throw error(key, fmt::format("is {}, not a text", kind_of(value)));
  return value.get<std::string>();
}

int64_t GgufMetadata::integer(const std::string& key) const {
  const Json& value = at(key);
  if (!is_integer(value)) throw error(key, fmt::format("is {}, not an integer", kind_of(value)));
  return value.get<int64_t>();
}

double GgufMetadata::number(const std::string& key) const {
  const Json& value = at(key);
  if (!value.is_number()) throw error(key, fmt::format("is {}, not a number", kind_of(value)));
  return value.get<double>();
}

bool GgufMetadata::boolean(const std::string& key) const {
  const Json& value = at(key);
  if (!value.is_boolean())
    throw error(key, fmt::format("is {}, not true or false", kind_of(value)));
  return value.get<bool>();
}

int64_t GgufMetadata::size(const std::string& key) const {
  return static_cast<int64_t>(list(key).size());
}

std::vector<std::string> GgufMetadata::texts(const std::string& key) const {
  std::vector<std::string> result;
  for (const Json& value : list(key)) {
    if (!value.is_string()) throw error(key, "is not a list of texts");
    result.push_back(value.get<std::string>());
  }
  return result;
}

std::vector<int64_t> GgufMetadata::integers(const std::string& key) const {
  std::vector<int64_t> result;
  for (const Json& value : list(key)) {
    if (!is_integer(value)) throw error(key, "is not a list of integers");
    result.push_back(value.get<int64_t>());
  }
  return result;
}

std::vector<double> GgufMetadata::numbers(const std::string& key) const {
  std::vector<double> result;
  for (const Json& value : list(key)) {
    if (!value.is_number()) throw error(key, "is not a list of numbers");
    result.push_back(value.get<double>());
  }
  return result;
}

}  // namespace rankwise
