// Finding added tokens in a text: at each place the longest that starts there.
#include "data/tokenizers/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

AddedToken read_token(const Section& section) {
  AddedToken token;
  token.content = section.text("content");
  token.id = static_cast<int32_t>(section.integer("id", 0, kMostTokens - 1));
  token.special = section.boolean("special", false);
  token.normalized = section.boolean("normalized", !token.special);
  token.single_word = section.boolean("single_word", false);
  token.lstrip = section.boolean("lstrip", false);
  token.rstrip = section.boolean("rstrip", false);
  return token;
}

void check_id(const Section& section, const AddedToken& token, const Vocabulary& vocabulary) {
  const std::optional<int32_t> known = vocabulary.id_of(token.content);
  if (known && *known != token.id) {
    throw section.error(fmt::format("gives '{}' the id {}, the vocabulary gives it {}",
                                    token.content, token.id, *known));
  }
  const std::string_view other = vocabulary.token(token.id);
  if (!known && !other.empty()) {
    throw section.error(
        fmt::format("gives '{}' the id {} of '{}'", token.content, token.id, other));
  }
}

size_t previous(std::string_view text, size_t at) {  // start of the character before `at`
  do --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

bool word_before(std::string_view text, size_t at) {
  if (at == 0) return false;
  size_t start = previous(text, at);
  return unicode::is_word(unicode::next(text, start));
}

bool word_after(std::string_view text, size_t at) {
  return at < text.size() && unicode::is_word(unicode::next(text, at));
}

size_t without_spaces_before(std::string_view text, size_t at) {
  while (at > 0) {
    const size_t start = previous(text, at);
    size_t end = start;
    if (!unicode::is_whitespace(unicode::next(text, end))) break;
    at = start;
  }
  return at;
}

size_t without_spaces_after(std::string_view text, size_t at) {
  for (size_t next = at; next < text.size(); at = next) {
    if (!unicode::is_whitespace(unicode::next(text, next))) break;
  }
  return at;
}

}  // namespace

AddedTokens::AddedTokens(const std::vector<Section>& list, const Vocabulary& vocabulary,
                         const Normalizer& normalizer) {
  for (const Section& section : list) {
    AddedToken token = read_token(section);
    if (token.content.empty()) continue;  // as the library does
    check_id(section, token, vocabulary);
    if (!ids_.emplace(token.content, token.id).second || by_id_.contains(token.id)) {
      throw section.error(fmt::format("repeats '{}' or its id {}", token.content, token.id));
    }
    by_id_.emplace(token.id, std::move(token));
  }
  for (const bool special : {true, false}) {  // equal texts: the first wins, special ones first
    for (const auto& [id, token] : by_id_) {
      if (token.special != special) continue;
      std::string text = token.content;
      if (token.normalized && normalizer) normalizer(text, nullptr);
      if (text.empty()) continue;
      auto& patterns = (token.normalized ? normalized_ : raw_).by_first_byte;
      patterns[static_cast<unsigned char>(text[0])].push_back({text, &token});
    }
  }
  for (Patterns* patterns : {&raw_, &normalized_}) {
    for (auto& same_byte : patterns->by_first_byte) {
      std::stable_sort(same_byte.begin(), same_byte.end(), [](const Pattern& a, const Pattern& b) {
        return a.text.size() > b.text.size();
      });
    }
  }
}

const AddedTokens::Pattern* AddedTokens::Patterns::at_start_of(std::string_view text) const {
  for (const Pattern& pattern : by_first_byte[static_cast<unsigned char>(text[0])]) {
    if (text.starts_with(pattern.text)) return &pattern;
  }
  return nullptr;
}

void AddedTokens::split(std::string_view text, bool normalized,
                        const std::function<void(int32_t, std::string_view)>& token,
                        const std::function<void(std::string_view)>& other) const {
  const Patterns& patterns = normalized ? normalized_ : raw_;
  size_t done = 0;  // what stands before it is handed out
  for (size_t at = 0; at < text.size();) {
    const Pattern* pattern = patterns.at_start_of(text.substr(at));
    if (pattern == nullptr) {
      ++at;
      continue;
    }
    size_t start = at, stop = at += pattern->text.size();
    const AddedToken& found = *pattern->token;
    if (found.single_word && (word_before(text, start) || word_after(text, stop))) continue;
    if (found.lstrip) start = std::max(without_spaces_before(text, start), done);
    if (found.rstrip) stop = without_spaces_after(text, stop);
    if (done < start) other(text.substr(done, start - done));
    token(found.id, text.substr(start, stop - start));
    done = stop;
  }
  if (done < text.size()) other(text.substr(done));
}

const AddedToken* AddedTokens::find(int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = ids_.find(content);
  return found == ids_.end() ? nullptr : find(found->second);
}

int64_t AddedTokens::size() const { return by_id_.empty() ? 0 : by_id_.rbegin()->first + 1; }

}  // namespace rankwise
