// Encoded rows end to end: what ranks exchange and files hold.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/tasks/task.h"

namespace rankwise {

struct FlatExamples {
  std::vector<int64_t> row_examples;           // [rows]: how many examples each row became
  std::vector<int64_t> lengths, label_counts;  // [examples]; of labels or values
  std::vector<int32_t> ids, types, labels;     // types: as many as ids, or none
  std::vector<float> values;
  std::vector<int64_t> question_lengths;  // [rows]: bytes of a row's in questions
  std::string questions;                  // lines, of rows that have one
  int64_t truncated_rows = 0;

  void add(const EncodedRow& row);
};

// Offsets of blocks of `size` tokens, the last one shorter: 0, size, 2 · size … tokens.
std::vector<int64_t> cut_blocks(int64_t tokens, int64_t size);

}  // namespace rankwise
