// The tokenizer in a .gguf file's metadata, with the ids that llama.cpp gives. Only byte-level BPE
// ("gpt2").
#include "data/tokenizers/bpe_parts.h"
#include "data/tokenizers/model_folder.h"
#include "peft/hub/gguf_model.h"

namespace rankwise {

std::unique_ptr<Tokenizer> tokenizer_of_gguf(const std::filesystem::path& file) {
  const Gguf gguf = read_gguf(file);
  GgufTokenizer tables = gguf_tokenizer(gguf);
  if (tables.model != "gpt2") {
    throw gguf.metadata.error("tokenizer.ggml.model",
                              fmt::format("is '{}'; tokenizers of 'gpt2' are supported, others "
                                          "where a folder with tokenizer.json is given",
                                          tables.model));
  }
  const auto id_of = [](const std::optional<int64_t>& id) {
    return id ? std::optional(static_cast<int32_t>(*id)) : std::nullopt;
  };
  BpeParts parts;
  parts.tokens = std::move(tables.tokens);
  parts.merges = std::move(tables.merges);
  parts.types.assign(tables.token_type.begin(), tables.token_type.end());
  parts.pre = tables.pre;
  parts.bos = id_of(tables.bos_id);
  parts.eos = id_of(tables.eos_id);
  parts.add_bos = tables.add_bos;
  parts.add_eos = tables.add_eos.value_or(false);
  return make_bpe_from_parts(parts, file.string());
}

}  // namespace rankwise
