// From what the user gave (`--model_name_or_path`) to a folder on disk, and typed access to its
// config.json.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "peft/hub/json.h"

namespace rankwise {

// A folder is itself, and so is a .gguf file; a hub name ("org/name") is looked up in $HF_HOME/hub
// (default
// ~/.cache/huggingface/hub: models--org--name/refs/main → snapshots/<commit>). Errors: kModel,
// saying how to download it first. (This is the one place outside the launcher that looks at the
// environment: `hub_cache` is passed in by it.)
std::filesystem::path find_model(const std::string& name_or_path,
                                 const std::filesystem::path& hub_cache);

// A JSON object whose readers name the file and the field when something is missing or of the wrong
// type (kModel).
class Config {
 public:
  Config(Json values, std::filesystem::path file)
      : values_(std::move(values)), file_(std::move(file)) {}
  static Config read(const std::filesystem::path& file);

  bool has(const std::string& name) const;  // present and not null
  int64_t integer(const std::string& name) const;
  int64_t integer(const std::string& name, int64_t otherwise) const;  // absent or null: otherwise
  double number(const std::string& name) const;
  double number(const std::string& name, double otherwise) const;
  bool boolean(const std::string& name, bool otherwise) const;
  std::string text(const std::string& name) const;
  std::string text(const std::string& name, const std::string& otherwise) const;
  const Json& json() const { return values_; }
  const std::filesystem::path& file() const { return file_; }
  Error error(const std::string& name,
              const std::string& what) const;  // "config.json: 'name' what"

 private:
  const Json& at(const std::string& name) const;
  Json values_;
  std::filesystem::path file_;
};

// The config.json of a model folder, or what a .gguf file says in its place. Errors: kModel.
Config read_model_config(const std::filesystem::path& model);

}  // namespace rankwise
