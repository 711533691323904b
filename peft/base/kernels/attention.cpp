// One task is one key head of one sequence: its rows are copied into padded buffers, then blocks of queries
// pass over all keys. Nothing is shared between tasks, so threads may take any of them.
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
      grad_key, grad_value;
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
  for (int64_t d = 0; d < size; ++d) {
    for (int64_t i = 0; i < rows; ++i) to[d * rows_padded + i] = from[i * stride + d];
    for (int64_t i = rows; i < rows_padded; ++i) to[d * rows_padded + i] = 0;
  }
}

RANKWISE_INLINE void store(const float* from, int64_t size_padded, int64_t rows, int64_t size,
                           float* to, int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t d = 0; d < size; ++d) to[i * stride + d] = from[i * size_padded + d];
  }
}

RANKWISE_INLINE int64_t visible_keys(const AttentionPlan& plan, int64_t query, int64_t keys) {
  return plan.causal ? std::min<int64_t>(plan.query_positions[static_cast<size_t>(query)] + 1, keys)
                     : keys;
}

// scores → probabilities in place; returns the logarithm of the row's sum of exponentials.
RANKWISE_INLINE float softmax_row(float* row, int64_t visible, int64_t padded_keys, float scale) {
  float most = -INFINITY;
#pragma omp simd reduction(max : most)
  for (int64_t j = 0; j < visible; ++j) most = std::max(most, row[j] * scale);
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < visible; ++j) {
    row[j] = exponential(row[j] * scale - most);
    sum += row[j];
  }
  const float inverse = 1 / sum;
  for (int64_t j = 0; j < visible; ++j) row[j] *= inverse;
  for (int64_t j = visible; j < padded_keys; ++j) row[j] = 0;
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
  const int64_t keys = plan.key_bounds[static_cast<size_t>(sequence) + 1] -
                       plan.key_bounds[static_cast<size_t>(sequence)];
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
          plan.key_bounds[at],
          plan.heads / plan.key_heads,
          plan.heads * plan.head_size,
          plan.key_heads * plan.head_size};
}

RANKWISE_KERNEL void forward_task(const AttentionPlan& plan, const Task& task, const Sizes& n,
                                  Buffers& buffers, const float* query, const float* key,
                                  const float* value, float* out, float* log_sum) {
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
      gemm(rows, n.keys_padded, n.size, {query + offset, task.query_stride, 1}, key_t,
           n.keys_padded, scores, n.keys_padded, false);
      for (int64_t i = 0; i < rows; ++i) {
        float* row = scores + i * n.keys_padded;
        log_sum[(begin + i) * plan.heads + head] =
            softmax_row(row, visible_keys(plan, begin + i, n.keys), n.keys_padded, plan.scale);
        if (plan.dropout.active()) drop_row(plan, begin + i, head, n.keys, row);
      }
      gemm(rows, n.size_padded, n.keys, {scores, n.keys_padded, 1}, values, n.size_padded,
           block_out, n.size_padded, false);
      store(block_out, n.size_padded, rows, n.size, out + offset, task.query_stride);
    }
  }
}

// The gradient of one row of scores. probability: out the dropped probabilities, for the gradient
// of the values.
RANKWISE_INLINE void backward_row(const AttentionPlan& plan, int64_t query, int64_t head,
                                  int64_t visible, const Sizes& n, float log_sum,
                                  float* probability, float* grad) {
  for (int64_t j = 0; j < visible; ++j)
    probability[j] = exponential(probability[j] * plan.scale - log_sum);
  for (int64_t j = visible; j < n.keys_padded; ++j) probability[j] = 0;
  float delta = 0;
  if (plan.dropout.active()) {
    const StretchWords words = dropout_words(plan, query, head);
    const DropoutRate rate = plan.dropout;
#pragma omp simd reduction(+ : delta)
    for (int64_t j = 0; j < n.keys; ++j) {
      grad[j] *= dropout_factor(words, static_cast<uint32_t>(j), rate);
      delta += grad[j] * probability[j];
    }
    for (int64_t j = 0; j < n.keys; ++j) grad[j] = probability[j] * (grad[j] - delta) * plan.scale;
    for (int64_t j = 0; j < n.keys; ++j)
      probability[j] *= dropout_factor(words, static_cast<uint32_t>(j), rate);
  } else {
#pragma omp simd reduction(+ : delta)
    for (int64_t j = 0; j < n.keys; ++j) delta += grad[j] * probability[j];
    for (int64_t j = 0; j < n.keys; ++j) grad[j] = probability[j] * (grad[j] - delta) * plan.scale;
  }
  for (int64_t j = n.keys; j < n.keys_padded; ++j) grad[j] = 0;
}

RANKWISE_KERNEL void backward_task(const AttentionPlan& plan, const Task& task, const Sizes& n,
                                   Buffers& buffers, const float* query, const float* key,
                                   const float* value, const float* log_sum, const float* grad_out,
                                   float* grad_query, float* grad_key, float* grad_value) {
  const int64_t key_offset = task.key_begin * task.key_stride + task.key_head * n.size;
  float* key_t = resized(buffers.key_t, n.size * n.keys_padded);
  float* value_t = resized(buffers.value_t, n.size * n.keys_padded);
  float* keys = resized(buffers.key, n.keys * n.size_padded);
  float* scores = resized(buffers.scores, kBlock * n.keys_padded);
  float* grads = resized(buffers.grad_scores, kBlock * n.keys_padded);
  float* queries = resized(buffers.query, kBlock * n.size_padded);
  float* outs = resized(buffers.grad_out, kBlock * n.size_padded);
  float* block = resized(buffers.out, kBlock * n.size_padded);
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
      gemm(rows, n.keys_padded, n.size, {queries, n.size_padded, 1}, key_t, n.keys_padded, scores,
           n.keys_padded, false);
      gemm(rows, n.keys_padded, n.size, {outs, n.size_padded, 1}, value_t, n.keys_padded, grads,
           n.keys_padded, false);
      for (int64_t i = 0; i < rows; ++i) {
        backward_row(plan, begin + i, head, visible_keys(plan, begin + i, n.keys), n,
                     log_sum[(begin + i) * plan.heads + head], scores + i * n.keys_padded,
                     grads + i * n.keys_padded);
      }
      if (grad_query) {
        gemm(rows, n.size_padded, n.keys, {grads, n.keys_padded, 1}, keys, n.size_padded, block,
             n.size_padded, false);
        store(block, n.size_padded, rows, n.size, grad_query + offset, task.query_stride);
      }
      if (grad_key)
        gemm(n.keys, n.size_padded, rows, {grads, 1, n.keys_padded}, queries, n.size_padded,
             sum_key, n.size_padded, true);
      if (grad_value)
        gemm(n.keys, n.size_padded, rows, {scores, 1, n.keys_padded}, outs, n.size_padded,
             sum_value, n.size_padded, true);
    }
  }
  if (grad_key)
    store(sum_key, n.size_padded, n.keys, n.size, grad_key + key_offset, task.key_stride);
  if (grad_value)
    store(sum_value, n.size_padded, n.keys, n.size, grad_value + key_offset, task.key_stride);
}

}  // namespace

void attention_forward(const AttentionPlan& plan, const float* query, const float* key,
                       const float* value, float* out, float* log_sum, int64_t first,
                       int64_t last) {
  Buffers buffers;
  for (int64_t index = first; index < last; ++index) {
    const Task task = task_of(plan, index);
    forward_task(plan, task, sizes_of(plan, task.sequence), buffers, query, key, value, out,
                 log_sum);
  }
}

void attention_backward(const AttentionPlan& plan, const float* query, const float* key,
                        const float* value, const float* log_sum, const float* grad_out,
                        float* grad_query, float* grad_key, float* grad_value, int64_t first,
                        int64_t last) {
  Buffers buffers;
  for (int64_t index = first; index < last; ++index) {
    const Task task = task_of(plan, index);
    backward_task(plan, task, sizes_of(plan, task.sequence), buffers, query, key, value, log_sum,
                  grad_out, grad_query, grad_key, grad_value);
  }
}

}  // namespace rankwise::kernels
