// Adapter folders as peft 0.21.2 writes and reads them: adapter_config.json,
// adapter_model.safetensors, README.md; and labels.json, which is ours.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "peft/hub/json.h"
#include "peft/hub/tensor_file.h"

namespace rankwise {

struct AdapterFolder {
  Json config;  // adapter_config.json
  std::vector<TensorEntry> tensors;
  std::optional<std::vector<std::string>> labels;  // labels.json: names by class index
  std::filesystem::path folder;
};

// Errors: kModel: not an adapter folder, no peft_type, lying headers.
AdapterFolder read_adapter_folder(const std::filesystem::path& folder);

// The files of an adapter folder, name → bytes. `config` needs every key of its method; this adds
// those that every adapter_config.json has (auto_mapping, base_model_name_or_path, inference_mode,
// peft_version, revision, task_type …).
std::map<std::string, std::string> adapter_files(
    const Json& config, std::vector<TensorBytes> tensors,
    const std::optional<std::vector<std::string>>& labels);

// README.md as peft writes it for this config (model card with base_model, library_name, tags).
std::string model_card(const std::string& base_model, const std::string& peft_type,
                       std::optional<std::string> pipeline_tag);

}  // namespace rankwise
