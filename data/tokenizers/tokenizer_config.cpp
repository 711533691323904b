// What transformers changes in a tokenizer.json when it loads it, by the tokenizer_config.json that
// lies beside it: options of the BERT classes, the special tokens of the Llama classes, added
// tokens.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "data/tokenizers/model_folder.h"

namespace rankwise {
namespace {

constexpr std::array<std::string_view, 6> kBertClasses = {
    "BertTokenizer",    "ConvBertTokenizer",   "DistilBertTokenizer",
    "ElectraTokenizer", "MobileBertTokenizer", "SqueezeBertTokenizer"};
constexpr std::array<std::string_view, 3> kLlamaClasses = {"LlamaTokenizer", "CodeLlamaTokenizer",
                                                           "GemmaTokenizer"};

template <class Names>
bool among(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void apply_bert_options(const Section& config, Json& root) {
  Json& normalizer = root["normalizer"];
  if (!normalizer.is_object() || normalizer.value("type", Json()) != "BertNormalizer") return;
  constexpr std::pair<const char*, const char*> kNames[] = {
      {"do_lower_case", "lowercase"},
      {"strip_accents", "strip_accents"},
      {"tokenize_chinese_chars", "handle_chinese_chars"}};
  for (const auto& [option, field] : kNames) {
    if (const auto value = config.boolean(option)) normalizer[field] = *value;
  }
}

std::optional<Json> id_of(const Json& root, const std::string& token) {
  if (root.contains("added_tokens") && root["added_tokens"].is_array()) {
    for (const Json& added : root["added_tokens"]) {
      if (added.is_object() && added.value("content", Json()) == token && added.contains("id"))
        return added["id"];
    }
  }
  const Json& vocabulary =
      root["model"].is_object() ? root["model"].value("vocab", Json()) : Json();
  if (vocabulary.is_object() && vocabulary.contains(token)) return vocabulary[token];
  return std::nullopt;
}

// bos and eos around each sequence, by "add_bos_token" and "add_eos_token".
void apply_llama_template(const Section& config, Json& root) {
  Json around = {{"type", "TemplateProcessing"}, {"special_tokens", Json::object()}};
  for (const char* kind : {"single", "pair"}) around[kind] = Json::array();
  const auto add = [&](const char* option, const char* name, const char* text, bool otherwise,
                       const char* kind, int type_id) {
    if (!config.boolean(option, otherwise)) return;
    const std::string token = special_token(config, name, text);
    const auto id = id_of(root, token);
    if (!id) throw config.error(fmt::format("asks for {} '{}', which has no id", name, token));
    around["special_tokens"][token] = {{"ids", {*id}}};
    around[kind].push_back({{"SpecialToken", {{"id", token}, {"type_id", type_id}}}});
  };
  const auto add_sequence = [&](const char* kind, const char* letter, int type_id) {
    add("add_bos_token", "bos_token", "<s>", true, kind, type_id);
    around[kind].push_back({{"Sequence", {{"id", letter}, {"type_id", type_id}}}});
    add("add_eos_token", "eos_token", "</s>", false, kind, type_id);
  };
  add_sequence("single", "A", 0);
  add_sequence("pair", "A", 0);
  add_sequence("pair", "B", 1);
  root["post_processor"] = around;
}

// The class decides on the space, not the tokenizer.json.
void apply_prefix_space(const Section& config, Json& root) {
  Json& pre_tokenizer = root["pre_tokenizer"];
  if (!pre_tokenizer.is_object() || pre_tokenizer.value("type", Json()) != "ByteLevel") return;
  pre_tokenizer["add_prefix_space"] = config.boolean("add_prefix_space", false);
}

constexpr const char* kFlags[] = {"single_word", "lstrip", "rstrip", "normalized", "special"};

Json as_added_token(const Section& token, bool special) {
  if (!token.json().is_object()) {
    return {{"content", token.as_text()}, {"special", special}, {"normalized", !special}};
  }
  Json made = {{"content", token.text("content")}};
  made["special"] = token.boolean("special", special);
  made["normalized"] = token.boolean("normalized", !made["special"].get<bool>());
  for (const char* flag : {"single_word", "lstrip", "rstrip"})
    made[flag] = token.boolean(flag, false);
  return made;
}

class AddedTokenList {
 public:
  explicit AddedTokenList(Json& root) : root_(root), tokens_(root["added_tokens"]) {
    if (tokens_.is_null()) tokens_ = Json::array();
  }

  bool has(const std::string& content) const { return find(content) != nullptr; }

  // Puts a token in, or changes the flags of the one that is there. As in the library a new one
  // gets the id of the vocabulary, else the next.
  void add(Json token) {
    const std::string content = token["content"];
    if (Json* known = find(content)) {
      for (const char* flag : kFlags) {
        if (token.contains(flag)) (*known)[flag] = token[flag];
      }
      return;
    }
    const auto id = id_of(root_, content);
    token["id"] = id ? *id : Json(next_id());
    tokens_.push_back(token);
  }

 private:
  Json* find(const std::string& content) const {
    for (Json& token : tokens_) {
      if (token.is_object() && token.value("content", Json()) == content) return &token;
    }
    return nullptr;
  }

  uint64_t next_id() const {
    uint64_t next = root_["model"].is_object() ? root_["model"].value("vocab", Json()).size() : 0;
    for (const Json& token : tokens_) {
      const Json id = token.is_object() ? token.value("id", Json()) : Json();
      if (id.is_number_unsigned() && id.get<uint64_t>() < uint64_t(kMostTokens))
        next = std::max(next, id.get<uint64_t>() + 1);
    }
    return next;
  }

  Json& root_;
  Json& tokens_;
};

void apply_added_tokens(const Section& config, Json& root) {
  if (root.contains("added_tokens") && !root["added_tokens"].is_array()) return;  // said later
  AddedTokenList list(root);
  if (config.has("added_tokens_decoder")) {
    const Section decoder = config.at("added_tokens_decoder");
    std::map<int64_t, std::string> by_id;
    if (!decoder.json().is_object()) throw decoder.error("must be an object");
    for (const auto& [id, token] : decoder.json().items()) {
      by_id.emplace(std::strtoll(id.c_str(), nullptr, 10), id);
    }
    for (const auto& [number, id] : by_id) list.add(as_added_token(decoder.at(id), false));
  }
  const auto add_special = [&](const Section& token) {
    Json made = as_added_token(token, true);
    made["special"] = true;
    if (!list.has(made["content"])) list.add(made);
  };
  for (const char* name : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                           "cls_token", "mask_token"}) {
    if (config.has(name)) add_special(config.at(name));
  }
  if (config.has("additional_special_tokens")) {
    for (const Section& token : config.items("additional_special_tokens")) add_special(token);
  }
}

}  // namespace

std::string special_token(const Section& config, const std::string& name,
                          const std::string& otherwise) {
  if (!config.has(name)) return otherwise;
  const Section value = config.at(name);
  return value.json().is_object() ? value.text("content") : value.as_text();
}

bool is_bert_class(const std::string& name) { return among(kBertClasses, name); }

std::string tokenizer_class(const Section& config, const std::string& otherwise) {
  std::string name = config.text("tokenizer_class", otherwise);
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  return name;
}

void apply_config(const Section& config, Json& root) {
  const std::string name = tokenizer_class(config, "BertTokenizer");
  if (is_bert_class(name)) apply_bert_options(config, root);
  if (!among(kLlamaClasses, name)) apply_prefix_space(config, root);
  apply_added_tokens(config, root);
  if (among(kLlamaClasses, name)) apply_llama_template(config, root);
}

TokenizerSettings settings_of(const Section& config, bool clean_up_spaces) {
  TokenizerSettings settings;
  if (config.has("model_max_length")) {
    const Json& length = config.at("model_max_length").json();
    if (!length.is_number()) throw config.at("model_max_length").error("must be a number");
    const double value = length.get<double>();  // 1e30: no limit
    if (value >= 1 && value <= INT32_MAX) settings.model_max_length = static_cast<int64_t>(value);
  }
  const std::string side = config.text("truncation_side", "right");
  if (side != "left" && side != "right")
    throw config.at("truncation_side").error("must be left or right");
  settings.truncate_left = side == "left";
  settings.clean_up_spaces = config.boolean("clean_up_tokenization_spaces", clean_up_spaces);
  return settings;
}

}  // namespace rankwise
