// Appends rows, cuts blocks.
#include "data/flat_examples.h"

namespace rankwise {

void FlatExamples::add(const EncodedRow& row) {
  row_examples.push_back(std::ssize(row.examples));
  truncated_rows += row.truncated;
  const std::string question = row.question ? line_of(*row.question) : "";
  question_lengths.push_back(std::ssize(question));
  questions += question;
  for (const Example& example : row.examples) {
    lengths.push_back(std::ssize(example.input_ids));
    label_counts.push_back(std::ssize(example.labels) + std::ssize(example.values));
    const bool typed = !types.empty() || !example.token_type_ids.empty();
    if (typed) types.resize(ids.size());  // the examples before have zeros
    types.insert(types.end(), example.token_type_ids.begin(), example.token_type_ids.end());
    ids.insert(ids.end(), example.input_ids.begin(), example.input_ids.end());
    if (typed) types.resize(ids.size());
    labels.insert(labels.end(), example.labels.begin(), example.labels.end());
    values.insert(values.end(), example.values.begin(), example.values.end());
  }
}

std::vector<int64_t> cut_blocks(int64_t tokens, int64_t size) {
  std::vector<int64_t> offsets;
  for (int64_t begin = 0; begin < tokens; begin += size) offsets.push_back(begin);
  offsets.push_back(tokens);
  return offsets;
}

}  // namespace rankwise
