// A unit: the smallest piece of work that is never split. Rows of tokens packed end to end; nothing
// is padded but the end, to a multiple of 16. The only type that data and peft share.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace rankwise {

// Rows packed end to end.
struct PackedText {
  at::Tensor tokens;            // [T] int64, T a multiple of 16; fillers at the end are 0
  at::Tensor token_types;       // [T] int64; undefined: all 0
  std::vector<int64_t> bounds;  // S + 1 offsets into [T]; tokens past the last one are fillers
  int64_t virtual_tokens = 0;   // each sequence begins with room for so many tokens of a prompt

  int64_t sequences() const { return static_cast<int64_t>(bounds.size()) - 1; }
  int64_t real_tokens() const { return bounds.back(); }
};

struct Unit {
  PackedText text;          // what the model reads
  PackedText decoder_text;  // what the decoder of an encoder-decoder reads; else undefined
  std::vector<int64_t>
      rows;  // [S] dataset rows: with the update's number the key of all randomness
  // What the head should say. SEQ_CLS: one class a row ([S] int64) and QUESTION_ANS: start and end
  // within the row ([S, 2] int64), target_index undefined, since the position that the head sees is
  // the family's business. Token tasks: class or id ([N] int64) at target_index ([N] int64 into
  // the [T] of decoder_text, or of text where there is none).
  at::Tensor target_index, targets;
};

}  // namespace rankwise
