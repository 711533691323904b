// The parts of a tokenizer.json and the functions that make them:
//   added tokens → normalizer → pre-tokenizer → model → post-processor, and the decoder back.
// The tables that say which type is made by which function are in tokenizers.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizers/origins.h"
#include "data/tokenizers/section.h"
#include "data/tokenizers/vocabulary.h"

namespace rankwise {

// Rewrites a text, valid UTF-8 before and after, and its origins with it, unless they are null.
using Normalizer = std::function<void(std::string& text, Origins* origins)>;

// A text in pieces. A pre-tokenizer that writes new text keeps it in `written`.
struct Pieces {
  std::vector<std::string_view> texts;
  std::list<std::string> written;
  const char* row_start = nullptr;  // where the row begins, if these pieces are of its beginning
  // Null where nobody asks: for each byte of `written` the one that it was made of.
  std::unordered_map<const char*, const char*>* sources = nullptr;

  // Notes that `count` bytes at `made`, which is in `written`, were made of the one at `source`.
  void note(const char* made, size_t count, const char* source) {
    for (size_t i = 0; sources && i < count; ++i) sources->emplace(made + i, source);
  }
};
// Cuts each piece further.
using PreTokenizer = std::function<void(Pieces& pieces)>;

struct PieceToken {
  int32_t id;
  size_t begin, end;  // bytes of the piece
};

class Model {
 public:
  virtual ~Model() = default;
  virtual void append_ids(std::string_view piece, std::vector<int32_t>& ids) const = 0;
  // The same, and where each token stands. Slower.
  virtual void append_tokens(std::string_view piece, std::vector<PieceToken>& tokens) const = 0;
  virtual const Vocabulary& vocabulary() const = 0;
};

// A post-processor, which of them it may be: what stands around the sequences.
struct Template {
  struct Part {
    char sequence = 0;  // 'A', 'B', or 0: `ids`
    std::vector<int32_t> ids;
    int32_t type_id = 0;
  };
  std::vector<Part> single, pair;
};

// Rewrites tokens so that, joined, they are the text. One step; steps may follow each other.
using Decoder = std::function<void(std::vector<std::string>& tokens)>;

// By the section's "type". Errors: kModel: unknown (names those that are known), fields amiss.
Normalizer make_normalizer(const Section& section);
PreTokenizer make_pre_tokenizer(const Section& section);
std::unique_ptr<Model> make_model(const Section& section);
Template make_template(const Section& section);
Decoder make_decoder(const Section& section);

Normalizer bert_normalizer(const Section& section);       // bert_normalizer.cpp
Normalizer lowercase_normalizer(const Section& section);  // normalizers.cpp
Normalizer strip_accents_normalizer(const Section& section);
Normalizer unicode_form_normalizer(const Section& section);  // NFC, NFD, NFKC, NFKD
Normalizer replace_normalizer(const Section& section);
Normalizer sequence_normalizer(const Section& section);
Normalizer strip_normalizer(const Section& section);
Normalizer prepend_normalizer(const Section& section);
Normalizer nmt_normalizer(const Section& section);
Normalizer byte_level_normalizer(const Section& section);   // byte_level.cpp
Normalizer precompiled_normalizer(const Section& section);  // precompiled.cpp
PreTokenizer bert_pre_tokenizer(const Section& section);    // pre_tokenizers.cpp
PreTokenizer whitespace_pre_tokenizer(const Section& section);
PreTokenizer whitespace_split_pre_tokenizer(const Section& section);
PreTokenizer sequence_pre_tokenizer(const Section& section);
PreTokenizer byte_level_pre_tokenizer(const Section& section);  // byte_level.cpp
PreTokenizer split_pre_tokenizer(const Section& section);       // split.cpp
PreTokenizer digits_pre_tokenizer(const Section& section);
PreTokenizer punctuation_pre_tokenizer(const Section& section);
PreTokenizer char_delimiter_pre_tokenizer(const Section& section);
PreTokenizer metaspace_pre_tokenizer(const Section& section);    // metaspace.cpp
std::unique_ptr<Model> wordpiece_model(const Section& section);  // wordpiece.cpp
std::unique_ptr<Model> bpe_model(const Section& section);        // bpe.cpp
std::unique_ptr<Model> unigram_model(const Section& section);    // unigram.cpp
Template plain_template();                                       // post_processors.cpp
Template template_processing(const Section& section);
Template bert_processing(const Section& section);
Template roberta_processing(const Section& section);
Template byte_level_processing(const Section& section);  // adds nothing
Template sequence_processing(const Section& section);
Decoder wordpiece_decoder(const Section& section);  // decoders.cpp
Decoder bpe_decoder(const Section& section);
Decoder byte_fallback_decoder(const Section& section);
Decoder fuse_decoder(const Section& section);
Decoder strip_decoder(const Section& section);
Decoder replace_decoder(const Section& section);
Decoder sequence_decoder(const Section& section);
Decoder byte_level_decoder(const Section& section);  // byte_level.cpp
Decoder metaspace_decoder(const Section& section);   // metaspace.cpp

// " ." → "." and the like, as transformers' clean_up_tokenization_spaces has it. decoders.cpp
void clean_up_spaces(std::string& text);
void replace_all(std::string& text, std::string_view from, std::string_view to);  // normalizers.cpp
void strip_spaces(std::string& text, bool left, bool right, Origins* origins = nullptr);

}  // namespace rankwise
