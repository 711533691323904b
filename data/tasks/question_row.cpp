// After transformers' run_qa.py: truncation of the context only, overlapping windows.
#include "data/tasks/question_row.h"

#include <algorithm>

#include "data/tasks/encode.h"
#include "data/tokenizers/components.h"
#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

struct Answers {
  std::vector<std::string> texts;
  TextSpan first;  // of the first one, bytes of the context
};

// The byte at which a character of the text begins; npos: it has fewer.
size_t byte_of_character(const std::string& text, int64_t character) {
  size_t at = 0;
  for (; character > 0 && at < text.size(); --character) unicode::next(text, at);
  return character == 0 ? at : std::string::npos;
}

Answers answers_of(const Columns& columns, const std::string& context) {
  const Json& value = columns.at("answers");
  const auto is_list = [&](const char* name) {
    return value.is_object() && value.contains(name) && value[name].is_array();
  };
  if (!is_list("text") || !is_list("answer_start") ||
      value["text"].size() != value["answer_start"].size()) {
    throw columns.error(
        "column 'answers' must be {{\"text\": [...], \"answer_start\": [...]}}, as many of both");
  }
  Answers answers;
  for (size_t i = 0; i < value["text"].size(); ++i) {
    const Json &text = value["text"][i], &start = value["answer_start"][i];
    if (!text.is_string() || text.get_ref<const std::string&>().empty() ||
        !start.is_number_integer())
      throw columns.error("column 'answers': entry {} must be a text and a whole number", i);
    const auto& words = answers.texts.emplace_back(text.get<std::string>());
    const size_t begin = byte_of_character(context, start.get<int64_t>());
    if (begin == std::string::npos || context.compare(begin, words.size(), words) != 0)
      throw columns.error("the answer '{}' is not at character {} of the context", words,
                          start.get<int64_t>());
    if (i == 0) answers.first = {begin, begin + words.size()};
  }
  return answers;
}

// [begin, end) of `tokens` tokens, a window's worth at a time.
std::vector<TextSpan> cuts(size_t tokens, size_t room, size_t stride) {
  std::vector<TextSpan> cuts = {{0, std::min(tokens, room)}};
  while (cuts.back().end < tokens) {
    const size_t begin = cuts.back().begin + room - stride;
    cuts.push_back({begin, std::min(tokens, begin + room)});
  }
  return cuts;
}

// Labels of a window, whose tokens stand at `spans`.
std::vector<int32_t> positions(const TextSpan& answer, std::span<const TextSpan> spans,
                               int64_t first_token) {
  if (spans.empty() || spans.front().begin > answer.begin || spans.back().end < answer.end)
    return {0, 0};
  const auto last_start = std::ranges::upper_bound(spans, answer.begin, {}, &TextSpan::begin) - 1;
  const auto first_end = std::ranges::lower_bound(spans, answer.end, {}, &TextSpan::end);
  return {static_cast<int32_t>(first_token + (last_start - spans.begin())),
          static_cast<int32_t>(first_token + (first_end - spans.begin()))};
}

std::string without_spaces_before(const std::string& text) {
  std::string stripped = text;
  strip_spaces(stripped, true, false);
  return stripped;
}

}  // namespace

EncodedRow question_row(const Columns& columns, int64_t stride, bool answers_optional,
                        const RowLimits& limits) {
  const std::string& context = columns.text("context");
  const bool labelled = !answers_optional || columns.find("answers");
  const Answers answers = labelled ? answers_of(columns, context) : Answers();
  const std::vector<int32_t> question =
      tokenised_plain(columns, without_spaces_before(columns.text("question")), limits);
  const PlacedTokens tokens = tokenised_placed(columns, context, limits);
  const int64_t taken = std::ssize(limits.tokenizer->joined(question, {}).ids);
  const int64_t room = limits.max_length - taken;
  const int64_t needed = std::ssize(tokens.ids);
  if (room < needed && room <= stride) {
    throw columns.error(
        "the question takes {} of {} tokens: windows of {} cannot overlap by doc_stride {}", taken,
        limits.max_length, std::max<int64_t>(room, 0), stride);
  }
  EncodedRow row;
  row.question.emplace();
  if (limits.keep_questions) *row.question = {0, 0, context, answers.texts, tokens.spans, {}};
  for (const TextSpan& cut :
       cuts(tokens.ids.size(), static_cast<size_t>(std::max<int64_t>(room, 0)),
            static_cast<size_t>(stride))) {
    const size_t count = cut.end - cut.begin;
    PairEncoding pair =
        limits.tokenizer->joined(question, std::span(tokens.ids).subspan(cut.begin, count));
    if (limits.token_types < 2) pair.type_ids.clear();
    const auto begin = static_cast<int64_t>(pair.second_begin);
    Example example{std::move(pair.ids), std::move(pair.type_ids), {}};
    if (labelled && answers.texts.empty()) example.labels = {0, 0};
    if (labelled && !answers.texts.empty())
      example.labels =
          positions(answers.first, std::span(tokens.spans).subspan(cut.begin, count), begin);
    row.examples.push_back(std::move(example));
    row.question->windows.push_back(
        {begin, begin + static_cast<int64_t>(count), static_cast<int64_t>(cut.begin)});
  }
  return row;
}

}  // namespace rankwise
