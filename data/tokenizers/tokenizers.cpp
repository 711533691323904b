// Which type of a tokenizer.json is made by which function. To add one: its file, its line here.
#include <fmt/format.h>

#include "data/tokenizers/components.h"

namespace rankwise {
namespace {

template <class Made>
struct Kind {
  std::string_view type;
  Made (*make)(const Section&);
};

constexpr Kind<Normalizer> kNormalizers[] = {
    {"BertNormalizer", bert_normalizer},
    {"ByteLevel", byte_level_normalizer},
    {"Lowercase", lowercase_normalizer},
    {"NFC", unicode_form_normalizer},
    {"NFD", unicode_form_normalizer},
    {"NFKC", unicode_form_normalizer},
    {"NFKD", unicode_form_normalizer},
    {"Nmt", nmt_normalizer},
    {"Precompiled", precompiled_normalizer},
    {"Prepend", prepend_normalizer},
    {"Replace", replace_normalizer},
    {"Sequence", sequence_normalizer},
    {"Strip", strip_normalizer},
    {"StripAccents", strip_accents_normalizer},
};
constexpr Kind<PreTokenizer> kPreTokenizers[] = {
    {"BertPreTokenizer", bert_pre_tokenizer},
    {"ByteLevel", byte_level_pre_tokenizer},
    {"CharDelimiterSplit", char_delimiter_pre_tokenizer},
    {"Digits", digits_pre_tokenizer},
    {"Metaspace", metaspace_pre_tokenizer},
    {"Punctuation", punctuation_pre_tokenizer},
    {"Sequence", sequence_pre_tokenizer},
    {"Split", split_pre_tokenizer},
    {"Whitespace", whitespace_pre_tokenizer},
    {"WhitespaceSplit", whitespace_split_pre_tokenizer},
};
constexpr Kind<std::unique_ptr<Model>> kModels[] = {
    {"BPE", bpe_model},
    {"Unigram", unigram_model},
    {"WordPiece", wordpiece_model},
};
constexpr Kind<Template> kPostProcessors[] = {
    {"BertProcessing", bert_processing},         {"ByteLevel", byte_level_processing},
    {"RobertaProcessing", roberta_processing},   {"Sequence", sequence_processing},
    {"TemplateProcessing", template_processing},
};
constexpr Kind<Decoder> kDecoders[] = {
    {"BPEDecoder", bpe_decoder},       {"ByteFallback", byte_fallback_decoder},
    {"ByteLevel", byte_level_decoder}, {"Fuse", fuse_decoder},
    {"Metaspace", metaspace_decoder},  {"Replace", replace_decoder},
    {"Sequence", sequence_decoder},    {"Strip", strip_decoder},
    {"WordPiece", wordpiece_decoder},
};

template <class Kinds>
auto make(const Kinds& kinds, const Section& section, const std::string& type) {
  std::string known;
  for (const auto& kind : kinds) {
    if (kind.type == type) return kind.make(section);
    known += (known.empty() ? "" : ", ") + std::string(kind.type);
  }
  throw section.error(
      fmt::format("has the type '{}', which is not supported (known: {})", type, known));
}

// Files of 2020 leave out the model's type.
std::string type_of_model(const Section& section) {
  if (section.has("type") || !section.has("vocab")) return section.text("type");
  if (section.has("merges")) return "BPE";
  return section.at("vocab").json().is_array() ? "Unigram" : "WordPiece";
}

}  // namespace

Normalizer make_normalizer(const Section& section) {
  return make(kNormalizers, section, section.text("type"));
}
PreTokenizer make_pre_tokenizer(const Section& section) {
  return make(kPreTokenizers, section, section.text("type"));
}
std::unique_ptr<Model> make_model(const Section& section) {
  return make(kModels, section, type_of_model(section));
}
Template make_template(const Section& section) {
  return make(kPostProcessors, section, section.text("type"));
}
Decoder make_decoder(const Section& section) {
  return make(kDecoders, section, section.text("type"));
}

}  // namespace rankwise
