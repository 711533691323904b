// Adapter folders as peft 0.21.2 writes and reads them: adapter_config.json,
// adapter_model.safetensors, README.md; and labels.json, which is ours. Those of bottleneck
// adapters are the library `adapters`' (adapters_library.h).
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "peft/hub/json.h"
#include "peft/hub/tensor_file.h"

namespace rankwise {

inline constexpr std::string_view kPeftVersion = "0.21.2";  // whose files these are

struct AdapterFolder {
  Json config;  // adapter_config.json
  std::vector<TensorEntry> tensors;
  std::optional<std::vector<std::string>> labels;  // labels.json: names by class index
  std::filesystem::path folder;
};

// Errors: kModel naming the file: no such folder, no adapter_config.json, no peft_type, damaged or
// missing weights, lying headers, labels that do not count from 0.
AdapterFolder read_adapter_folder(const std::filesystem::path& folder);

// The files of an adapter folder, name → bytes. `config` needs peft_type and every key of its own
// method; this adds those that every method has and that are not there: auto_mapping,
// base_model_name_or_path, inference_mode (always true), peft_version, revision, task_type. A
// config that was read keeps the peft_version it came with, as in peft.
// `body_is_model` matters to the model card of prompt methods only: whether the base's class keeps
// its body in an attribute `model`, as Llama's and OPT's do and BERT's does not.
std::map<std::string, std::string> adapter_files(
    const Json& config, std::vector<TensorBytes> tensors,
    const std::optional<std::vector<std::string>>& labels, bool body_is_model = false);

// README.md as peft writes it: a blank model card with base_model, library_name, pipeline_tag,
// tags.
std::string model_card(const std::string& base_model, const std::string& peft_type,
                       std::optional<std::string> pipeline_tag, bool body_is_model = false);

}  // namespace rankwise
