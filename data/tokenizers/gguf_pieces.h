// The tokenizers of .gguf files that come from sentencepiece ("llama"), as the files that they came
// from.
#pragma once

#include <string>

#include "peft/hub/gguf_model.h"
#include "peft/hub/json.h"

namespace rankwise {

// The bytes of a tokenizer.model (sentencepiece_model.proto): pieces, scores and kinds; text is not
// normalised but for spaces. Errors: kModel: no scores or kinds.
std::string piece_model(const GgufTokenizer& tables);

// `config` as tokenizer_config.json has it for the Llama class.
Json pieces_config(Json config, const GgufTokenizer& tables);

}  // namespace rankwise
