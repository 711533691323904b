// What a GGUF file of a llama-like model says, in Hugging Face's words: config.json, the names of
// tensors, and the tokenizer's tables.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "peft/hub/gguf.h"
#include "peft/hub/model_folder.h"

namespace rankwise {

bool is_gguf(const std::filesystem::path& model);  // by its ending

// The architectures that are known: llama (Mistral's models too), qwen2, qwen3, gemma2. Errors:
// kModel: another one, a key missing or of another kind, mixtures of experts.
Config gguf_config(const Gguf& gguf);

// The model's tensors under Hugging Face's names, with what the format did to them (llama: rows of
// queries and keys interleaved; gemma2: 1 added to norms). Others keep their names.
std::vector<TensorEntry> gguf_model_tensors(const Gguf& gguf);

// "blk.0.attn_q" ↔ "model.layers.0.self_attn.q_proj"; nothing where the table has no such module.
std::optional<std::string> huggingface_module(const std::string& gguf_name,
                                              const std::string& architecture);
std::optional<std::string> gguf_module(const std::string& huggingface_name,
                                       const std::string& architecture);
// Heads whose rows the format interleaves in this module ("blk.0.attn_q"); 0: it leaves them alone.
int64_t interleaved_heads(const std::string& gguf_name, const std::string& architecture,
                          int64_t heads, int64_t key_value_heads);
// Row `row` of a file's matrix of `rows` rows with interleaved heads is this row of the model's.
inline int64_t model_row(int64_t row, int64_t rows, int64_t heads) {
  const int64_t size = rows / heads, in_head = row % size;
  return row - in_head + in_head % 2 * (size / 2) + in_head / 2;
}

// The tables of `tokenizer.ggml.*`. Lists that are there have an entry a token (merges apart); ids
// are within them.
struct GgufTokenizer {
  std::string model;  // "gpt2", "llama", …
  std::string pre;    // "smollm" …: how text is split first; may be empty
  std::vector<std::string> tokens, merges;
  std::vector<int64_t> token_type;  // 1 normal, 2 unknown, 3 control, 4 user's, 5 unused, 6 byte
  std::vector<double> scores;
  std::optional<int64_t> bos_id, eos_id, unknown_id, padding_id;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
  std::optional<std::string> chat_template;
};
// Errors: kModel: no tokenizer, lists of different lengths, ids beyond them.
GgufTokenizer gguf_tokenizer(const Gguf& gguf);

}  // namespace rankwise
