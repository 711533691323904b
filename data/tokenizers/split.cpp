// Pre-tokenizers that cut at a pattern: Split, Digits, Punctuation, CharDelimiterSplit.
#include "data/tokenizers/split.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/tokenizers/regex.h"
#include "data/tokenizers/unicode.h"
#include "data/tokenizers/word_scanner.h"

namespace rankwise {
namespace {

void append_span(std::vector<Span>& spans, size_t begin, size_t end, bool match) {
  if (begin < end) spans.push_back({begin, end, match});
}

Matcher matcher_of_string(const std::string& wanted) {
  return [wanted](std::string_view text, std::vector<Span>& spans) {
    size_t done = 0;
    for (size_t at; !wanted.empty() && (at = text.find(wanted, done)) != text.npos;) {
      append_span(spans, done, at, false);
      append_span(spans, at, at + wanted.size(), true);
      done = at + wanted.size();
    }
    append_span(spans, done, text.size(), false);
  };
}

// Joins spans to those before them, in place.
void join(std::vector<Span>& spans, SplitBehavior behavior) {
  std::vector<Span> joined;
  bool before = false;  // whether the span before was a match
  for (const Span& span : spans) {
    const bool joins =
        behavior == SplitBehavior::kContiguous ? span.match == before : span.match && !before;
    before = span.match;
    if (joins && !joined.empty()) {
      joined.back().end = span.end;
    } else {
      joined.push_back(span);
    }
  }
  spans.swap(joined);
}

// The same from the end: a match joins what follows.
void join_backwards(std::vector<Span>& spans) {
  std::vector<Span> joined;
  bool after = false;
  for (auto span = spans.rbegin(); span != spans.rend(); ++span) {
    const bool joins = span->match && !after;
    after = span->match;
    if (joins && !joined.empty()) {
      joined.back().begin = span->begin;
    } else {
      joined.push_back(*span);
    }
  }
  spans.assign(joined.rbegin(), joined.rend());
}

void arrange(std::vector<Span>& spans, SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::kIsolated:
      return;
    case SplitBehavior::kRemoved:
      std::erase_if(spans, [](const Span& span) { return span.match; });
      return;
    case SplitBehavior::kMergedWithNext:
      return join_backwards(spans);
    case SplitBehavior::kMergedWithPrevious:
    case SplitBehavior::kContiguous:
      return join(spans, behavior);
  }
}

}  // namespace

SplitBehavior read_behavior(const Section& section, const std::string& name) {
  constexpr std::pair<std::string_view, SplitBehavior> kNames[] = {
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous}};
  const std::string text = section.text(name, "Isolated");
  for (const auto& [known, behavior] : kNames) {
    if (known == text) return behavior;
  }
  throw section.at(name).error(fmt::format(
      "is '{}' (known: Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous)", text));
}

PreTokenizer splitter(Matcher matcher, SplitBehavior behavior, bool invert) {
  return [matcher, behavior, invert](Pieces& pieces) {
    std::vector<std::string_view> cut;
    std::vector<Span> spans;
    for (const std::string_view piece : pieces.texts) {
      spans.clear();
      matcher(piece, spans);
      if (invert) {
        for (Span& span : spans) span.match = !span.match;
      }
      arrange(spans, behavior);
      for (const Span& span : spans) {
        cut.push_back(piece.substr(span.begin, span.end - span.begin));
      }
    }
    pieces.texts.swap(cut);
  };
}

Matcher matcher_of_characters(bool (*matches)(char32_t)) {
  return [matches](std::string_view text, std::vector<Span>& spans) {
    size_t done = 0;
    for (size_t at = 0; at < text.size();) {
      const size_t begin = at;
      if (!matches(unicode::next(text, at))) continue;
      append_span(spans, done, begin, false);
      append_span(spans, begin, at, true);
      done = at;
    }
    append_span(spans, done, text.size(), false);
  };
}

Matcher matcher_of_pattern(const Section& pattern) {
  if (pattern.has("String")) return matcher_of_string(pattern.text("String"));
  const std::string expression = pattern.text("Regex");
  if (const auto scan = word_scanner(expression)) {
    return [scan](std::string_view text, std::vector<Span>& spans) {
      for (size_t begin = 0, end; begin < text.size(); begin = end) {
        end = scan(text, begin);
        spans.push_back({begin, end, true});
      }
    };
  }
  const Regex regex(expression, pattern);
  return [regex](std::string_view text, std::vector<Span>& spans) {
    size_t done = 0;
    regex.for_each_match(text, [&](size_t begin, size_t end) {
      append_span(spans, done, begin, false);
      append_span(spans, begin, end, true);
      done = end;
    });
    append_span(spans, done, text.size(), false);
  };
}

PreTokenizer gpt2_words() {
  return [](Pieces& pieces) {
    std::vector<std::string_view> cut;
    for (const std::string_view piece : pieces.texts) {
      for (size_t begin = 0, end; begin < piece.size(); begin = end) {
        end = scan_gpt2_word(piece, begin);
        cut.push_back(piece.substr(begin, end - begin));
      }
    }
    pieces.texts.swap(cut);
  };
}

PreTokenizer split_pre_tokenizer(const Section& section) {
  return splitter(matcher_of_pattern(section.at("pattern")), read_behavior(section, "behavior"),
                  section.boolean("invert", false));
}

PreTokenizer digits_pre_tokenizer(const Section& section) {
  return splitter(matcher_of_characters(unicode::is_numeric),
                  section.boolean("individual_digits", false) ? SplitBehavior::kIsolated
                                                              : SplitBehavior::kContiguous,
                  false);
}

PreTokenizer punctuation_pre_tokenizer(const Section& section) {
  return splitter(matcher_of_characters(unicode::is_punctuation),
                  read_behavior(section, "behavior"), false);
}

PreTokenizer char_delimiter_pre_tokenizer(const Section& section) {
  return splitter(matcher_of_string(section.text("delimiter")), SplitBehavior::kRemoved, false);
}

}  // namespace rankwise
