// What attention on a GPU does besides matrix products: packed rows of heads to padded ones and
// back, scores to probabilities and their gradients. Pointers are the device's. Errors: kMachine.
#pragma once

#include <cstdint>

#include "peft/base/kernels/random.h"

namespace rankwise::kernels {

// Some heads of some sequences, padded: [sequences, heads, length, size], 0 behind each sequence's
// rows; and packed: rows of all_heads · size.
struct HeadRows {
  const int64_t *begins, *counts;  // [sequences] first packed row, and how many
  int64_t sequences, first_head, heads, all_heads, length, size;
};
void gather_heads(const HeadRows& rows, const float* packed, float* padded);
void scatter_heads(const HeadRows& rows, const float* padded, float* packed);

// The scores of those heads: [sequences, heads, queries, keys]. As in AttentionPlan.
struct Scores {
  const int64_t *query_begins, *query_counts, *key_counts;  // [sequences]
  const int32_t* query_positions;                           // [Tq]
  const uint32_t* query_rows;                               // [Tq]
  const float* bias;  // [all_heads, 2 · reach + 1], distance -reach first; may be null
  int64_t reach;
  int64_t sequences, first_head, heads, all_heads, queries, keys;
  float scale, softcap;
  bool causal;
  int64_t window;
  uint32_t dropout_site;
  DropoutRate dropout;
  PhiloxKey key;
};
// Products → dropped probabilities, in place, 0 where nothing is seen; log_sum [Tq, all_heads].
void softmax_scores(const Scores& scores, float* products, float* log_sum);
// Products → dropped probabilities; gradients of those → gradients of the products; in place.
void score_gradients(const Scores& scores, const float* log_sum, float* products, float* grads);

}  // namespace rankwise::kernels
