// One task is one key head of one sequence: its rows are copied into padded buffers, then blocks of
// queries pass over all keys. Nothing is shared between tasks, so threads may take any of them.
#include "peft/base/kernels/attention.h"

#include <algorithm>
#include <cmath>

#include "peft/base/kernels/exponential.h"
#include "peft/base/kernels/gemm.h"

namespace rankwise::kernels {
namespace {

constexpr int64_t kBlock = 66;  // queries done together: a multiple of the tile's six rows

// One head of one sequence, copied into buffers whose columns are padded for gemm().
struct Sizes {
  int64_t keys, keys_padded, size, size_padded;
};

struct Buffers {
  std::vector<float> key, key_t, value, value_t, query, scores, out, grad_out, grad_scores,
      grad_key, grad_value, slope;
};

RANKWISE_INLINE void load(const float* from, int64_t stride, int64_t rows, int64_t size,
                          int64_t size_padded, float* to) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t d = 0; d < size; ++d) to[i * size_padded + d] = from[i * stride + d];
    for (int64_t d = size; d < size_padded; ++d) to[i * size_padded + d] = 0;
  }
}

RANKWISE_INLINE void load_transposed(const float* from, int64_t stride, int64_t rows,
                                     int64_t rows_padded, int64_t size, float* to) {
  constexpr int64_t kRows = 16;  // more would not stay in the cache: they often share its sets
  for (int64_t begin = 0; begin < rows; begin += kRows) {
    const int64_t end = std::min(begin + kRows, rows);
    for (int64_t d = 0; d < size; ++d) {
      for (int64_t i = begin; i < end; ++i) to[d * rows_padded + i] = from[i * stride + d];
    }
  }
  for (int64_t d = 0; d < size; ++d)
    std::fill(to + d * rows_padded + rows, to + (d + 1) * rows_padded, 0.0f);
}

RANKWISE_INLINE void store(const float* from, int64_t size_padded, int64_t rows, int64_t size,
                           float* to, int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t d = 0; d < size; ++d) to[i * stride + d] = from[i * size_padded + d];
  }
}

// The keys first … last - 1 that a query sees.
struct Visible {
  int64_t first, last;
};

RANKWISE_INLINE Visible visible_keys(const AttentionPlan& plan, int64_t query, int64_t keys) {
  if (!plan.causal) return {0, keys};
  const int64_t position = plan.query_positions[static_cast<size_t>(query)];
  return {plan.window > 0 ? std::max<int64_t>(0, position - plan.window + 1) : 0,
          std::min(position + 1, keys)};
}

// The keys that any query of the block begin … begin + rows - 1 sees: none after these are
// computed.
int64_t keys_of_block(const AttentionPlan& plan, int64_t begin, int64_t rows, int64_t keys) {
  int64_t last = 0;
  for (int64_t i = 0; i < rows; ++i)
    last = std::max(last, visible_keys(plan, begin + i, keys).last);
  return last;
}

// Products → scores, in place: scale, cap and bias.
RANKWISE_INLINE void score_row(const AttentionPlan& plan, int64_t query, int64_t head,
                               Visible visible, float* row) {
  for (int64_t j = visible.first; j < visible.last; ++j) row[j] *= plan.scale;
  if (plan.softcap > 0) {
    for (int64_t j = visible.first; j < visible.last; ++j)
      row[j] = plan.softcap * std::tanh(row[j] / plan.softcap);
  }
  if (plan.bias) {
    const float* bias = plan.bias->of(head) - plan.query_positions[static_cast<size_t>(query)];
    for (int64_t j = visible.first; j < visible.last; ++j) row[j] += bias[j];
  }
}

// Scores → probabilities, in place, 0 up to `end` where nothing is seen; returns the logarithm of
// the row's sum of exponentials.
RANKWISE_INLINE float softmax_row(float* row, Visible visible, int64_t end) {
  float most = -INFINITY;
#pragma omp simd reduction(max : most)
  for (int64_t j = visible.first; j < visible.last; ++j) most = row[j] > most ? row[j] : most;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = visible.first; j < visible.last; ++j) {
    row[j] = exponential(row[j] - most);
    sum += row[j];
  }
  const float inverse = 1 / sum;
  for (int64_t j = visible.first; j < visible.last; ++j) row[j] *= inverse;
  std::fill(row, row + visible.first, 0.0f);
  std::fill(row + visible.last, row + end, 0.0f);
  return most + std::log(sum);
}

RANKWISE_INLINE StretchWords dropout_words(const AttentionPlan& plan, int64_t query, int64_t head) {
  return philox(plan.key, {plan.dropout_site, plan.query_rows[static_cast<size_t>(query)],
                           static_cast<uint32_t>(plan.query_positions[static_cast<size_t>(query)]),
                           static_cast<uint32_t>(head)});
}

RANKWISE_INLINE void drop_row(const AttentionPlan& plan, int64_t query, int64_t head, int64_t keys,
                              float* row) {
  const StretchWords words = dropout_words(plan, query, head);
  const DropoutRate rate = plan.dropout;
  for (int64_t j = 0; j < keys; ++j)
    row[j] *= dropout_factor(words, static_cast<uint32_t>(j), rate);
}

Sizes sizes_of(const AttentionPlan& plan, int64_t sequence) {
  const int64_t keys = plan.key_counts[static_cast<size_t>(sequence)];
  return {keys, padded(keys), plan.head_size, padded(plan.head_size)};
}

float* resized(std::vector<float>& buffer, int64_t size) {
  if (static_cast<int64_t>(buffer.size()) < size) buffer.resize(static_cast<size_t>(size));
  return buffer.data();
}

// What a task needs to find its rows.
struct Task {
  int64_t sequence, key_head, query_begin, query_end, key_begin, group, query_stride, key_stride;
};

Task task_of(const AttentionPlan& plan, int64_t index) {
  const int64_t sequence = index % plan.sequences(), key_head = index / plan.sequences();
  const auto at = static_cast<size_t>(sequence);
  return {sequence,
          key_head,
          plan.query_bounds[at],
          plan.query_bounds[at + 1],
          plan.key_begins[at],
          plan.heads / plan.key_heads,
          plan.heads * plan.head_size,
          plan.key_heads * plan.head_size};
}

// Where the numbers of a call are.
struct Forward {
  const AttentionPlan& plan;
  const float *query, *key, *value;
  float *out, *log_sum;
};

struct Backward {
  const AttentionPlan& plan;
  const float *query, *key, *value, *log_sum, *grad_out;
  float *grad_query, *grad_key, *grad_value;
};

template <bool kWide>
RANKWISE_INLINE void run_task(const Forward& call, const Task& task, const Sizes& n,
                              Buffers& buffers) {
  const auto& [plan, query, key, value, out, log_sum] = call;
  const int64_t key_offset = task.key_begin * task.key_stride + task.key_head * n.size;
  float* key_t = resized(buffers.key_t, n.size * n.keys_padded);
  float* values = resized(buffers.value, n.keys * n.size_padded);
  float* scores = resized(buffers.scores, kBlock * n.keys_padded);
  float* block_out = resized(buffers.out, kBlock * n.size_padded);
  load_transposed(key + key_offset, task.key_stride, n.keys, n.keys_padded, n.size, key_t);
  load(value + key_offset, task.key_stride, n.keys, n.size, n.size_padded, values);
  for (int64_t member = 0; member < task.group; ++member) {
    const int64_t head = task.key_head * task.group + member;
    for (int64_t begin = task.query_begin; begin < task.query_end; begin += kBlock) {
      const int64_t rows = std::min(kBlock, task.query_end - begin);
      const int64_t offset = begin * task.query_stride + head * n.size;
      const int64_t keys = keys_of_block(plan, begin, rows, n.keys);
      gemm<kWide>(rows, padded(keys), n.size, {query + offset, task.query_stride, 1}, key_t,
                  n.keys_padded, scores, n.keys_padded, false);
      for (int64_t i = 0; i < rows; ++i) {
        float* row = scores + i * n.keys_padded;
        const Visible visible = visible_keys(plan, begin + i, n.keys);
        score_row(plan, begin + i, head, visible, row);
        log_sum[(begin + i) * plan.heads + head] = softmax_row(row, visible, keys);
        if (plan.dropout.active()) drop_row(plan, begin + i, head, keys, row);
      }
      gemm<kWide>(rows, n.size_padded, keys, {scores, n.keys_padded, 1}, values, n.size_padded,
                  block_out, n.size_padded, false);
      store(block_out, n.size_padded, rows, n.size, out + offset, task.query_stride);
    }
  }
}

// The gradient of one row of products; 0 up to `end` where nothing is seen. `probability`: in the
// products, out the dropped probabilities, for the gradient of the values.
RANKWISE_INLINE void backward_row(const AttentionPlan& plan, int64_t query, int64_t head,
                                  Visible visible, int64_t end, float log_sum, float* slope,
                                  float* probability, float* grad) {
  const float scale = plan.scale, cap = plan.softcap;
  if (cap > 0) {  // d score / d product, before the scores take the products' place
    for (int64_t j = visible.first; j < visible.last; ++j) {
      const float bent = std::tanh(probability[j] * scale / cap);
      slope[j] = scale * (1 - bent * bent);
    }
  }
  score_row(plan, query, head, visible, probability);
  for (int64_t j = visible.first; j < visible.last; ++j)
    probability[j] = exponential(probability[j] - log_sum);
  const StretchWords words =
      plan.dropout.active() ? dropout_words(plan, query, head) : StretchWords{};
  const DropoutRate rate = plan.dropout;
  if (rate.active()) {
    for (int64_t j = visible.first; j < visible.last; ++j)
      grad[j] *= dropout_factor(words, static_cast<uint32_t>(j), rate);
  }
  float delta = 0;
#pragma omp simd reduction(+ : delta)
  for (int64_t j = visible.first; j < visible.last; ++j) delta += grad[j] * probability[j];
  for (int64_t j = visible.first; j < visible.last; ++j)
    grad[j] = probability[j] * (grad[j] - delta) * (cap > 0 ? slope[j] : scale);
  if (rate.active()) {
    for (int64_t j = visible.first; j < visible.last; ++j)
      probability[j] *= dropout_factor(words, static_cast<uint32_t>(j), rate);
  }
  for (float* row : {probability, grad}) {
    std::fill(row, row + visible.first, 0.0f);
    std::fill(row + visible.last, row + end, 0.0f);
  }
}

template <bool kWide>
RANKWISE_INLINE void run_task(const Backward& call, const Task& task, const Sizes& n,
                              Buffers& buffers) {
  const auto& [plan, query, key, value, log_sum, grad_out, grad_query, grad_key, grad_value] = call;
  const int64_t key_offset = task.key_begin * task.key_stride + task.key_head * n.size;
  float* key_t = resized(buffers.key_t, n.size * n.keys_padded);
  float* value_t = resized(buffers.value_t, n.size * n.keys_padded);
  float* keys = resized(buffers.key, n.keys * n.size_padded);
  float* scores = resized(buffers.scores, kBlock * n.keys_padded);
  float* grads = resized(buffers.grad_scores, kBlock * n.keys_padded);
  float* queries = resized(buffers.query, kBlock * n.size_padded);
  float* outs = resized(buffers.grad_out, kBlock * n.size_padded);
  float* block = resized(buffers.out, kBlock * n.size_padded);
  float* slope = resized(buffers.slope, n.keys_padded);
  float* sum_key = resized(buffers.grad_key, n.keys * n.size_padded);
  float* sum_value = resized(buffers.grad_value, n.keys * n.size_padded);
  std::fill(sum_key, sum_key + n.keys * n.size_padded, 0.0f);
  std::fill(sum_value, sum_value + n.keys * n.size_padded, 0.0f);
  load_transposed(key + key_offset, task.key_stride, n.keys, n.keys_padded, n.size, key_t);
  load_transposed(value + key_offset, task.key_stride, n.keys, n.keys_padded, n.size, value_t);
  load(key + key_offset, task.key_stride, n.keys, n.size, n.size_padded, keys);
  for (int64_t member = 0; member < task.group; ++member) {
    const int64_t head = task.key_head * task.group + member;
    for (int64_t begin = task.query_begin; begin < task.query_end; begin += kBlock) {
      const int64_t rows = std::min(kBlock, task.query_end - begin);
      const int64_t offset = begin * task.query_stride + head * n.size;
      load(query + offset, task.query_stride, rows, n.size, n.size_padded, queries);
      load(grad_out + offset, task.query_stride, rows, n.size, n.size_padded, outs);
      const int64_t keys_seen = keys_of_block(plan, begin, rows, n.keys);
      gemm<kWide>(rows, padded(keys_seen), n.size, {queries, n.size_padded, 1}, key_t,
                  n.keys_padded, scores, n.keys_padded, false);
      gemm<kWide>(rows, padded(keys_seen), n.size, {outs, n.size_padded, 1}, value_t, n.keys_padded,
                  grads, n.keys_padded, false);
      for (int64_t i = 0; i < rows; ++i) {
        backward_row(plan, begin + i, head, visible_keys(plan, begin + i, n.keys), keys_seen,
                     log_sum[(begin + i) * plan.heads + head], slope, scores + i * n.keys_padded,
                     grads + i * n.keys_padded);
      }
      if (grad_query) {
        gemm<kWide>(rows, n.size_padded, keys_seen, {grads, n.keys_padded, 1}, keys, n.size_padded,
                    block, n.size_padded, false);
        store(block, n.size_padded, rows, n.size, grad_query + offset, task.query_stride);
      }
      if (grad_key)
        gemm<kWide>(keys_seen, n.size_padded, rows, {grads, 1, n.keys_padded}, queries,
                    n.size_padded, sum_key, n.size_padded, true);
      if (grad_value)
        gemm<kWide>(keys_seen, n.size_padded, rows, {scores, 1, n.keys_padded}, outs, n.size_padded,
                    sum_value, n.size_padded, true);
    }
  }
  if (grad_key)
    store(sum_key, n.size_padded, n.keys, n.size, grad_key + key_offset, task.key_stride);
  if (grad_value)
    store(sum_value, n.size_padded, n.keys, n.size, grad_value + key_offset, task.key_stride);
}

RANKWISE_NARROW_KERNEL void forward_task(const Forward& call, const Task& task, const Sizes& n,
                                         Buffers& buffers) {
  run_task<false>(call, task, n, buffers);
}
RANKWISE_WIDE_KERNEL void forward_task_wide(const Forward& call, const Task& task, const Sizes& n,
                                            Buffers& buffers) {
  run_task<true>(call, task, n, buffers);
}
RANKWISE_NARROW_KERNEL void backward_task(const Backward& call, const Task& task, const Sizes& n,
                                          Buffers& buffers) {
  run_task<false>(call, task, n, buffers);
}
RANKWISE_WIDE_KERNEL void backward_task_wide(const Backward& call, const Task& task, const Sizes& n,
                                             Buffers& buffers) {
  run_task<true>(call, task, n, buffers);
}

template <class Call, class Run>
void run_tasks(const Call& call, int64_t first, int64_t last, Run run) {
  Buffers buffers;
  for (int64_t index = first; index < last; ++index) {
    const Task task = task_of(call.plan, index);
    run(call, task, sizes_of(call.plan, task.sequence), buffers);
  }
}

}  // namespace

void attention_forward(const AttentionPlan& plan, const float* query, const float* key,
                       const float* value, float* out, float* log_sum, int64_t first,
                       int64_t last) {
  run_tasks(Forward{plan, query, key, value, out, log_sum}, first, last,
            has_wide_vectors() ? forward_task_wide : forward_task);
}

void attention_backward(const AttentionPlan& plan, const float* query, const float* key,
                        const float* value, const float* log_sum, const float* grad_out,
                        float* grad_query, float* grad_key, float* grad_value, int64_t first,
                        int64_t last) {
  run_tasks(Backward{plan, query, key, value, log_sum, grad_out, grad_query, grad_key, grad_value},
            first, last, has_wide_vectors() ? backward_task_wide : backward_task);
}

}  // namespace rankwise::kernels
