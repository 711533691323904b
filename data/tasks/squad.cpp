// After SQuAD's evaluate-v1.1 and v2.0 scripts and transformers' utils_qa.py.
#include "data/tasks/squad.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "data/tokenizers/components.h"
#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

constexpr size_t kBest = 20;  // run_qa's n_best_size

bool is_article(std::string_view word) { return word == "a" || word == "an" || word == "the"; }

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words = {""};
  for (const char c : text) {
    if (c == ' ') words.emplace_back();
    if (c != ' ') words.back() += c;
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

// Articles become spaces: \b(a|an|the)\b
std::string without_articles(const std::string& text) {
  std::string result;
  for (size_t begin = 0, end; begin < text.size(); begin = end) {
    bool word = unicode::is_word(unicode::next(text, end = begin));
    for (size_t next = end; word && next < text.size(); end = next) {
      if (!unicode::is_word(unicode::next(text, next))) break;
    }
    const auto part = std::string_view(text).substr(begin, end - begin);
    result += is_article(part) ? " " : part;
  }
  return result;
}

double f1(const std::string& answer, const std::string& right, bool may_be_empty) {
  const std::vector<std::string> found = words_of(answer), wanted = words_of(right);
  if (found.empty() || wanted.empty()) return may_be_empty && found.empty() && wanted.empty();
  std::map<std::string, int64_t> left;
  for (const std::string& word : wanted) ++left[word];
  const auto common = static_cast<double>(
      std::ranges::count_if(found, [&](const std::string& word) { return left[word]-- > 0; }));
  if (common == 0) return 0;
  const double precision = common / static_cast<double>(found.size());
  const double recall = common / static_cast<double>(wanted.size());
  return 2 * precision * recall / (precision + recall);
}

template <class Score>
double best_over(const std::string& answer, const std::vector<std::string>& right,
                 bool may_be_empty, const Score& score) {
  const std::string normal = normalised_answer(answer);
  double best = -1;
  for (const std::string& text : right) {
    const std::string wanted = normalised_answer(text);
    if (!wanted.empty() || !may_be_empty) best = std::max(best, score(normal, wanted));
  }
  return best < 0 ? score(normal, "") : best;
}

// The tokens with the greatest scores, greatest first.
std::vector<int64_t> greatest(const float* scores, int64_t tokens) {
  std::vector<int64_t> order(static_cast<size_t>(tokens));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater(), [&](int64_t at) { return scores[2 * at]; });
  order.resize(std::min(order.size(), kBest));
  return order;
}

}  // namespace

std::string normalised_answer(std::string_view text) {
  std::string plain;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = unicode::next(text, at);
    const bool punctuation = c < 0x80 && unicode::is_punctuation(c);
    if (!punctuation) unicode::append_lowercase(c, plain);
  }
  plain = without_articles(plain);
  std::string spaced;
  bool waits = false;
  for (size_t at = 0; at < plain.size();) {
    const char32_t c = unicode::next(plain, at);
    const bool space = unicode::is_whitespace(c);
    if (!space && waits && !spaced.empty()) spaced += ' ';
    if (!space) unicode::append(c, spaced);
    waits = space;
  }
  return spaced;
}

bool exact_match(const std::string& answer, const std::vector<std::string>& right,
                 bool may_be_empty) {
  return best_over(answer, right, may_be_empty,
                   [](const auto& a, const auto& b) -> double { return a == b; }) > 0;
}

double word_f1(const std::string& answer, const std::vector<std::string>& right,
               bool may_be_empty) {
  return best_over(answer, right, may_be_empty,
                   [=](const auto& a, const auto& b) { return f1(a, b, may_be_empty); });
}

WindowAnswer best_answer(const float* scores, int64_t tokens, const Window& window) {
  WindowAnswer best;
  best.null_score = scores[0] + scores[1];
  const auto inside = [&](int64_t token) { return token >= window.begin && token < window.end; };
  const std::vector<int64_t> starts = greatest(scores, tokens), ends = greatest(scores + 1, tokens);
  for (const int64_t first : starts) {
    for (const int64_t last : ends) {
      if (!inside(first) || !inside(last) || last < first || last - first >= kLongestAnswer)
        continue;
      const float score = scores[2 * first] + scores[2 * last + 1];
      if (best.first >= 0 && score <= best.score) continue;
      best.score = score;
      best.first = first;
      best.last = last;
    }
  }
  return best;
}

std::string answer_text(const Question& question, const std::vector<WindowAnswer>& windows,
                        bool may_be_empty) {
  size_t best = windows.size();
  float null_score = INFINITY;
  for (size_t i = 0; i < windows.size(); ++i) {
    null_score = std::min(null_score, windows[i].null_score);
    if (windows[i].first < 0) continue;
    if (best == windows.size() || windows[i].score > windows[best].score) best = i;
  }
  if (best == windows.size() || (may_be_empty && null_score > windows[best].score)) return "";
  const Window& window = question.windows[best];
  const auto span = [&](int64_t token) {
    return question.tokens[static_cast<size_t>(token - window.begin + window.first)];
  };
  const size_t begin = span(windows[best].first).begin, end = span(windows[best].last).end;
  std::string text = question.context.substr(begin, end - begin);
  strip_spaces(text, true, true);
  return text;
}

}  // namespace rankwise
