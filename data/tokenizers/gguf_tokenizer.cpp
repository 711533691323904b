// The tokenizer in a .gguf file's metadata, with the ids that llama.cpp gives: byte-level BPE
// ("gpt2"), or sentencepiece's pieces with scores ("llama").
#include <map>

#include "data/tokenizers/bpe_parts.h"
#include "data/tokenizers/gguf_pieces.h"
#include "data/tokenizers/model_folder.h"
#include "data/tokenizers/sentencepiece.h"
#include "peft/hub/gguf_model.h"

namespace rankwise {

namespace {

GgufTokenizer tables_of(const Gguf& gguf) {
  GgufTokenizer tables = gguf_tokenizer(gguf);
  if (tables.model != "gpt2" && tables.model != "llama") {
    throw gguf.metadata.error("tokenizer.ggml.model",
                              fmt::format("is '{}'; tokenizers of 'gpt2' and 'llama' are "
                                          "supported, others where a folder with tokenizer.json "
                                          "is given",
                                          tables.model));
  }
  return tables;
}

BpeParts parts_of(GgufTokenizer tables) {
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
  return parts;
}

Json ids_of(const std::vector<std::string>& tokens) {
  Json ids = Json::object();
  for (size_t id = 0; id < tokens.size(); ++id) ids[tokens[id]] = id;
  return ids;
}

// As transformers saves a tokenizer that it knows by tokenizer.json alone.
Json config_of(const GgufTokenizer& tables, const GgufMetadata& metadata) {
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"model_input_names", {"input_ids", "attention_mask"}},
                 {"clean_up_tokenization_spaces", false}};
  const auto add = [&](const char* name, const std::optional<int64_t>& id) {
    if (id) config[name] = tables.tokens[static_cast<size_t>(*id)];
  };
  add("bos_token", tables.bos_id);
  add("eos_token", tables.eos_id);
  add("unk_token", tables.unknown_id);
  add("pad_token", tables.padding_id ? tables.padding_id : tables.eos_id);
  if (tables.chat_template) config["chat_template"] = *tables.chat_template;
  const std::string length = metadata.text("general.architecture") + ".context_length";
  if (metadata.has(length)) config["model_max_length"] = metadata.integer(length);
  return config;
}

}  // namespace

std::unique_ptr<Tokenizer> tokenizer_of_gguf(const std::filesystem::path& file) {
  const Gguf gguf = read_gguf(file);
  const GgufTokenizer tables = tables_of(gguf);
  if (tables.model == "gpt2") return make_bpe_from_parts(parts_of(tables), file.string());
  const Json config = pieces_config(config_of(tables, gguf.metadata), tables);
  return tokenizer_of_pieces(piece_model(tables), true, file, Section(config, file.string()));
}

std::map<std::string, std::string> tokenizer_files_of_gguf(const std::filesystem::path& file) {
  const Gguf gguf = read_gguf(file);
  const GgufTokenizer tables = tables_of(gguf);
  const Json config = config_of(tables, gguf.metadata);
  if (tables.model == "llama")
    return {{"tokenizer.model", piece_model(tables)},
            {"tokenizer_config.json", pretty(pieces_config(config, tables))}};
  Json tokenizer = tokenizer_json(parts_of(tables), file.string());
  tokenizer["model"]["vocab"] = ids_of(tables.tokens);
  return {{"tokenizer.json", pretty(tokenizer)}, {"tokenizer_config.json", pretty(config)}};
}

}  // namespace rankwise
