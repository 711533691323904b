// Finds a model's folder or file and reads its config. What the config means is for peft/base.
#include "peft/hub/model_folder.h"

#include <algorithm>

#include "peft/hub/gguf_model.h"

namespace rankwise {
namespace fs = std::filesystem;
namespace {

// "org/name" or "name": anything else can only be meant as a path.
bool is_hub_name(const std::string& name) {
  const auto is_allowed = [](unsigned char c) {
    return std::isalnum(c) || std::string_view("-_./").find(char(c)) != std::string::npos;
  };
  return !name.empty() && std::all_of(name.begin(), name.end(), is_allowed) &&
         std::isalnum(uint8_t(name.front())) && name.back() != '/' &&
         std::count(name.begin(), name.end(), '/') <= 1;
}

}  // namespace

fs::path find_model(const std::string& name_or_path, const fs::path& hub_cache) {
  if (fs::is_directory(name_or_path)) return name_or_path;
  if (fs::exists(name_or_path)) {
    if (is_gguf(name_or_path)) return name_or_path;
    throw model_error(
        "{}: is a file; a model is the folder that holds config.json and the weights, or a .gguf "
        "file",
        name_or_path);
  }
  if (!is_hub_name(name_or_path)) throw model_error("{}: no such folder", name_or_path);

  std::string folder = "models--" + name_or_path;
  if (const size_t slash = folder.find('/'); slash != std::string::npos)
    folder.replace(slash, 1, "--");
  const fs::path stored = hub_cache / folder, reference = stored / "refs" / "main";
  const std::string hint =
      fmt::format("download it first, where there is a network: hf download {}", name_or_path);
  if (!fs::exists(reference)) {
    throw Error(ErrorKind::kModel,
                fmt::format("{}: no such folder, and not in the hub's cache ({})", name_or_path,
                            reference.string()),
                hint);
  }
  std::string commit = read_text_file(reference, ErrorKind::kModel);
  while (!commit.empty() && std::isspace(uint8_t(commit.back()))) commit.pop_back();
  const fs::path snapshot = stored / "snapshots" / commit;
  if (commit.empty() || !fs::is_directory(snapshot)) {
    throw Error(ErrorKind::kModel,
                fmt::format("{}: {} names '{}', but there is no {}", name_or_path,
                            reference.string(), commit, snapshot.string()),
                hint);
  }
  return snapshot;
}

Config Config::read(const fs::path& file) {
  Json values = read_json(file);
  if (!values.is_object()) throw model_error("{}: is not a JSON object", file.string());
  return Config(std::move(values), file);
}

Config read_model_config(const fs::path& model) {
  return is_gguf(model) ? gguf_config(read_gguf(model)) : Config::read(model / "config.json");
}

Error Config::error(const std::string& name, const std::string& what) const {
  return model_error("{}: '{}' {}", file_.string(), name, what);
}

bool Config::has(const std::string& name) const {
  return values_.contains(name) && !values_[name].is_null();
}

const Json& Config::at(const std::string& name) const {
  if (!has(name)) throw error(name, "is missing");
  return values_[name];
}

int64_t Config::integer(const std::string& name) const {
  const Json& value = at(name);
  const bool too_large = value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX;
  if (!value.is_number_integer() || too_large)
    throw error(name, "is not an integer: " + value.dump());
  return value.get<int64_t>();
}

double Config::number(const std::string& name) const {
  const Json& value = at(name);
  if (!value.is_number()) throw error(name, "is not a number: " + value.dump());
  return value.get<double>();
}

std::string Config::text(const std::string& name) const {
  const Json& value = at(name);
  if (!value.is_string()) throw error(name, "is not a string: " + value.dump());
  return value.get<std::string>();
}

int64_t Config::integer(const std::string& name, int64_t otherwise) const {
  return has(name) ? integer(name) : otherwise;
}
double Config::number(const std::string& name, double otherwise) const {
  return has(name) ? number(name) : otherwise;
}
std::string Config::text(const std::string& name, const std::string& otherwise) const {
  return has(name) ? text(name) : otherwise;
}

bool Config::boolean(const std::string& name, bool otherwise) const {
  if (!has(name)) return otherwise;
  if (!values_[name].is_boolean())
    throw error(name, "is not true or false: " + values_[name].dump());
  return values_[name].get<bool>();
}

}  // namespace rankwise
