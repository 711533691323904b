// Model folders without a tokenizer.json: a vocab.txt, or vocab.json and merges.txt, written as the
// tokenizer.json that transformers would make of it.
#include <fmt/format.h>

#include "data/tokenizers/model_folder.h"
#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

std::string read_utf8(const fs::path& file) {
  std::string text = read_text_file(file, ErrorKind::kModel);
  if (unicode::with_replacements(text) != text)
    throw model_error("{}: invalid UTF-8", file.string());
  return text;
}

Json vocabulary_of(const fs::path& file) {
  const std::string text = read_utf8(file);
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

bool is_roberta(const std::string& tokenizer_class) {
  return tokenizer_class == "RobertaTokenizer" || tokenizer_class == "BartTokenizer" ||
         tokenizer_class == "LongformerTokenizer";
}

// Two tokens a line; the first line is a version, and the last one ends the file.
Json merges_of(const fs::path& file) {
  const std::string text = read_utf8(file);
  Json merges = Json::array();
  size_t begin = std::min(text.find('\n'), text.size());
  for (size_t end; (end = text.find('\n', begin + 1)) != text.npos; begin = end) {
    std::string line = text.substr(begin + 1, end - begin - 1);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) merges.push_back(line);
  }
  return merges;
}

// A special token and its id; `where` says which file has it.
Json with_id(const Json& vocabulary, const fs::path& where, const char* name,
             const std::string& token) {
  if (vocabulary.contains(token)) return {token, vocabulary.at(token)};
  throw model_error("{}: no '{}' ({})", where.string(), token, name);
}

// The special tokens that the class knows without a config.
Json default_tokens(bool roberta, const Json& vocabulary) {
  Json tokens = Json::array();
  const auto add = [&](const char* content, bool lstrip) {
    if (!vocabulary.contains(content)) return;
    tokens.push_back({{"content", content},
                      {"id", vocabulary.at(content)},
                      {"special", true},
                      {"lstrip", lstrip}});
  };
  if (!roberta) add("<|endoftext|>", false);
  for (const char* content : {"<s>", "</s>", "<unk>", "<pad>"}) {
    if (roberta) add(content, false);
  }
  if (roberta) add("<mask>", true);
  return tokens;
}

}  // namespace

Json bert_from_vocabulary(const fs::path& file, const Section& config) {
  const Json vocabulary = vocabulary_of(file);
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
            {"cls", with_id(vocabulary, file, "cls_token", cls)},
            {"sep", with_id(vocabulary, file, "sep_token", sep)}}},
          {"decoder", {{"type", "WordPiece"}}},
          {"model", {{"type", "WordPiece"}, {"unk_token", unk}, {"vocab", vocabulary}}}};
}

Json gpt2_from_vocabulary(const fs::path& file, const fs::path& merges, const Section& config) {
  Json vocabulary = read_json(file);
  if (!vocabulary.is_object()) throw model_error("{}: must be an object", file.string());
  const auto named = [&](const char* name, const char* otherwise) {
    return with_id(vocabulary, file, name, special_token(config, name, otherwise));
  };
  const bool roberta = is_roberta(tokenizer_class(config, "GPT2Tokenizer"));
  Json post = {{"type", "ByteLevel"}};
  if (roberta) {
    post = {{"type", "RobertaProcessing"},
            {"cls", named("cls_token", "<s>")},
            {"sep", named("sep_token", "</s>")}};
  } else if (config.boolean("add_bos_token", false)) {
    const Json bos = named("bos_token", "<|endoftext|>");
    const Json before = {{"SpecialToken", {{"id", bos[0]}, {"type_id", 0}}}};
    const Json a = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
    const Json b = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
    post = {{"type", "TemplateProcessing"}, {"single", {before, a}}, {"pair", {before, a, b}}};
    post["special_tokens"][bos[0].get<std::string>()] = {{"ids", {bos[1]}}};
  }
  Json root = {{"added_tokens", default_tokens(roberta, vocabulary)},
               {"pre_tokenizer", {{"type", "ByteLevel"}}},
               {"post_processor", post},
               {"decoder", {{"type", "ByteLevel"}}},
               {"model", {{"type", "BPE"}, {"merges", merges_of(merges)}}}};
  root["model"]["vocab"] = std::move(vocabulary);
  return root;
}

}  // namespace rankwise
