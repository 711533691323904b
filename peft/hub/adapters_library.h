// Adapter folders of the library `adapters` 1.3.0: adapter_config.json, adapter.safetensors, and
// where the task has a head head_config.json and model_head.safetensors.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "peft/hub/json.h"
#include "peft/hub/tensor_file.h"

namespace rankwise {

// Whether an adapter_config.json is of that library, by its fields.
bool is_of_adapters(const Json& config);

// The config as ours are: peft_type BOTTLENECK, and task_type where its model_class says one.
// Errors: kModel: an architecture other than bottleneck adapters.
Json bottleneck_config(Json config, const std::filesystem::path& file);

// Errors: kModel: no weights, lying headers.
std::vector<TensorEntry> read_bottleneck_weights(const std::filesystem::path& folder);

// The files of a folder. `config`: peft_type, task_type, base_model_name_or_path, and what
// adapter_config.json holds; tensors: those of the adapter and of the head, in any order.
std::map<std::string, std::string> bottleneck_files(
    const Json& config, std::vector<TensorBytes> tensors,
    const std::optional<std::vector<std::string>>& labels);

}  // namespace rankwise
