// The attention core on packed sequences: the only code that knows where a sequence ends. Softmax
// and sums in float32; probabilities are not stored but computed again in the backward pass.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "peft/base/kernels/random.h"

namespace rankwise::kernels {

// What is added to a score, by head and by how far the key lies behind the query (T5).
struct RelativeBias {
  int64_t reach = 0;          // largest distance in either direction
  std::vector<float> values;  // [H, 2 · reach + 1], distance -reach first
  const float* of(int64_t head) const { return values.data() + head * (2 * reach + 1) + reach; }
};

// Which query rows may see which key rows, and how. Queries may be fewer than keys (only the
// positions that the head needs, a cache while generating) or of another text (cross-attention).
struct AttentionPlan {
  std::vector<int64_t> query_bounds;            // [S + 1] offsets into the packed query rows
  std::vector<int64_t> key_begins, key_counts;  // [S] each sequence's first key row, and how many
  std::vector<int32_t> query_positions;         // [Tq] of each query among the keys of its sequence
  std::vector<uint32_t> query_rows;  // [Tq] dataset row of each query: the key of dropout
  int64_t heads = 1, key_heads = 1, head_size = 1;
  float scale = 1;
  bool causal = false;  // a query at position p sees keys 0 … p
  int64_t window = 0;   // of those only the last so many; 0: all
  float softcap = 0;    // scores become softcap · tanh(score / softcap); 0: they stay
  std::shared_ptr<const RelativeBias> bias;  // added to the scores; may be null
  uint32_t dropout_site = 0;
  DropoutRate dropout{0};
  PhiloxKey key;
  bool bfloat16_products = false;  // on a GPU; else of float32

  int64_t sequences() const { return static_cast<int64_t>(query_bounds.size()) - 1; }
};

// query [Tq, H·D], key and value [Tk, KH·D] → out [Tq, H·D], log_sum [Tq, H] (of exponentials, for
// the backward pass). Rows of out that belong to no sequence are left as they are. One call does
// the tasks first … last - 1 of S · KH tasks (key head major), so that a caller can share them
// among threads.
void attention_forward(const AttentionPlan& plan, const float* query, const float* key,
                       const float* value, float* out, float* log_sum, int64_t first, int64_t last);

// The gradients; grad_key or grad_value may be null where nobody needs them.
void attention_backward(const AttentionPlan& plan, const float* query, const float* key,
                        const float* value, const float* log_sum, const float* grad_out,
                        float* grad_query, float* grad_key, float* grad_value, int64_t first,
                        int64_t last);

}  // namespace rankwise::kernels
