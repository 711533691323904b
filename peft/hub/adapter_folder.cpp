// Adapter folders, both ways. The tensors' names and the method's own settings are for
// peft/methods.
#include "peft/hub/adapter_folder.h"

#include "peft/hub/adapters_library.h"
#include "peft/hub/torch_file.h"

namespace rankwise {
namespace fs = std::filesystem;
namespace {

Json read_config(const fs::path& folder) {
  const fs::path file = folder / "adapter_config.json";
  if (!fs::is_directory(folder)) throw model_error("{}: no such adapter folder", folder.string());
  if (!fs::exists(file))
    throw model_error("{}: not an adapter folder: it has no adapter_config.json", folder.string());
  Json config = read_json(file);
  if (!config.is_object()) throw model_error("{}: is not a JSON object", file.string());
  if (is_of_adapters(config)) return bottleneck_config(std::move(config), file);
  if (!config.contains("peft_type")) throw model_error("{}: has no 'peft_type'", file.string());
  if (!config["peft_type"].is_string()) {
    throw model_error("{}: 'peft_type' is not a string: {}", file.string(),
                      config["peft_type"].dump());
  }
  return config;
}

std::vector<TensorEntry> read_weights(const fs::path& folder) {
  const fs::path file = folder / "adapter_model.safetensors", pickle = folder / "adapter_model.bin";
  if (fs::exists(file)) return read_safetensors_header(file);
  if (fs::exists(pickle)) return read_torch_file(pickle);
  throw model_error("{}: has no adapter_model.safetensors", folder.string());
}

// labels.json spells the names as config.json does: id2label {"0": "neg"}, label2id {"neg": 0}.
std::optional<std::vector<std::string>> read_labels(const fs::path& folder) {
  const fs::path file = folder / "labels.json";
  if (!fs::exists(file)) return std::nullopt;
  const Json values = read_json(file);
  if (!values.is_object() || !values.contains("id2label") || !values["id2label"].is_object()) {
    throw model_error("{}: has no 'id2label'", file.string());
  }
  const Json& by_index = values["id2label"];
  std::vector<std::string> labels;
  for (size_t index = 0; index < by_index.size(); ++index) {
    const auto name = by_index.find(std::to_string(index));
    if (name == by_index.end() || !name->is_string()) {
      throw model_error("{}: 'id2label' has {} names, but none for {}", file.string(),
                        by_index.size(), index);
    }
    labels.push_back(name->get<std::string>());
  }
  return labels;
}

std::string labels_json(const std::vector<std::string>& labels) {
  Json by_index = Json::object(), by_name = Json::object();
  for (size_t index = 0; index < labels.size(); ++index) {
    by_index[std::to_string(index)] = labels[index];
    by_name[labels[index]] = index;
  }
  return pretty({{"id2label", by_index}, {"label2id", by_name}});
}

Json with_common_keys(const Json& config) {
  Json all = {{"auto_mapping", nullptr},
              {"base_model_name_or_path", nullptr},
              {"peft_version", kPeftVersion},
              {"revision", nullptr},
              {"task_type", nullptr}};
  all.update(config);
  all["inference_mode"] = true;
  return all;
}

}  // namespace

AdapterFolder read_adapter_folder(const fs::path& folder) {
  Json config = read_config(folder);
  std::vector<TensorEntry> weights =
      config["peft_type"] == "BOTTLENECK" ? read_bottleneck_weights(folder) : read_weights(folder);
  return {std::move(config), std::move(weights), read_labels(folder), folder};
}

std::map<std::string, std::string> adapter_files(
    const Json& config, std::vector<TensorBytes> tensors,
    const std::optional<std::vector<std::string>>& labels, bool body_is_model) {
  if (config.at("peft_type") == "BOTTLENECK") {
    std::map<std::string, std::string> files = bottleneck_files(config, std::move(tensors), labels);
    if (labels) files["labels.json"] = labels_json(*labels);
    return files;
  }
  const Json all = with_common_keys(config);
  const Json &base = all["base_model_name_or_path"], &task = all["task_type"];
  std::optional<std::string> pipeline_tag;
  if (task == "CAUSAL_LM")
    pipeline_tag = "text-generation";  // the only task for which peft sets one
  std::map<std::string, std::string> files = {
      {"README.md",
       model_card(base.is_string() ? base.get<std::string>() : "",
                  all.at("peft_type").get<std::string>(), pipeline_tag, body_is_model)},
      {"adapter_config.json", pretty(all)},
      {"adapter_model.safetensors", to_safetensors(std::move(tensors))},
  };
  if (labels) files["labels.json"] = labels_json(*labels);
  return files;
}

}  // namespace rankwise
