// Every error names the file and the row.
#include "data/tasks/encode.h"

#include <algorithm>
#include <limits>

namespace rankwise {

Example ready_made(const Columns& columns, const RowLimits& limits, bool& truncated) {
  Example example;
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
    if (example.token_type_ids.size() != length) {
      throw columns.error("column 'token_type_ids' has {} entries, 'input_ids' has {}",
                          example.token_type_ids.size(), length);
    }
  }
  const auto most = static_cast<size_t>(limits.max_length);
  truncated = length > most;
  if (truncated) {
    example.input_ids.resize(most);
    if (!example.token_type_ids.empty()) example.token_type_ids.resize(most);
  }
  return example;
}

Encoding tokenised(const Columns& columns, const std::string& text,
                   std::optional<std::string_view> pair, const RowLimits& limits) {
  if (!limits.tokenizer) {
    throw Error(ErrorKind::kModel,
                columns.error("a row of text, but the model folder has no tokenizer").what());
  }
  Encoding encoding = limits.tokenizer->encode(text, pair, limits.max_length);
  for (const int32_t id : encoding.ids) {
    if (id < 0 || id >= limits.vocabulary) {
      throw model_error("the tokenizer gives the id {}, but the model's vocabulary has {}", id,
                        limits.vocabulary);
    }
  }
  return encoding;
}

}  // namespace rankwise
