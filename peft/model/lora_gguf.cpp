// Each adapted module's pair under the module's name in GGUF, A [rank, in] and B [out, rank]; rows
// of B follow the rows of the base, so those of llama's queries and keys are interleaved.
#include "peft/model/lora_gguf.h"

#include <ATen/ATen.h>

#include <cmath>
#include <set>

#include "peft/hub/gguf_model.h"
#include "peft/hub/gguf_writer.h"
#include "peft/methods/lora_config.h"
#include "peft/methods/method.h"
#include "peft/methods/targets.h"
#include "peft/model/file_tensors.h"

namespace rankwise {
namespace {

const std::string kPrefix = "base_model.model.";

// What GGUF calls a base, and its heads.
struct BaseShape {
  std::string architecture;
  int64_t heads, key_value_heads, layers;

  explicit BaseShape(const Config& config)
      : architecture(config.text("model_type")),
        heads(config.integer("num_attention_heads")),
        key_value_heads(config.integer("num_key_value_heads", heads)),
        layers(config.integer("num_hidden_layers")) {
    if (architecture == "mistral") architecture = "llama";
    for (const char* known : {"llama", "qwen2", "qwen3", "gemma2"})
      if (architecture == known) return;
    throw config.error("model_type",
                       fmt::format("is '{}'; GGUF adapters are for llama, mistral, qwen2, qwen3 "
                                   "and gemma2",
                                   architecture));
  }
  int64_t interleaved(const std::string& module) const {
    return interleaved_heads(module, architecture, heads, key_value_heads);
  }
};

struct Pair {
  at::Tensor a, b;  // [rank, in], [out, rank]
  int64_t rank() const { return a.size(0); }
};
using Pairs = std::map<std::string, Pair>;  // by the module's name in Hugging Face's words

// Both halves are there and their shapes fit.
void check(const Pairs& pairs, const std::filesystem::path& file) {
  if (pairs.empty()) throw model_error("{}: has no adapted modules", file.string());
  for (const auto& [module, pair] : pairs) {
    if (!pair.a.defined() || !pair.b.defined())
      throw model_error("{}: '{}' has only one half of its pair", file.string(), module);
    if (pair.a.dim() != 2 || pair.b.dim() != 2 || pair.a.size(0) != pair.b.size(1)) {
      throw model_error("{}: '{}' has a pair of shapes {} and {}", file.string(), module,
                        shape_text(pair.a.sizes().vec()), shape_text(pair.b.sizes().vec()));
    }
  }
}

Pairs pairs_of(const AdapterFolder& adapter) {
  Pairs pairs;
  for (const TensorEntry& entry : adapter.tensors) {
    const std::string &name = entry.name, end_a = ".lora_A.weight", end_b = ".lora_B.weight";
    if (!name.starts_with(kPrefix) || !(name.ends_with(end_a) || name.ends_with(end_b)))
      throw model_error(
          "{}: tensor '{}' has no place in a GGUF adapter, which holds LoRA's pairs "
          "of linear modules only",
          entry.file.string(), name);
    Pair& pair = pairs[name.substr(kPrefix.size(), name.size() - kPrefix.size() - end_a.size())];
    (name.ends_with(end_a) ? pair.a : pair.b) = read_tensor(entry);
  }
  check(pairs, adapter.folder / "adapter_model.safetensors");
  return pairs;
}

// What the adapter's config says of scales: s · B A.
struct Scales {
  explicit Scales(const AdapterFolder& adapter) {
    const Config config(adapter.config, adapter.folder / "adapter_config.json");
    if (config.text("peft_type") != "LORA")
      throw config.error("peft_type", fmt::format("is {}; only LORA can be a GGUF adapter",
                                                  config.text("peft_type")));
    if (config.boolean("use_dora", false))
      throw config.error("use_dora", "is true, which a GGUF adapter cannot hold");
    if (const Json init = adapter.config.value("init_lora_weights", Json());
        takes_from_weight(init))
      throw config.error("init_lora_weights",
                         fmt::format("is {}: the pair is meant for weights without its beginning, "
                                     "which a GGUF adapter cannot say",
                                     init.get<std::string>()));
    alpha = config.number("lora_alpha");
    if (alpha <= 0) throw config.error("lora_alpha", fmt::format("is {}", alpha));
    rslora = config.boolean("use_rslora", false);
    pattern = adapter.config.value("alpha_pattern", Json::object());
  }
  // The module's scale over the one that llama.cpp applies, alpha / rank.
  double beyond(const std::string& module, int64_t rank) const {
    const double own = pattern_value(pattern, module, alpha) / alpha;
    return rslora ? own * std::sqrt(static_cast<double>(rank)) : own;
  }
  double alpha = 0;
  bool rslora = false;
  Json pattern;
};

// The rows of the file's matrix, in the order of the model's.
at::Tensor interleaved(const at::Tensor& b, int64_t heads) {
  const int64_t rows = b.size(0);
  std::vector<int64_t> order;
  for (int64_t row = 0; row < rows; ++row) order.push_back(model_row(row, rows, heads));
  return b.index_select(0, at::tensor(order));
}

void check_heads(const std::filesystem::path& file, const std::string& module, int64_t rows,
                 int64_t heads) {
  if (heads > 0 && rows % (2 * heads) != 0)
    throw model_error("{}: '{}' has {} rows, but the base has {} heads", file.string(), module,
                      rows, heads);
}

Pairs read_pairs(const Gguf& gguf, const BaseShape& base) {
  Pairs pairs;
  for (TensorEntry entry : gguf.tensors) {
    const std::string end_a = ".weight.lora_a", end_b = ".weight.lora_b";
    const bool is_a = entry.name.ends_with(end_a);
    const auto refuse = [&](const std::string& what) {
      return model_error("{}: tensor '{}' {}", entry.file.string(), entry.name, what);
    };
    if (!is_a && !entry.name.ends_with(end_b))
      throw refuse("is not one half of a LoRA pair (.weight.lora_a, .weight.lora_b)");
    const std::string module = entry.name.substr(0, entry.name.size() - end_a.size());
    const auto name = huggingface_module(module, base.architecture);
    if (!name || module == "token_embd") throw refuse("is of a module that is not supported");
    if (!is_a && !entry.shape.empty()) {
      entry.interleaved_heads = base.interleaved(module);
      check_heads(entry.file, entry.name, entry.shape[0], entry.interleaved_heads);
    }
    (is_a ? pairs[*name].a : pairs[*name].b) = read_tensor(entry);
  }
  check(pairs, gguf.metadata.file());
  return pairs;
}

// "q_proj" where every layer's is adapted, else each module's own name.
std::set<std::string> targets(const Pairs& pairs, int64_t layers) {
  std::map<std::string, std::vector<std::string>> by_end;
  for (const auto& [module, pair] : pairs)
    by_end[module.substr(module.rfind('.') + 1)].push_back(module);
  std::set<std::string> names;
  for (const auto& [end, modules] : by_end) {
    const bool all = static_cast<int64_t>(modules.size()) == layers || !end.ends_with("_proj");
    if (all) names.insert(end);
    if (!all) names.insert(modules.begin(), modules.end());
  }
  return names;
}

Json config_of(const Pairs& pairs, double alpha, const BaseShape& base,
               const std::string& base_name) {
  std::map<int64_t, size_t> modules_by_rank;
  for (const auto& [module, pair] : pairs) ++modules_by_rank[pair.rank()];
  const int64_t rank =
      std::max_element(modules_by_rank.begin(), modules_by_rank.end(), [](auto& a, auto& b) {
        return a.second < b.second;
      })->first;
  Json pattern = Json::object();
  for (const auto& [module, pair] : pairs)
    if (pair.rank() != rank) pattern[module] = pair.rank();

  const std::unique_ptr<Method> method = make_method("LORA");
  Fields fields;
  method->declare(fields);
  fields.at("r").set(std::to_string(rank));
  fields.at("lora_alpha").set(fmt::format("{}", alpha));
  fields.at("rank_pattern").set(pattern.dump());
  Json config = method->config();
  config["target_modules"] = targets(pairs, base.layers);
  config["task_type"] = "CAUSAL_LM";
  config["base_model_name_or_path"] = base_name;
  return config;
}

}  // namespace

std::string lora_to_gguf(const AdapterFolder& adapter, const Config& base_config) {
  const BaseShape base(base_config);
  const Scales scales(adapter);
  std::vector<TensorBytes> tensors;
  for (const auto& [path, pair] : pairs_of(adapter)) {
    const auto module = gguf_module(path, base.architecture);
    if (!module || *module == "token_embd")
      throw model_error("{}: module '{}' has no place in a GGUF adapter", adapter.folder.string(),
                        path);
    at::Tensor b = pair.b;
    if (const double beyond = scales.beyond(path, pair.rank()); beyond != 1) b = b * beyond;
    if (const int64_t heads = base.interleaved(*module); heads > 0) {
      check_heads(adapter.folder, path, b.size(0), heads);
      b = interleaved(b, heads);
    }
    tensors.push_back(tensor_bytes(*module + ".weight.lora_a", pair.a, at::kFloat));
    tensors.push_back(tensor_bytes(*module + ".weight.lora_b", b, at::kFloat));
  }
  return to_gguf({{"general.architecture", base.architecture},
                  {"general.type", "adapter"},
                  {"adapter.type", "lora"},
                  {"adapter.lora.alpha", static_cast<float>(scales.alpha)},
                  {"general.quantization_version", 2U}},
                 tensors);
}

std::map<std::string, std::string> gguf_to_lora(const std::filesystem::path& file,
                                                const Config& base_config,
                                                const std::string& base_name) {
  const BaseShape base(base_config);
  const Gguf gguf = read_gguf(file);
  for (const auto& [key, expected] : {std::pair{"general.type", std::string("adapter")},
                                      {"adapter.type", "lora"},
                                      {"general.architecture", base.architecture}}) {
    if (const std::string found = gguf.metadata.text(key); found != expected)
      throw gguf.metadata.error(key, fmt::format("is '{}', not '{}'", found, expected));
  }
  const double alpha = gguf.metadata.number("adapter.lora.alpha");
  if (!(alpha > 0)) throw gguf.metadata.error("adapter.lora.alpha", fmt::format("is {}", alpha));
  const Pairs pairs = read_pairs(gguf, base);
  std::vector<TensorBytes> tensors;
  for (const auto& [module, pair] : pairs) {
    tensors.push_back(tensor_bytes(kPrefix + module + ".lora_A.weight", pair.a, at::kFloat));
    tensors.push_back(tensor_bytes(kPrefix + module + ".lora_B.weight", pair.b, at::kFloat));
  }
  return adapter_files(config_of(pairs, alpha, base, base_name), std::move(tensors), std::nullopt);
}

}  // namespace rankwise
