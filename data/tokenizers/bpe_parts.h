// A byte-level BPE tokenizer from its parts, as a GGUF file's metadata has them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizers/tokenizer.h"
#include "peft/hub/json.h"

namespace rankwise {

struct BpeParts {
  std::vector<std::string> tokens;  // by id, in GPT-2's alphabet
  std::vector<std::string> merges;  // "a b", the first learned first
  std::vector<int32_t> types;  // of each token, by GGUF: 3 control, 4 user defined; may be empty
  std::string pre;             // how words are cut: smollm, llama-bpe, gpt-2, qwen2 …
  std::optional<int32_t> bos, eos;
  std::optional<bool> add_bos;  // before each sequence; absent: as `pre` has it
  bool add_eos = false;         // behind it
};

// What tokenizer.json says of it, but for the vocabulary, a list of tokens here. `where`: the file,
// for messages. Errors: kModel: an unknown `pre`, ids or merges amiss.
Json tokenizer_json(const BpeParts& parts, const std::string& where);
std::unique_ptr<Tokenizer> make_bpe_from_parts(const BpeParts& parts, const std::string& where);

}  // namespace rankwise
