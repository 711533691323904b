// The road of a text through the parts of a tokenizer, and truncation as Hugging Face does it.
#include "data/tokenizers/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

// Of everything in the file that decides ids. A vocabulary that is an object goes in by id, which
// is quicker than to write its JSON.
std::string identity_of(const Section& root, const Vocabulary& vocabulary,
                        const TokenizerSettings& settings) {
  std::string text = settings.truncate_left ? "left" : "right";
  for (const char* name : {"added_tokens", "normalizer", "pre_tokenizer", "post_processor"}) {
    text += root.has(name) ? root.at(name).json().dump() : "null";
  }
  for (const auto& [name, field] : root.at("model").json().get_ref<const Json::object_t&>()) {
    if (name != "vocab" || !field.is_object()) text += name + field.dump();
  }
  uint64_t hash = TokenIndex::hash(text);
  for (const std::string_view token : vocabulary.tokens()) {
    for (const char byte : token) hash = TokenIndex::extend(hash, byte);
    hash = TokenIndex::extend(hash, '\xff');  // never in UTF-8: the end of a token
  }
  return fmt::format("{:016x}", hash);
}

bool uses_byte_level(const Json& pre_tokenizer) {
  if (pre_tokenizer.value("type", "") == "ByteLevel") return true;
  const Json steps = pre_tokenizer.value("pretokenizers", Json::array());
  return std::any_of(steps.begin(), steps.end(), uses_byte_level);
}

int64_t special_tokens(const std::vector<Template::Part>& parts) {
  int64_t count = 0;
  for (const Template::Part& part : parts) count += static_cast<int64_t>(part.ids.size());
  return count;
}

int32_t greatest_id(const std::vector<Template::Part>& parts) {
  int32_t greatest = -1;
  for (const Template::Part& part : parts) {
    for (const int32_t id : part.ids) greatest = std::max(greatest, id);
  }
  return greatest;
}

// `longest_first`: how many tokens of either sequence stay. An odd place goes to the longer one, or
// to the first.
std::pair<size_t, size_t> shares(size_t a, size_t b, size_t room, bool odd_to_first) {
  const size_t shorter = std::min(a, b);
  size_t longer = shorter > room ? shorter : std::max(shorter, room - shorter);
  size_t kept = shorter;
  if (shorter + longer > room) {
    kept = room / 2;
    longer = kept + room % 2;
    if (odd_to_first) return {longer, kept};
  }
  return a > b ? std::pair(longer, kept) : std::pair(kept, longer);
}

}  // namespace

Pipeline::Pipeline(const Section& root, const TokenizerSettings& settings, OwnParts own)
    : settings_(settings),
      pre_tokenizer_(std::move(own.pre_tokenizer)),
      model_(own.model ? std::move(own.model) : make_model(root.at("model"))),
      template_(plain_template()),
      decoder_(std::move(own.decoder)) {
  if (root.has("normalizer")) normalizer_ = make_normalizer(root.at("normalizer"));
  if (root.has("pre_tokenizer") && !pre_tokenizer_)
    pre_tokenizer_ = make_pre_tokenizer(root.at("pre_tokenizer"));
  byte_level_ = root.has("pre_tokenizer") && uses_byte_level(root.at("pre_tokenizer").json());
  if (root.has("post_processor")) template_ = make_template(root.at("post_processor"));
  if (root.has("decoder")) decoder_ = make_decoder(root.at("decoder"));
  if (root.has("added_tokens")) {
    added_ = AddedTokens(root.items("added_tokens"), model_->vocabulary(), normalizer_);
  }
  for (const auto* parts : {&template_.single, &template_.pair}) {
    const int32_t id = greatest_id(*parts);
    if (id < vocabulary_size()) continue;
    throw root.at("post_processor")
        .error(fmt::format("adds the id {}, but the vocabulary ends at {}", id,
                           vocabulary_size() - 1));
  }
  identity_ = identity_of(root, model_->vocabulary(), settings);
}

Encoding Pipeline::encode(std::string_view text, std::optional<std::string_view> pair,
                          int64_t max_length) const {
  const std::vector<Template::Part>& parts = pair ? template_.pair : template_.single;
  const size_t room = this->room(parts, max_length, pair.has_value());
  std::vector<int32_t> a = ids_of(text), b = pair ? ids_of(*pair) : std::vector<int32_t>();
  Encoding encoding;
  encoding.truncated = a.size() + b.size() > room;
  if (encoding.truncated) {
    const auto [length_a, length_b] = pair
                                          ? shares(a.size(), b.size(), room, settings_.odd_to_first)
                                          : std::pair(room, size_t{0});
    truncate(a, length_a);
    truncate(b, length_b);
  }
  for (const Template::Part& part : parts) {
    const std::vector<int32_t>& ids = part.sequence == 'A'   ? a
                                      : part.sequence == 'B' ? b
                                                             : part.ids;
    encoding.ids.insert(encoding.ids.end(), ids.begin(), ids.end());
    encoding.type_ids.resize(encoding.ids.size(), part.type_id);
  }
  return encoding;
}

size_t Pipeline::room(const std::vector<Template::Part>& parts, int64_t max_length,
                      bool pair) const {
  const int64_t special = special_tokens(parts);
  if (max_length < special || max_length < 1) {
    throw usage_error("max_length {} leaves no room: the tokenizer adds {} special tokens to a {}",
                      max_length, special, pair ? "pair" : "row");
  }
  return static_cast<size_t>(max_length - special);
}

WordEncoding Pipeline::encode_words(const std::vector<std::string>& words,
                                    int64_t max_length) const {
  const size_t room = this->room(template_.single, max_length, false);
  std::vector<int32_t> ids, word_of;
  for (size_t i = 0; i < words.size(); ++i) {
    const bool apart = byte_level_ && !words[i].starts_with(' ');
    const std::vector<int32_t> pieces = ids_of(apart ? " " + words[i] : words[i]);
    ids.insert(ids.end(), pieces.begin(), pieces.end());
    word_of.resize(ids.size(), static_cast<int32_t>(i));
  }
  WordEncoding encoding;
  encoding.truncated = ids.size() > room;
  truncate(ids, room);
  truncate(word_of, room);
  for (const Template::Part& part : template_.single) {
    const bool own = part.sequence == 'A';
    const std::vector<int32_t>& added = own ? ids : part.ids;
    encoding.ids.insert(encoding.ids.end(), added.begin(), added.end());
    encoding.type_ids.resize(encoding.ids.size(), part.type_id);
    if (own) encoding.words.insert(encoding.words.end(), word_of.begin(), word_of.end());
    encoding.words.resize(encoding.ids.size(), -1);
  }
  return encoding;
}

void Pipeline::truncate(std::vector<int32_t>& ids, size_t length) const {
  if (length >= ids.size()) return;
  if (settings_.truncate_left) {
    ids.erase(ids.begin(), ids.end() - static_cast<ptrdiff_t>(length));
  } else {
    ids.resize(length);
  }
}

std::vector<int32_t> Pipeline::ids_of(std::string_view text) const {
  const std::string valid = unicode::with_replacements(text);
  std::vector<int32_t> ids;
  const auto add = [&ids](int32_t id, std::string_view) { ids.push_back(id); };
  added_.split(valid, false, add, [&](std::string_view part) {
    std::string normal(part);
    if (normalizer_) normalizer_(normal, nullptr);
    const bool first = part.data() == valid.data();
    added_.split(normal, true, add, [&](std::string_view rest) {
      append_ids(rest, first && rest.data() == normal.data(), ids);
    });
  });
  return ids;
}

void Pipeline::append_ids(std::string_view text, bool starts_row, std::vector<int32_t>& ids) const {
  Pieces pieces;
  if (starts_row) pieces.row_start = text.data();
  pieces.texts.push_back(text);
  if (pre_tokenizer_) pre_tokenizer_(pieces);
  for (const std::string_view piece : pieces.texts) model_->append_ids(piece, ids);
}

PlacedTokens Pipeline::encode_placed(std::string_view text) const {
  PlacedTokens tokens;
  const auto add = [&tokens](int32_t id, TextSpan span) {
    tokens.ids.push_back(id);
    tokens.spans.push_back(span);
  };
  const auto place = [&](std::string_view part) {
    return static_cast<size_t>(part.data() - text.data());
  };
  const auto add_raw = [&](int32_t id, std::string_view part) {
    add(id, {place(part), place(part) + part.size()});
  };
  added_.split(text, false, add_raw, [&](std::string_view part) {
    std::string normal(part);
    Origins origins = origins_of(part);
    for (TextSpan& origin : origins)
      origin = {origin.begin + place(part), origin.end + place(part)};
    if (normalizer_) normalizer_(normal, &origins);
    const auto add_normal = [&](int32_t id, std::string_view token) {
      const auto at = static_cast<size_t>(token.data() - normal.data());
      add(id, {origins[at].begin, origins[at + token.size() - 1].end});
    };
    const bool first = part.data() == text.data();
    added_.split(normal, true, add_normal, [&](std::string_view rest) {
      append_placed(rest, first && rest.data() == normal.data(), normal, origins, tokens);
    });
  });
  return tokens;
}

void Pipeline::append_placed(std::string_view text, bool starts_row, const std::string& normal,
                             const Origins& origins, PlacedTokens& tokens) const {
  std::unordered_map<const char*, const char*> sources;
  Pieces pieces;
  pieces.sources = &sources;
  if (starts_row) pieces.row_start = text.data();
  pieces.texts.push_back(text);
  if (pre_tokenizer_) pre_tokenizer_(pieces);
  const auto origin = [&](const char* byte) {
    for (auto made = sources.find(byte); made != sources.end(); made = sources.find(byte))
      byte = made->second;
    return origins[std::min(static_cast<size_t>(byte - normal.data()), origins.size() - 1)];
  };
  std::vector<PieceToken> found;
  for (const std::string_view piece : pieces.texts) {
    found.clear();
    model_->append_tokens(piece, found);
    for (const PieceToken& token : found) {
      const size_t last = std::max(token.end, token.begin + 1) - 1;
      tokens.ids.push_back(token.id);
      tokens.spans.push_back(
          {origin(piece.data() + token.begin).begin, origin(piece.data() + last).end});
    }
  }
}

PairEncoding Pipeline::joined(std::span<const int32_t> first,
                              std::span<const int32_t> second) const {
  PairEncoding encoding;
  for (const Template::Part& part : template_.pair) {
    const std::span<const int32_t> ids = part.sequence == 'A'   ? first
                                         : part.sequence == 'B' ? second
                                                                : std::span(part.ids);
    if (part.sequence == 'B') encoding.second_begin = encoding.ids.size();
    encoding.ids.insert(encoding.ids.end(), ids.begin(), ids.end());
    encoding.type_ids.resize(encoding.ids.size(), part.type_id);
  }
  return encoding;
}

std::string Pipeline::decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  for (const int32_t id : ids) {
    const AddedToken* added = added_.find(id);
    if (added != nullptr && added->special && skip_special_tokens) continue;
    const std::string_view token = added ? added->content : model_->vocabulary().token(id);
    if (!token.empty()) tokens.emplace_back(token);
  }
  if (decoder_) decoder_(tokens);
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && !decoder_) text += ' ';
    text += tokens[i];
  }
  if (settings_.strip_decoded) strip_spaces(text, true, true);
  if (settings_.clean_up_spaces) clean_up_spaces(text);
  return text;
}

// Cleaning up replaces texts of at most four bytes, ten rules one after the other: together they
// look no further back than this.
size_t Pipeline::unsettled_bytes() const {
  return settings_.clean_up_spaces || settings_.strip_decoded ? 24 : 0;
}

int64_t Pipeline::vocabulary_size() const {
  return std::max(model_->vocabulary().size(), added_.size());
}

std::optional<int32_t> Pipeline::id_of(std::string_view token) const {
  if (const AddedToken* added = added_.find(token)) return added->id;
  return model_->vocabulary().id_of(token);
}

}  // namespace rankwise
