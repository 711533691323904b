// What the library `adapters` writes with save_adapter(use_safetensors=True), both ways.
#include "peft/hub/adapters_library.h"

#include <algorithm>

#include "peft/hub/torch_file.h"

namespace rankwise {
namespace fs = std::filesystem;
namespace {

constexpr const char* kVersion = "adapters.1.3.0";

struct ClassTask {
  const char *ending, *task_type;
};
constexpr ClassTask kTasks[] = {{"ForSequenceClassification", "SEQ_CLS"},
                                {"ForTokenClassification", "TOKEN_CLS"},
                                {"ForQuestionAnswering", "QUESTION_ANS"},
                                {"ForCausalLM", "CAUSAL_LM"},
                                {"LMHeadModel", "CAUSAL_LM"},
                                {"ForConditionalGeneration", "SEQ_2_SEQ_LM"}};

// The same tensors as safetensors or pickled, where there are any.
std::vector<TensorEntry> read_either(const fs::path& folder, const std::string& safetensors,
                                     const std::string& pickle) {
  if (fs::exists(folder / safetensors)) return read_safetensors_header(folder / safetensors);
  if (fs::exists(folder / pickle)) return read_torch_file(folder / pickle);
  return {};
}

// What head_config.json says of the head's outputs: LABEL_0 … where they have no names but their
// numbers.
Json label2id(const std::vector<std::string>& labels, int64_t outputs) {
  bool named = std::ssize(labels) == outputs;
  bool counted = true;
  for (size_t i = 0; i < labels.size(); ++i) counted &= labels[i] == std::to_string(i);
  named &= !counted;
  Json ids = Json::object();
  for (int64_t i = 0; i < outputs; ++i)
    ids[named ? labels[static_cast<size_t>(i)] : fmt::format("LABEL_{}", i)] = i;
  return ids;
}

}  // namespace

bool is_of_adapters(const Json& config) {
  return !config.contains("peft_type") && config.contains("config") &&
         config.contains("model_type");
}

Json bottleneck_config(Json config, const fs::path& file) {
  const Json& own = config["config"];
  if (!own.is_object()) throw model_error("{}: 'config' is not an object", file.string());
  if (const Json architecture = own.value("architecture", Json()); !architecture.is_null())
    throw model_error(
        "{}: 'architecture' is {}; of the library `adapters`, bottleneck adapters "
        "are supported",
        file.string(), architecture.dump());
  config["peft_type"] = "BOTTLENECK";
  config["base_model_name_or_path"] = config.value("model_name", Json());
  const Json name = config.value("model_class", Json());
  for (const ClassTask& row : kTasks) {
    if (name.is_string() && name.get<std::string>().ends_with(row.ending))
      config["task_type"] = row.task_type;
  }
  return config;
}

std::vector<TensorEntry> read_bottleneck_weights(const fs::path& folder) {
  std::vector<TensorEntry> tensors =
      read_either(folder, "adapter.safetensors", "pytorch_adapter.bin");
  if (tensors.empty()) throw model_error("{}: has no adapter.safetensors", folder.string());
  const std::vector<TensorEntry> head =
      read_either(folder, "model_head.safetensors", "pytorch_model_head.bin");
  tensors.insert(tensors.end(), head.begin(), head.end());
  return tensors;
}

std::map<std::string, std::string> bottleneck_files(
    const Json& config, std::vector<TensorBytes> tensors,
    const std::optional<std::vector<std::string>>& labels) {
  Json own = config;
  for (const char* key : {"peft_type", "task_type", "base_model_name_or_path"}) own.erase(key);
  own["model_name"] = config.at("base_model_name_or_path");
  own["version"] = kVersion;
  const auto head =
      std::stable_partition(tensors.begin(), tensors.end(), [](const TensorBytes& tensor) {
        return tensor.name.find(".adapters.") != std::string::npos;
      });
  std::vector<TensorBytes> of_head(std::make_move_iterator(head),
                                   std::make_move_iterator(tensors.end()));
  tensors.erase(head, tensors.end());
  std::map<std::string, std::string> files;
  files["adapter_config.json"] = pretty(own);
  files["adapter.safetensors"] = to_safetensors(std::move(tensors));
  if (of_head.empty()) return files;

  const bool classifies =
      config.at("task_type") == "SEQ_CLS" || config.at("task_type") == "TOKEN_CLS";
  const int64_t outputs = classifies ? of_head.back().shape.front() : 2;
  own["config"] = nullptr;
  own["label2id"] = label2id(labels.value_or(std::vector<std::string>()), outputs);
  own["name"] = nullptr;
  own["num_labels"] = outputs;
  files["head_config.json"] = pretty(own);
  files["model_head.safetensors"] = to_safetensors(std::move(of_head));
  return files;
}

}  // namespace rankwise
