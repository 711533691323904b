// Model folders that hold sentencepiece's own file (spiece.model, tokenizer.model) and no
// tokenizer.json: ids as transformers' slow tokenizers give them, by sentencepiece's library.
#pragma once

#include <filesystem>
#include <string>

#include "data/tokenizers/components.h"
#include "data/tokenizers/tokenizer.h"

namespace rankwise {

// By the class: T5 (MT5, the default of spiece.model) or Llama. Errors: kModel: a file that the
// library does not read, another class.
std::unique_ptr<Tokenizer> tokenizer_of_sentencepiece(const std::filesystem::path& file,
                                                      const Section& config);

// The same of what such a file holds. llama: the Llama class, else T5's. `file` is for messages.
std::unique_ptr<Tokenizer> tokenizer_of_pieces(const std::string& bytes, bool llama,
                                               const std::filesystem::path& file,
                                               const Section& config);

}  // namespace rankwise
