// Writes the few fields of sentencepiece_model.proto that matter, in protobuf's wire format
// (https://protobuf.dev/programming-guides/encoding).
#include "data/tokenizers/gguf_pieces.h"

#include <cstring>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

// A message that is being written; fields by number.
class Message {
 public:
  void number(int field, uint64_t value) {
    varint(static_cast<uint64_t>(field) << 3);
    varint(value);
  }
  void real(int field, float value) {
    varint(static_cast<uint64_t>(field) << 3 | 5);
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    bytes_.append(bytes, sizeof value);
  }
  void text(int field, const std::string& value) {
    varint(static_cast<uint64_t>(field) << 3 | 2);
    varint(value.size());
    bytes_ += value;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(uint64_t value) {
    for (; value > 0x7F; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

constexpr int64_t kControlKind = 3;  // of GGUF's and of sentencepiece's kinds, which are the same

}  // namespace

std::string piece_model(const GgufTokenizer& tables) {
  const size_t size = tables.tokens.size();
  if (tables.scores.size() != size || tables.token_type.size() != size)
    throw model_error("tokenizer.ggml: {} tokens, {} scores, {} kinds", size, tables.scores.size(),
                      tables.token_type.size());
  Message model;
  for (size_t id = 0; id < size; ++id) {
    Message piece;
    piece.text(1, tables.tokens[id]);
    piece.real(2, static_cast<float>(tables.scores[id]));
    piece.number(3, static_cast<uint64_t>(tables.token_type[id]));
    model.text(1, piece.bytes());
  }
  Message trainer;
  trainer.number(3, 2);   // model_type BPE
  trainer.number(35, 1);  // byte_fallback
  trainer.number(40, static_cast<uint64_t>(tables.unknown_id.value_or(0)));
  if (tables.bos_id) trainer.number(41, static_cast<uint64_t>(*tables.bos_id));
  if (tables.eos_id) trainer.number(42, static_cast<uint64_t>(*tables.eos_id));
  Message normalizer;
  normalizer.text(1, "identity");
  normalizer.number(3, tables.add_space_prefix.value_or(true));  // add_dummy_prefix
  normalizer.number(4, 0);                                       // remove_extra_whitespaces
  normalizer.number(5, 1);                                       // escape_whitespaces
  model.text(2, trainer.bytes());
  model.text(3, normalizer.bytes());
  return model.bytes();
}

Json pieces_config(Json config, const GgufTokenizer& tables) {
  config["tokenizer_class"] = "LlamaTokenizer";
  config["legacy"] = true;
  config["add_bos_token"] = tables.add_bos.value_or(true);
  config["add_eos_token"] = tables.add_eos.value_or(false);
  Json added = Json::object();
  for (size_t id = 0; id < tables.token_type.size(); ++id) {
    if (tables.token_type[id] != kControlKind) continue;
    added[std::to_string(id)] = {{"content", tables.tokens[id]},
                                 {"special", true},
                                 {"normalized", false},
                                 {"lstrip", false},
                                 {"rstrip", false},
                                 {"single_word", false}};
  }
  config["added_tokens_decoder"] = std::move(added);
  return config;
}

}  // namespace rankwise
