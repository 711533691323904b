// Rows to tokens, as every task does it: ready-made ids, or a text through the tokenizer.
#pragma once

#include <optional>
#include <string>

#include "data/tasks/columns.h"
#include "data/tasks/task.h"

namespace rankwise {

// "input_ids" [token_type_ids] [attention_mask: all 1], cut to max_length. Errors: kInput: empty,
// an id out of the vocabulary, columns of other lengths.
Example ready_made(const Columns& columns, const RowLimits& limits, bool& truncated);

// One text, or a pair. Errors: kModel: no tokenizer, an id out of the vocabulary.
Encoding tokenised(const Columns& columns, const std::string& text,
                   std::optional<std::string_view> pair, const RowLimits& limits);

// The words of one text. Errors: kModel: as above.
WordEncoding tokenised_words(const Columns& columns, const std::vector<std::string>& words,
                             const RowLimits& limits);

}  // namespace rankwise
