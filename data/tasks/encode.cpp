// Every error names the file and the row.
#include "data/tasks/encode.h"

#include <algorithm>
#include <limits>

namespace rankwise {

EncodedRow ready_made(const Columns& columns, const RowLimits& limits) {
  EncodedRow row{{{}}};
  Example& example = row.examples[0];
  example.input_ids = columns.ids("input_ids", limits.vocabulary);
  const size_t length = example.input_ids.size();
  if (length == 0) throw columns.error("column 'input_ids' is empty");
  if (columns.find("attention_mask")) {
    const auto mask = columns.ids("attention_mask", 2);
    if (std::count(mask.begin(), mask.end(), 1) != static_cast<std::ptrdiff_t>(length)) {
      throw columns.error(
          "column 'attention_mask' must be 1 for each of the {} input_ids: "
          "padded rows are not supported",
          length);
    }
  }
  if (columns.find("token_type_ids")) {
    example.token_type_ids = columns.ids("token_type_ids", std::numeric_limits<int32_t>::max());
    const auto largest = std::ranges::max_element(example.token_type_ids);
    if (largest != example.token_type_ids.end() && *largest >= limits.token_types) {
      throw columns.error("token_type_ids has {}, but the model knows {} token types", *largest,
                          limits.token_types);
    }
    if (example.token_type_ids.size() != length) {
      throw columns.error("column 'token_type_ids' has {} entries, 'input_ids' has {}",
                          example.token_type_ids.size(), length);
    }
  }
  const auto most = static_cast<size_t>(limits.max_length);
  row.truncated = length > most;
  if (row.truncated) {
    example.input_ids.resize(most);
    if (!example.token_type_ids.empty()) example.token_type_ids.resize(most);
  }
  return row;
}

namespace {

const Tokenizer& tokenizer_of(const Columns& columns, const RowLimits& limits) {
  if (limits.tokenizer) return *limits.tokenizer;
  throw Error(ErrorKind::kModel,
              columns.error("a row of text, but the model folder has no tokenizer").what());
}

void check_ids(const std::vector<int32_t>& ids, const RowLimits& limits) {
  for (const int32_t id : ids) {
    if (id >= 0 && id < limits.vocabulary) continue;
    throw model_error("the tokenizer gives the id {}, but the model's vocabulary has {}", id,
                      limits.vocabulary);
  }
}

}  // namespace

Encoding tokenised(const Columns& columns, const std::string& text,
                   std::optional<std::string_view> pair, const RowLimits& limits) {
  Encoding encoding = tokenizer_of(columns, limits).encode(text, pair, limits.max_length);
  check_ids(encoding.ids, limits);
  return encoding;
}

EncodedRow text_row(const Columns& columns, const DataOptions& options, const RowLimits& limits) {
  const std::string& text = columns.text(options.text_column);
  const bool has_pair = options.text_pair_column != DataOptions().text_pair_column ||
                        columns.find(options.text_pair_column);
  std::optional<std::string_view> pair;
  if (has_pair) pair = columns.text(options.text_pair_column);
  Encoding encoding = tokenised(columns, text, pair, limits);
  if (limits.token_types < 2) encoding.type_ids.clear();
  return {{{std::move(encoding.ids), std::move(encoding.type_ids), {}}}, encoding.truncated};
}

std::vector<int32_t> tokenised_plain(const Columns& columns, const std::string& text,
                                     const RowLimits& limits) {
  std::vector<int32_t> ids = tokenizer_of(columns, limits).encode_plain(text);
  check_ids(ids, limits);
  return ids;
}

PlacedTokens tokenised_placed(const Columns& columns, const std::string& text,
                              const RowLimits& limits) {
  PlacedTokens tokens = tokenizer_of(columns, limits).encode_placed(text);
  check_ids(tokens.ids, limits);
  return tokens;
}

bool cut_to(int64_t most, Example& example) {
  if (std::ssize(example.input_ids) <= most) return false;
  for (auto* part : {&example.input_ids, &example.labels}) part->resize(static_cast<size_t>(most));
  return true;
}

WordEncoding tokenised_words(const Columns& columns, const std::vector<std::string>& words,
                             const RowLimits& limits) {
  WordEncoding encoding = tokenizer_of(columns, limits).encode_words(words, limits.max_length);
  check_ids(encoding.ids, limits);
  return encoding;
}

}  // namespace rankwise
