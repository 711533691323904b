// What stands around a tokenizer.json: its options in tokenizer_config.json, and the older files
// that transformers makes one of. All of it becomes one tokenizer.json, so that there is one road.
#pragma once

#include <filesystem>

#include "data/tokenizers/pipeline.h"

namespace rankwise {

// A special token's text: "[CLS]" or {"content": "[CLS]", …}.
std::string special_token(const Section& config, const std::string& name,
                          const std::string& otherwise);
// "LlamaTokenizerFast" → "LlamaTokenizer". `otherwise` where the config names none.
std::string tokenizer_class(const Section& config, const std::string& otherwise);
bool is_bert_class(const std::string& name);  // those that read vocab.txt

// tokenizer_config.cpp. Changes in a tokenizer.json what transformers changes when it loads it.
// Errors: kModel.
void apply_config(const Section& config, Json& root);
TokenizerSettings settings_of(const Section& config, bool clean_up_spaces);

// older_files.cpp. The tokenizer.json that transformers would make. Errors: kModel.
Json bert_from_vocabulary(const std::filesystem::path& file, const Section& config);
Json gpt2_from_vocabulary(const std::filesystem::path& vocabulary,
                          const std::filesystem::path& merges, const Section& config);

// gguf_tokenizer.cpp. Errors: kModel: the file has no tokenizer, or one that is neither byte-level
// BPE nor sentencepiece's.
std::unique_ptr<Tokenizer> tokenizer_of_gguf(const std::filesystem::path& file);

}  // namespace rankwise
