// A block makes a row: of all heads of a token, or of scores.
#include "peft/base/kernels/cuda/attention.h"
#include "peft/base/kernels/cuda/launch.h"

namespace rankwise::kernels {
namespace {

template <bool scatter>
__global__ void move_heads(HeadRows rows, const float* from, float* to) {
  const int64_t sequence = blockIdx.x / rows.length, i = blockIdx.x % rows.length;
  const bool real = i < rows.counts[sequence];
  const int64_t packed =
      ((rows.begins[sequence] + i) * rows.all_heads + rows.first_head) * rows.size;
  for (int64_t c = threadIdx.x; c < rows.heads * rows.size; c += blockDim.x) {
    const int64_t head = c / rows.size, d = c % rows.size;
    const int64_t padded = ((sequence * rows.heads + head) * rows.length + i) * rows.size + d;
    if (scatter) {
      if (real) to[packed + c] = from[padded];
    } else {
      to[padded] = real ? from[packed + c] : 0;
    }
  }
}

// A row of scores: whose it is, and what it sees.
struct Row {
  bool real;            // else padding
  int64_t query, head;  // packed query row; head of all
  int64_t position;     // of the query
  int64_t first, last;  // the keys that it sees
  StretchWords words;   // of its dropout
};

__device__ Row row_of(const Scores& scores, int64_t index) {
  const int64_t i = index % scores.queries, head = index / scores.queries % scores.heads,
                sequence = index / scores.queries / scores.heads;
  Row row{};
  row.real = i < scores.query_counts[sequence];
  if (!row.real) return row;
  row.query = scores.query_begins[sequence] + i;
  row.head = scores.first_head + head;
  row.position = scores.query_positions[row.query];
  row.last = scores.key_counts[sequence];
  if (scores.causal) {
    row.last = min(row.position + 1, row.last);
    if (scores.window > 0)
      row.first = max(static_cast<int64_t>(0), row.position - scores.window + 1);
  }
  if (scores.dropout.active())
    row.words =
        philox(scores.key, {scores.dropout_site, scores.query_rows[row.query],
                            static_cast<uint32_t>(row.position), static_cast<uint32_t>(row.head)});
  return row;
}

__device__ float score_of(const Scores& scores, const Row& row, int64_t key, float product) {
  float score = product * scores.scale;
  if (scores.softcap > 0) score = scores.softcap * tanhf(score / scores.softcap);
  if (scores.bias)
    score += scores.bias[row.head * (2 * scores.reach + 1) + scores.reach + key - row.position];
  return score;
}

__device__ float factor_of(const Scores& scores, const Row& row, int64_t key) {
  return scores.dropout.active()
             ? dropout_factor(row.words, static_cast<uint32_t>(key), scores.dropout)
             : 1;
}

__global__ void softmax(Scores scores, float* products, float* log_sum) {
  float* row_of_products = products + static_cast<int64_t>(blockIdx.x) * scores.keys;
  const Row row = row_of(scores, blockIdx.x);
  float most = -INFINITY, sum = 0;
  for (int64_t j = row.first + threadIdx.x; j < row.last; j += kThreads) {
    row_of_products[j] = score_of(scores, row, j, row_of_products[j]);
    most = fmaxf(most, row_of_products[j]);
  }
  most = over_block(most, Largest());
  for (int64_t j = row.first + threadIdx.x; j < row.last; j += kThreads) {
    row_of_products[j] = expf(row_of_products[j] - most);
    sum += row_of_products[j];
  }
  sum = over_block(sum, Plus());
  for (int64_t j = threadIdx.x; j < scores.keys; j += kThreads) {
    const bool seen = j >= row.first && j < row.last;
    row_of_products[j] = seen ? row_of_products[j] / sum * factor_of(scores, row, j) : 0;
  }
  if (row.real && threadIdx.x == 0)
    log_sum[row.query * scores.all_heads + row.head] = most + logf(sum);
}

__global__ void gradients(Scores scores, const float* log_sum, float* products, float* grads) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * scores.keys;
  const Row row = row_of(scores, blockIdx.x);
  const float whole = row.real ? log_sum[row.query * scores.all_heads + row.head] : 0;
  float delta = 0;
  for (int64_t j = row.first + threadIdx.x; j < row.last; j += kThreads) {
    const float probability = expf(score_of(scores, row, j, products[at + j]) - whole);
    delta += probability * grads[at + j] * factor_of(scores, row, j);
  }
  delta = over_block(delta, Plus());
  for (int64_t j = threadIdx.x; j < scores.keys; j += kThreads) {
    if (j < row.first || j >= row.last) {
      products[at + j] = grads[at + j] = 0;
      continue;
    }
    const float product = products[at + j], factor = factor_of(scores, row, j);
    const float probability = expf(score_of(scores, row, j, product) - whole);
    float slope = scores.scale;
    if (scores.softcap > 0) {
      const float bent = tanhf(product * scores.scale / scores.softcap);
      slope *= 1 - bent * bent;
    }
    grads[at + j] = probability * (grads[at + j] * factor - delta) * slope;
    products[at + j] = probability * factor;
  }
}

unsigned blocks(const HeadRows& rows) {
  return static_cast<unsigned>(rows.sequences * rows.length);
}
unsigned blocks(const Scores& scores) {
  return static_cast<unsigned>(scores.sequences * scores.heads * scores.queries);
}

}  // namespace

void gather_heads(const HeadRows& rows, const float* packed, float* padded) {
  move_heads<false><<<blocks(rows), kThreads>>>(rows, packed, padded);
  check_launch("heads to padded rows");
}

void scatter_heads(const HeadRows& rows, const float* padded, float* packed) {
  move_heads<true><<<blocks(rows), kThreads>>>(rows, padded, packed);
  check_launch("heads to packed rows");
}

void softmax_scores(const Scores& scores, float* products, float* log_sum) {
  softmax<<<blocks(scores), kThreads>>>(scores, products, log_sum);
  check_launch("softmax");
}

void score_gradients(const Scores& scores, const float* log_sum, float* products, float* grads) {
  gradients<<<blocks(scores), kThreads>>>(scores, log_sum, products, grads);
  check_launch("softmax's gradient");
}

}  // namespace rankwise::kernels
