// config.json out of a GGUF file's metadata. Keys: llama.cpp's gguf-py/gguf/constants.py; what
// config.json would say: its convert_hf_to_gguf.py, read backwards.
#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <numbers>

#include "peft/hub/gguf_model.h"

namespace rankwise {
namespace {

struct Architecture {
  const char* name;  // of GGUF
  const char* model_type;
  const char* class_name;
};
constexpr Architecture kArchitectures[] = {{"llama", "llama", "LlamaForCausalLM"},
                                           {"qwen2", "qwen2", "Qwen2ForCausalLM"},
                                           {"qwen3", "qwen3", "Qwen3ForCausalLM"},
                                           {"gemma2", "gemma2", "Gemma2ForCausalLM"}};
constexpr int64_t kLayersOfGemma2With27Billion = 46;

const Architecture& architecture_of(const GgufMetadata& metadata) {
  const std::string key = "general.architecture", name = metadata.text(key);
  std::vector<std::string> known;
  for (const Architecture& row : kArchitectures) {
    if (name == row.name) return row;
    known.push_back(row.name);
  }
  throw metadata.error(key, fmt::format("is '{}'; supported are {}", name, fmt::join(known, ", ")));
}

// Moves keys of the architecture into the config, if they are there.
class Translation {
 public:
  Translation(const GgufMetadata& metadata, const std::string& architecture)
      : metadata_(metadata), prefix_(architecture + ".") {}
  std::string key(const std::string& name) const { return prefix_ + name; }
  bool has(const std::string& name) const { return metadata_.has(key(name)); }
  int64_t positive(const std::string& name) const {
    const int64_t value = metadata_.integer(key(name));
    if (value <= 0) throw metadata_.error(key(name), fmt::format("is {}", value));
    return value;
  }
  double number(const std::string& name) const { return metadata_.number(key(name)); }
  std::string text(const std::string& name) const { return metadata_.text(key(name)); }
  Error error(const std::string& name, const std::string& what) const {
    return metadata_.error(key(name), what);
  }

 private:
  const GgufMetadata& metadata_;
  std::string prefix_;
};

const TensorEntry* find(const Gguf& gguf, const std::string& name) {
  const auto found = std::find_if(gguf.tensors.begin(), gguf.tensors.end(),
                                  [&](const TensorEntry& entry) { return entry.name == name; });
  return found == gguf.tensors.end() ? nullptr : &*found;
}

int64_t head_size(const Translation& from, int64_t hidden, int64_t heads) {
  const bool given = from.has("attention.key_length"), rotates = from.has("rope.dimension_count");
  const int64_t size = given     ? from.positive("attention.key_length")
                       : rotates ? from.positive("rope.dimension_count")
                                 : hidden / heads;
  if (rotates && from.positive("rope.dimension_count") != size) {
    throw from.error("rope.dimension_count",
                     fmt::format("is {}, but a head has {} numbers",
                                 from.positive("rope.dimension_count"), size));
  }
  if (from.has("attention.value_length") && from.positive("attention.value_length") != size) {
    throw from.error("attention.value_length",
                     fmt::format("is {}, but a head's keys have {} numbers",
                                 from.positive("attention.value_length"), size));
  }
  return size;
}

std::vector<float> read_floats(const TensorEntry& entry) {
  if (entry.dtype != Dtype::kFloat32)
    throw model_error("{}: tensor '{}' is {}, not F32", entry.file.string(), entry.name,
                      layout_of(entry.dtype).name);
  std::vector<float> values(entry.bytes / sizeof(float));
  std::ifstream in(entry.file, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(entry.offset));
  if (!in.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(entry.bytes)))
    throw model_error("{}: cannot read tensor '{}'", entry.file.string(), entry.name);
  return values;
}

// Llama 3.1's scaling is in the file as the factor of each frequency; config.json has the settings
// that give them. `pretrained` is the one that all of those models have.
Json llama3_scaling(const TensorEntry& entry, double base, int64_t head_size) {
  constexpr double kLow = 1, kHigh = 4, kPretrained = 8192;
  const std::vector<float> factors = read_floats(entry);
  const auto refuse = [&](const std::string& what) {
    return model_error("{}: tensor '{}' {}", entry.file.string(), entry.name, what);
  };
  if (static_cast<int64_t>(factors.size()) != head_size / 2)
    throw refuse(
        fmt::format("has {} factors, a head has {} frequencies", factors.size(), head_size / 2));
  const double factor = *std::max_element(factors.begin(), factors.end());
  for (size_t i = 0; i < factors.size(); ++i) {
    const double frequency =
        std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(head_size));
    const double turns = kPretrained * frequency / (2 * std::numbers::pi);
    const double smooth = std::clamp((turns - kLow) / (kHigh - kLow), 0.0, 1.0);
    const double expected = 1 / ((1 - smooth) / factor + smooth);
    if (!(std::abs(factors[i] - expected) <= 1e-3 * expected)) {
      throw refuse(fmt::format("is not the scaling of llama3: factor {} is {}, not {}", i,
                               factors[i], expected));
    }
  }
  return {{"rope_type", "llama3"},
          {"factor", factor},
          {"low_freq_factor", kLow},
          {"high_freq_factor", kHigh},
          {"original_max_position_embeddings", static_cast<int64_t>(kPretrained)}};
}

// null: none
Json rope_scaling(const Translation& from, const Gguf& gguf, double base, int64_t head_size) {
  if (const TensorEntry* factors = find(gguf, "rope_freqs.weight"))
    return llama3_scaling(*factors, base, head_size);
  if (from.has("rope.scale_linear") && from.number("rope.scale_linear") != 1)
    return {{"rope_type", "linear"}, {"factor", from.number("rope.scale_linear")}};
  if (!from.has("rope.scaling.type") || from.text("rope.scaling.type") == "none") return nullptr;
  Json scaling = {{"rope_type", from.text("rope.scaling.type")}};
  if (from.has("rope.scaling.factor")) scaling["factor"] = from.number("rope.scaling.factor");
  if (from.has("rope.scaling.original_context_length"))
    scaling["original_max_position_embeddings"] =
        from.positive("rope.scaling.original_context_length");
  if (from.has("rope.scaling.attn_factor"))
    scaling["attention_factor"] = from.number("rope.scaling.attn_factor");
  return scaling;
}

void add_gemma2(Json& config, const Translation& from) {
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["sliding_window"] = from.positive("attention.sliding_window");
  config["attn_logit_softcapping"] = from.number("attn_logit_softcapping");
  config["final_logit_softcapping"] = from.number("final_logit_softcapping");
  // Not in the file; llama.cpp knows the largest of these models by its layers, too.
  config["query_pre_attn_scalar"] =
      config["num_hidden_layers"] == kLayersOfGemma2With27Billion
          ? config["hidden_size"].get<int64_t>() / config["num_attention_heads"].get<int64_t>()
          : config["head_dim"].get<int64_t>();
}

void add_ids(Json& config, const GgufMetadata& metadata) {
  for (const auto& [field, key] : {std::pair{"bos_token_id", "tokenizer.ggml.bos_token_id"},
                                   {"eos_token_id", "tokenizer.ggml.eos_token_id"},
                                   {"pad_token_id", "tokenizer.ggml.padding_token_id"}}) {
    if (metadata.has(key)) config[field] = metadata.integer(key);
  }
}

int64_t vocabulary(const GgufMetadata& metadata, const Translation& from) {
  const std::string tokens = "tokenizer.ggml.tokens";
  return metadata.has(tokens) ? metadata.size(tokens) : from.positive("vocab_size");
}

}  // namespace

Config gguf_config(const Gguf& gguf) {
  const GgufMetadata& metadata = gguf.metadata;
  const Architecture& architecture = architecture_of(metadata);
  const Translation from(metadata, architecture.name);
  if (from.has("expert_count") && metadata.integer(from.key("expert_count")) > 0)
    throw from.error("expert_count", "is there: mixtures of experts are not supported");

  const int64_t hidden = from.positive("embedding_length");
  const int64_t heads = from.positive("attention.head_count");
  const int64_t size = head_size(from, hidden, heads);
  const double base = from.has("rope.freq_base") ? from.number("rope.freq_base") : 10000;
  Json config = {
      {"model_type", architecture.model_type},
      {"architectures", {architecture.class_name}},
      {"vocab_size", vocabulary(metadata, from)},
      {"hidden_size", hidden},
      {"num_hidden_layers", from.positive("block_count")},
      {"intermediate_size", from.positive("feed_forward_length")},
      {"num_attention_heads", heads},
      {"num_key_value_heads",
       from.has("attention.head_count_kv") ? from.positive("attention.head_count_kv") : heads},
      {"head_dim", size},
      {"max_position_embeddings", from.positive("context_length")},
      {"rms_norm_eps", from.number("attention.layer_norm_rms_epsilon")},
      {"rope_theta", base},
      {"hidden_act", "silu"},
      {"attention_bias", find(gguf, "blk.0.attn_output.bias") != nullptr},
      {"mlp_bias", find(gguf, "blk.0.ffn_down.bias") != nullptr},
      {"tie_word_embeddings", find(gguf, "output.weight") == nullptr},
  };
  if (Json scaling = rope_scaling(from, gguf, base, size); !scaling.is_null())
    config["rope_scaling"] = std::move(scaling);
  if (config["model_type"] == "gemma2") add_gemma2(config, from);
  add_ids(config, metadata);
  return Config(std::move(config), metadata.file());
}

}  // namespace rankwise
