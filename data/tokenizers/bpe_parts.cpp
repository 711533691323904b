// Parts to the tokenizer.json that says the same, so that there is one road.
#include "data/tokenizers/bpe_parts.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "data/tokenizers/pipeline.h"
#include "data/tokenizers/unicode.h"
#include "data/tokenizers/word_scanner.h"

namespace rankwise {
namespace {

constexpr int32_t kControl = 3, kUserDefined = 4;

Json words_by(std::string_view expression) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", expression}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

// How texts are cut into words: llama.cpp's names, of which several mean the same.
struct Cut {
  std::vector<std::string_view> names;
  std::string_view words;  // the expression
  bool digits_apart = false, whole_words = false, adds_bos = false;
};

const std::vector<Cut>& cuts() {
  static const std::vector<Cut> all = {
      {.names = {"smollm", "starcoder", "refact", "command-r", "codeshell"},
       .words = kGpt2Words,
       .digits_apart = true},
      {.names = {"llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"},
       .words = kLlama3Words,
       .whole_words = true,
       .adds_bos = true},
      {.names = {"gpt-2", "phi-2"}, .words = kGpt2Words},
      {.names = {"qwen2", "stablelm2", "deepseek-r1-qwen"}, .words = kQwen2Words}};
  return all;
}

const Cut& cut_named(const std::string& pre, const std::string& where) {
  std::vector<std::string_view> known;
  for (const Cut& cut : cuts()) {
    if (std::find(cut.names.begin(), cut.names.end(), pre) != cut.names.end()) return cut;
    known.insert(known.end(), cut.names.begin(), cut.names.end());
  }
  throw model_error("{}: tokens are cut by '{}' (known: {})", where, pre, fmt::join(known, ", "));
}

Json byte_level() {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", false}};
}

Json pre_tokenizer_of(const Cut& cut) {
  Json steps = Json::array();
  if (cut.digits_apart) steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  steps.push_back(words_by(cut.words));
  steps.push_back(byte_level());
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

Json added_tokens_of(const BpeParts& parts) {
  Json added = Json::array();
  for (size_t id = 0; id < parts.types.size(); ++id) {
    if (parts.types[id] != kControl && parts.types[id] != kUserDefined) continue;
    added.push_back({{"id", id},
                     {"content", parts.tokens[id]},
                     {"special", parts.types[id] == kControl},
                     {"normalized", false},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false}});
  }
  return added;
}

Json template_of(const BpeParts& parts, bool add_bos) {
  Json made = {{"type", "TemplateProcessing"}, {"special_tokens", Json::object()}};
  const auto add = [&](bool wanted, std::optional<int32_t> id, const char* name, int type_id,
                       Json& pieces) {
    if (!wanted || !id) return;
    const auto index = static_cast<size_t>(*id);
    made["special_tokens"][name] = {
        // an id beyond the tokens is refused by who reads this
        {"id", name},
        {"ids", {*id}},
        {"tokens", {index < parts.tokens.size() ? parts.tokens[index] : ""}}};
    pieces.push_back({{"SpecialToken", {{"id", name}, {"type_id", type_id}}}});
  };
  const auto sequence = [&](const char* letter, int type_id, Json& pieces) {
    add(add_bos, parts.bos, "bos", type_id, pieces);
    pieces.push_back({{"Sequence", {{"id", letter}, {"type_id", type_id}}}});
    add(parts.add_eos, parts.eos, "eos", type_id, pieces);
  };
  Json single = Json::array(), pair = Json::array();
  sequence("A", 0, single);
  sequence("A", 0, pair);
  sequence("B", 1, pair);
  made["single"] = single;
  made["pair"] = pair;
  return made;
}

}  // namespace

Json tokenizer_json(const BpeParts& parts, const std::string& where) {
  if (!parts.types.empty() && parts.types.size() != parts.tokens.size()) {
    throw model_error("{}: {} tokens and {} token types", where, parts.tokens.size(),
                      parts.types.size());
  }
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    if (unicode::with_replacements(parts.tokens[id]) != parts.tokens[id])
      throw model_error("{}: token {} is not UTF-8", where, id);
  }
  const Cut& cut = cut_named(parts.pre, where);
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens_of(parts)},
          {"normalizer", nullptr},
          {"pre_tokenizer", pre_tokenizer_of(cut)},
          {"post_processor", template_of(parts, parts.add_bos.value_or(cut.adds_bos))},
          {"decoder", byte_level()},
          {"model",
           {{"type", "BPE"},
            {"ignore_merges", cut.whole_words},
            {"vocab", parts.tokens},
            {"merges", parts.merges}}}};
}

std::unique_ptr<Tokenizer> make_bpe_from_parts(const BpeParts& parts, const std::string& where) {
  return std::make_unique<Pipeline>(Section(tokenizer_json(parts, where), where),
                                    TokenizerSettings{});
}

}  // namespace rankwise
