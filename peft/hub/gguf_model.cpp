// The table of tensor names (llama.cpp's gguf-py/gguf/tensor_mapping.py) and the tokenizer's
// tables.
#include "peft/hub/gguf_model.h"

#include <algorithm>

namespace rankwise {
namespace {

struct Module {
  std::string_view gguf, huggingface;
  std::string_view architecture = "";  // only this one; a row before the general one
};

// Outside the layers, and in layer N after "blk.N." and "model.layers.N.".
constexpr Module kOuter[] = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
constexpr Module kInLayer[] = {
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"post_attention_norm", "post_attention_layernorm", "gemma2"},
    {"ffn_norm", "pre_feedforward_layernorm", "gemma2"},
    {"post_ffw_norm", "post_feedforward_layernorm", "gemma2"},
    {"ffn_norm", "post_attention_layernorm"},
};
constexpr std::string_view kGgufLayer = "blk.", kLayer = "model.layers.";

// `name` in one column of the table to the other.
std::optional<std::string> translate(const std::string& name, const std::string& architecture,
                                     std::string_view Module::*from, std::string_view Module::*to,
                                     std::string_view layer_from, std::string_view layer_to) {
  for (const Module& row : kOuter) {
    if (row.*from == name) return std::string(row.*to);
  }
  if (!name.starts_with(layer_from)) return std::nullopt;
  const size_t end = name.find('.', layer_from.size());
  if (end == std::string::npos) return std::nullopt;
  const std::string number = name.substr(layer_from.size(), end - layer_from.size());
  const std::string rest = name.substr(end + 1);
  for (const Module& row : kInLayer) {
    if (row.*from == rest && (row.architecture.empty() || row.architecture == architecture))
      return fmt::format("{}{}.{}", layer_to, number, row.*to);
  }
  return std::nullopt;
}

bool is_norm(const std::string& name) { return name.ends_with("norm.weight"); }

}  // namespace

bool is_gguf(const std::filesystem::path& model) { return model.extension() == ".gguf"; }

std::optional<std::string> huggingface_module(const std::string& gguf_name,
                                              const std::string& architecture) {
  return translate(gguf_name, architecture, &Module::gguf, &Module::huggingface, kGgufLayer,
                   kLayer);
}

std::optional<std::string> gguf_module(const std::string& huggingface_name,
                                       const std::string& architecture) {
  return translate(huggingface_name, architecture, &Module::huggingface, &Module::gguf, kLayer,
                   kGgufLayer);
}

int64_t interleaved_heads(const std::string& gguf_name, const std::string& architecture,
                          int64_t heads, int64_t key_value_heads) {
  if (architecture != "llama") return 0;
  if (gguf_name.ends_with(".attn_q")) return heads;
  return gguf_name.ends_with(".attn_k") ? key_value_heads : 0;
}

std::vector<TensorEntry> gguf_model_tensors(const Gguf& gguf) {
  const Config config = gguf_config(gguf);
  const std::string architecture = gguf.metadata.text("general.architecture");
  const int64_t heads = config.integer("num_attention_heads");
  const int64_t key_value_heads = config.integer("num_key_value_heads");
  std::vector<TensorEntry> tensors = gguf.tensors;
  for (TensorEntry& entry : tensors) {
    const size_t dot = entry.name.rfind('.');
    if (dot == std::string::npos) continue;
    const std::string module = entry.name.substr(0, dot), kind = entry.name.substr(dot);
    const auto name = huggingface_module(module, architecture);
    if (!name) continue;
    entry.interleaved_heads = interleaved_heads(module, architecture, heads, key_value_heads);
    if (entry.interleaved_heads > 0 &&
        (entry.shape.empty() || entry.shape[0] % (2 * entry.interleaved_heads) != 0)) {
      throw model_error("{}: tensor '{}' has shape {}, which is not that of {} heads",
                        entry.file.string(), entry.name, shape_text(entry.shape),
                        entry.interleaved_heads);
    }
    if (architecture == "gemma2" && is_norm(entry.name)) entry.added = 1;
    entry.name = *name + kind;
  }
  return tensors;
}

GgufTokenizer gguf_tokenizer(const Gguf& gguf) {
  const GgufMetadata& metadata = gguf.metadata;
  const std::string prefix = "tokenizer.ggml.";
  GgufTokenizer result;
  result.model = metadata.text(prefix + "model");
  result.tokens = metadata.texts(prefix + "tokens");
  const auto has = [&](const std::string& name) { return metadata.has(prefix + name); };
  if (has("pre")) result.pre = metadata.text(prefix + "pre");
  if (has("merges")) result.merges = metadata.texts(prefix + "merges");
  if (has("token_type")) result.token_type = metadata.integers(prefix + "token_type");
  if (has("scores")) result.scores = metadata.numbers(prefix + "scores");
  for (const auto& [name, size] :
       {std::pair{"token_type", result.token_type.size()}, {"scores", result.scores.size()}}) {
    if (has(name) && size != result.tokens.size())
      throw metadata.error(prefix + name, fmt::format("has {} entries, but there are {} tokens",
                                                      size, result.tokens.size()));
  }
  for (auto [name, id] : {std::pair{"bos_token_id", &result.bos_id},
                          {"eos_token_id", &result.eos_id},
                          {"unknown_token_id", &result.unknown_id},
                          {"padding_token_id", &result.padding_id}}) {
    if (!has(name)) continue;
    *id = metadata.integer(prefix + name);
    if (**id < 0 || **id >= static_cast<int64_t>(result.tokens.size()))
      throw metadata.error(
          prefix + name, fmt::format("is {}, but there are {} tokens", **id, result.tokens.size()));
  }
  for (auto [name, flag] : {std::pair{"add_bos_token", &result.add_bos},
                            {"add_eos_token", &result.add_eos},
                            {"add_space_prefix", &result.add_space_prefix}}) {
    if (has(name)) *flag = metadata.boolean(prefix + name);
  }
  if (metadata.has("tokenizer.chat_template"))
    result.chat_template = metadata.text("tokenizer.chat_template");
  return result;
}

}  // namespace rankwise
