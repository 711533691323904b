// A model folder's tokenizer files to a Tokenizer. A vocab.txt is first written as the
// tokenizer.json that transformers would make of it, so that both take one road.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "data/tokenizers/pipeline.h"
#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

// The classes whose options in tokenizer_config.json decide the normalizer, and that read
// vocab.txt.
constexpr std::array<std::string_view, 6> kBertClasses = {
    "BertTokenizer",    "ConvBertTokenizer",   "DistilBertTokenizer",
    "ElectraTokenizer", "MobileBertTokenizer", "SqueezeBertTokenizer"};

bool is_bert(std::string name) {
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  return std::find(kBertClasses.begin(), kBertClasses.end(), name) != kBertClasses.end();
}

TokenizerSettings settings_of(const Section& config, bool from_vocabulary) {
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
  settings.clean_up_spaces = config.boolean("clean_up_tokenization_spaces", from_vocabulary);
  return settings;
}

// What a BERT class of transformers changes in the normalizer of a tokenizer.json.
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

Json vocabulary_of(const fs::path& file) {
  const std::string text = read_text_file(file, ErrorKind::kModel);
  if (unicode::with_replacements(text) != text)
    throw model_error("{}: invalid UTF-8", file.string());
  Json vocabulary = Json::object();
  uint64_t id = 0;
  for (size_t begin = 0; begin < text.size(); ++id) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string token = text.substr(begin, end - begin);
    if (token.ends_with('\r')) token.pop_back();
    vocabulary[token] = id;  // the last of equal lines stays, as in transformers
    begin = end + 1;
  }
  if (vocabulary.empty()) throw model_error("{}: no tokens", file.string());
  return vocabulary;
}

// A special token's text: "[CLS]" or {"content": "[CLS]", …}.
std::string special_token(const Section& config, const std::string& name,
                          const std::string& otherwise) {
  if (!config.has(name)) return otherwise;
  const Section value = config.at(name);
  return value.json().is_object() ? value.text("content") : value.as_text();
}

Json bert_from_vocabulary(const fs::path& file, const Section& config) {
  const Json vocabulary = vocabulary_of(file);
  const auto id_of = [&](const std::string& name, const std::string& token) -> const Json& {
    if (!vocabulary.contains(token))
      throw model_error("{}: no '{}' ({})", file.string(), token, name);
    return vocabulary.at(token);
  };
  const std::string cls = special_token(config, "cls_token", "[CLS]");
  const std::string sep = special_token(config, "sep_token", "[SEP]");
  const std::string unk = special_token(config, "unk_token", "[UNK]");
  const std::string pad = special_token(config, "pad_token", "[PAD]");
  const std::string mask = special_token(config, "mask_token", "[MASK]");
  Json added = Json::array();
  for (const std::string& token : {pad, unk, cls, sep, mask}) {
    if (!vocabulary.contains(token)) continue;
    added.push_back({{"content", token}, {"id", vocabulary.at(token)}, {"special", true}});
  }
  return {{"added_tokens", added},
          {"normalizer", {{"type", "BertNormalizer"}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"post_processor",
           {{"type", "BertProcessing"},
            {"cls", {cls, id_of("cls_token", cls)}},
            {"sep", {sep, id_of("sep_token", sep)}}}},
          {"decoder", {{"type", "WordPiece"}}},
          {"model", {{"type", "WordPiece"}, {"unk_token", unk}, {"vocab", vocabulary}}}};
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& folder) {
  const fs::path full = folder / "tokenizer.json", plain = folder / "vocab.txt";
  const fs::path config_file = folder / "tokenizer_config.json";
  const bool has_full = fs::exists(full);
  if (!has_full && !fs::exists(plain)) return nullptr;
  const Json config_json = fs::exists(config_file) ? read_json(config_file) : Json::object();
  const Section config(config_json, config_file.string());
  const std::string tokenizer_class = config.text("tokenizer_class", "BertTokenizer");
  if (!has_full && !is_bert(tokenizer_class)) {
    throw model_error("{}: a {} needs a tokenizer.json", plain.string(), tokenizer_class);
  }
  Json root = has_full ? read_json(full) : bert_from_vocabulary(plain, config);
  const Section section(root, has_full ? full.string() : plain.string());
  section.has("model");  // an object, or an error
  if (is_bert(tokenizer_class)) apply_bert_options(config, root);
  return std::make_unique<Pipeline>(section, settings_of(config, !has_full));
}

}  // namespace rankwise
