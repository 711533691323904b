// Parts to the tokenizer.json that says the same, so that there is one road.
#include "data/tokenizers/bpe_parts.h"

#include <fmt/format.h>

#include "data/tokenizers/pipeline.h"
#include "data/tokenizers/word_scanner.h"

namespace rankwise {
namespace {

constexpr int32_t kControl = 3, kUserDefined = 4;

Json words_by(std::string_view expression) {
  return {{"type", "Split"}, {"pattern", {{"Regex", expression}}}};
}

Json pre_tokenizer_of(const std::string& pre, const std::string& where) {
  const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  Json steps = Json::array();
  if (pre == "smollm")
    steps = {{{"type", "Digits"}, {"individual_digits", true}}, words_by(kGpt2Words)};
  if (pre == "gpt-2") steps = {words_by(kGpt2Words)};
  if (pre == "llama-bpe") steps = {words_by(kLlama3Words)};
  if (pre == "qwen2") steps = {words_by(kQwen2Words)};
  if (steps.empty()) {
    throw model_error("{}: tokens are cut by '{}' (known: smollm, llama-bpe, gpt-2, qwen2)", where,
                      pre);
  }
  steps.push_back(bytes);
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

Json added_tokens_of(const BpeParts& parts) {
  Json added = Json::array();
  for (size_t id = 0; id < parts.types.size(); ++id) {
    if (parts.types[id] != kControl && parts.types[id] != kUserDefined) continue;
    added.push_back({{"id", id},
                     {"content", parts.tokens[id]},
                     {"special", parts.types[id] == kControl},
                     {"normalized", false}});
  }
  return added;
}

Json template_of(const BpeParts& parts) {
  Json made = {{"type", "TemplateProcessing"}, {"special_tokens", Json::object()}};
  const auto add = [&](bool wanted, std::optional<int32_t> id, const char* name, Json& pieces) {
    if (!wanted || !id) return;
    made["special_tokens"][name] = {{"ids", {*id}}};
    pieces.push_back({{"SpecialToken", {{"id", name}, {"type_id", 0}}}});
  };
  const auto sequence = [&](const char* letter, Json& pieces) {
    add(parts.add_bos, parts.bos, "bos", pieces);
    pieces.push_back({{"Sequence", {{"id", letter}, {"type_id", 0}}}});
    add(parts.add_eos, parts.eos, "eos", pieces);
  };
  Json single = Json::array(), pair = Json::array();
  sequence("A", single);
  sequence("A", pair);
  sequence("B", pair);
  made["single"] = single;
  made["pair"] = pair;
  return made;
}

}  // namespace

std::unique_ptr<Tokenizer> make_bpe_from_parts(const BpeParts& parts, const std::string& where) {
  if (!parts.types.empty() && parts.types.size() != parts.tokens.size()) {
    throw model_error("{}: {} tokens and {} token types", where, parts.tokens.size(),
                      parts.types.size());
  }
  const Json root = {{"added_tokens", added_tokens_of(parts)},
                     {"pre_tokenizer", pre_tokenizer_of(parts.pre, where)},
                     {"post_processor", template_of(parts)},
                     {"decoder", {{"type", "ByteLevel"}}},
                     {"model",
                      {{"type", "BPE"},
                       {"ignore_merges", parts.pre == "llama-bpe"},
                       {"vocab", parts.tokens},
                       {"merges", parts.merges}}}};
  return std::make_unique<Pipeline>(Section(root, where), TokenizerSettings{});
}

}  // namespace rankwise
