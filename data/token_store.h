// A dataset as token ids: flat arrays in the memory of the node, or in an HDF5 file of `prepare`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/questions.h"

namespace rankwise {

// A token with this label does not count for the loss, as in Hugging Face's labels.
inline constexpr int32_t kIgnoredLabel = -100;

// One row, encoded. What task files make and the store packs.
struct Example {
  std::vector<int32_t> input_ids;
  std::vector<int32_t> token_type_ids;  // empty: all 0
  std::vector<int32_t> labels;  // one class, or one id a token with -100 = ignored; empty: no label
  std::vector<float> values = {};  // of a regression in place of labels: one number
};

class TokenFile;

class TokenStore {
 public:
  int64_t rows() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t length(int64_t row) const { return offsets[row + 1] - offsets[row]; }
  std::vector<int64_t> lengths() const;  // [rows]
  int64_t tokens() const { return offsets.back(); }
  std::span<const int32_t> ids(int64_t row) const { return span(input_ids, offsets, row); }
  std::span<const int32_t> types(int64_t row) const;      // empty where the store has none
  std::span<const int32_t> labels_of(int64_t row) const;  // one number, or one a token
  std::span<const float> values_of(int64_t row) const;    // one number, of a regression
  // Of a row of the file; of its number of rows: rows().
  int64_t first_example(int64_t row) const {
    return row_offsets.empty() ? row : row_offsets[static_cast<size_t>(row)];
  }
  bool labelled() const { return !label_offsets.empty() && label_offsets.back() > 0; }
  // A row from wherever it is. Errors: kInput: the file is damaged.
  Example example(int64_t row) const;

  std::span<const int64_t> offsets;  // [rows + 1]
  // Where a row of the file became several here, or none: which is the first of each, [rows of the
  // file + 1]. Empty: one each.
  std::span<const int64_t> row_offsets;
  std::span<const int32_t> input_ids;       // [tokens]
  std::span<const int32_t> token_type_ids;  // [tokens] or empty
  std::span<const int64_t> label_offsets;   // [rows + 1], into labels or values
  std::span<const int32_t> labels;
  std::span<const float> values;  // of a regression; a store has labels, values or neither
  std::vector<std::string>
      label_names;  // SEQ_CLS, TOKEN_CLS: by class index; whole numbers as texts
  int64_t truncated_rows = 0;
  std::shared_ptr<const void> owner;  // keeps the arrays alive (NodeMemory)
  // Where ids, types, labels and values are if not in memory; then those spans are empty, and
  // target_counts [rows] says how many labels of a row count for the loss.
  std::shared_ptr<const TokenFile> file;
  std::span<const int32_t> target_counts;
  std::string identity;                        // hash_of this, or of the file
  std::shared_ptr<const Questions> questions;  // QUESTION_ANS rows of text that are to be judged

 private:
  template <class T>
  static std::span<const T> span(std::span<const T> values, std::span<const int64_t> offsets,
                                 int64_t row) {
    return values.subspan(static_cast<size_t>(offsets[row]),
                          static_cast<size_t>(offsets[row + 1] - offsets[row]));
  }
};

// A hash of everything in the store but its owner and questions, 16 hexadecimal digits.
std::string hash_of(const TokenStore& store);

}  // namespace rankwise
