// Rows to tokens, as every task does it: ready-made ids, or a text through the tokenizer.
#pragma once

#include <optional>
#include <string>

#include "data/tasks/columns.h"
#include "data/tasks/task.h"

namespace rankwise {

// "input_ids" [token_type_ids] [attention_mask: all 1], cut to max_length. Errors: kInput: empty,
// an id out of the vocabulary, columns of other lengths.
EncodedRow ready_made(const Columns& columns, const RowLimits& limits);

// One text, or a pair. Errors: kModel: no tokenizer, an id out of the vocabulary.
Encoding tokenised(const Columns& columns, const std::string& text,
                   std::optional<std::string_view> pair, const RowLimits& limits);

// A row of text, and of its pair where there is one, by the columns of the options. No labels.
EncodedRow text_row(const Columns& columns, const DataOptions& options, const RowLimits& limits);

// A text's own tokens: no special ones round it, nothing cut. Errors: kModel: as above.
std::vector<int32_t> tokenised_plain(const Columns& columns, const std::string& text,
                                     const RowLimits& limits);

// The same with their places in the text.
PlacedTokens tokenised_placed(const Columns& columns, const std::string& text,
                              const RowLimits& limits);

// Cuts ids and labels, one a token. Whether anything was cut off.
bool cut_to(int64_t most, Example& example);

// The words of one text. Errors: kModel: as above.
WordEncoding tokenised_words(const Columns& columns, const std::vector<std::string>& words,
                             const RowLimits& limits);

}  // namespace rankwise
