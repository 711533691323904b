// Sequences are padded to the longest of their chunk; a chunk's scores are never larger than a
// quarter of a gigabyte, however long the texts.
#include "peft/base/ops/cuda_attention.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "peft/base/kernels/cuda/attention.h"

namespace rankwise {
namespace {

constexpr int64_t kMostScores = int64_t{1} << 26;

template <class T>
at::Tensor on_device(const std::vector<T>& values, at::ScalarType type, const at::Device& device) {
  return at::from_blob(const_cast<T*>(values.data()), {std::ssize(values)}, type).to(device);
}

// The plan's arrays where the kernels see them.
class DevicePlan {
 public:
  DevicePlan(const kernels::AttentionPlan& plan, const at::Device& device) : plan_(plan) {
    const int64_t sequences = plan.sequences();
    std::vector<int64_t> numbers(plan.query_bounds.begin(), plan.query_bounds.end() - 1);
    for (int64_t s = 0; s < sequences; ++s) {
      const auto at = static_cast<size_t>(s);
      numbers.push_back(plan.query_bounds[at + 1] - plan.query_bounds[at]);
    }
    numbers.insert(numbers.end(), plan.key_begins.begin(), plan.key_begins.end());
    numbers.insert(numbers.end(), plan.key_counts.begin(), plan.key_counts.end());
    sequences_ = on_device(numbers, at::kLong, device).view({4, sequences});
    positions_ = on_device(plan.query_positions, at::kInt, device);
    rows_ = on_device(plan.query_rows, at::kInt, device);
    if (plan.bias) bias_ = on_device(plan.bias->values, at::kFloat, device);
  }

  kernels::HeadRows queries(const AttentionChunk& chunk) const {
    const int64_t group = plan_.heads / plan_.key_heads;
    return {of(0, chunk),
            of(1, chunk),
            chunk.sequences,
            chunk.first_key_head * group,
            chunk.key_heads * group,
            plan_.heads,
            chunk.queries,
            plan_.head_size};
  }
  kernels::HeadRows keys(const AttentionChunk& chunk) const {
    return {of(2, chunk),    of(3, chunk),    chunk.sequences, chunk.first_key_head,
            chunk.key_heads, plan_.key_heads, chunk.keys,      plan_.head_size};
  }
  kernels::Scores scores(const AttentionChunk& chunk) const {
    const kernels::HeadRows queries = this->queries(chunk);
    return {.query_begins = queries.begins,
            .query_counts = queries.counts,
            .key_counts = of(3, chunk),
            .query_positions = positions_.const_data_ptr<int32_t>(),
            .query_rows = reinterpret_cast<const uint32_t*>(rows_.const_data_ptr<int32_t>()),
            .bias = plan_.bias ? bias_.const_data_ptr<float>() : nullptr,
            .reach = plan_.bias ? plan_.bias->reach : 0,
            .sequences = chunk.sequences,
            .first_head = queries.first_head,
            .heads = queries.heads,
            .all_heads = plan_.heads,
            .queries = chunk.queries,
            .keys = chunk.keys,
            .scale = plan_.scale,
            .softcap = plan_.softcap,
            .causal = plan_.causal,
            .window = plan_.window,
            .dropout_site = plan_.dropout_site,
            .dropout = plan_.dropout,
            .key = plan_.key};
  }

 private:
  const int64_t* of(int64_t kind, const AttentionChunk& chunk) const {
    return sequences_.const_data_ptr<int64_t>() + kind * sequences_.size(1) + chunk.first_sequence;
  }

  const kernels::AttentionPlan& plan_;
  at::Tensor sequences_;  // [4, S]: queries' begins and counts, keys' begins and counts
  at::Tensor positions_, rows_, bias_;
};

// [Tq or Tk, heads · D] → [sequences · key heads, group · length, D], so that a key head's queries
// are multiplied together.
at::Tensor gathered(const at::Tensor& packed, const kernels::HeadRows& rows, int64_t batch) {
  at::Tensor padded = at::empty(
      {batch, rows.sequences * rows.heads / batch * rows.length, rows.size}, packed.options());
  kernels::gather_heads(rows, packed.const_data_ptr<float>(), padded.data_ptr<float>());
  return padded;
}

void scatter(const at::Tensor& padded, const kernels::HeadRows& rows, at::Tensor& packed) {
  kernels::scatter_heads(rows, padded.contiguous().const_data_ptr<float>(),
                         packed.data_ptr<float>());
}

// The rows of a chunk that both directions need.
struct Padded {
  kernels::HeadRows queries, keys;
  int64_t batch;
  at::Tensor query, key, value;

  Padded(const DevicePlan& plan, const AttentionChunk& chunk, const at::Tensor& all_query,
         const at::Tensor& all_key, const at::Tensor& all_value)
      : queries(plan.queries(chunk)),
        keys(plan.keys(chunk)),
        batch(chunk.sequences * chunk.key_heads),
        query(gathered(all_query, queries, batch)),
        key(gathered(all_key, keys, batch)),
        value(gathered(all_value, keys, batch)) {}
};

}  // namespace

std::vector<AttentionChunk> attention_chunks(const kernels::AttentionPlan& plan,
                                             int64_t most_scores) {
  std::vector<AttentionChunk> chunks;
  const int64_t group = plan.heads / plan.key_heads;
  AttentionChunk open{};
  const auto close = [&] {
    if (open.sequences == 0) return;
    const int64_t of_head = open.sequences * group * open.queries * open.keys;
    const int64_t heads =
        std::clamp<int64_t>(most_scores / std::max<int64_t>(1, of_head), 1, plan.key_heads);
    for (int64_t head = 0; head < plan.key_heads; head += heads) {
      AttentionChunk chunk = open;
      chunk.first_key_head = head;
      chunk.key_heads = std::min(heads, plan.key_heads - head);
      if (chunk.queries > 0) chunks.push_back(chunk);
    }
  };
  for (int64_t s = 0; s < plan.sequences(); ++s) {
    const auto at = static_cast<size_t>(s);
    const int64_t queries =
        std::max(open.queries, plan.query_bounds[at + 1] - plan.query_bounds[at]);
    const int64_t keys = std::max(open.keys, plan.key_counts[at]);
    if (open.sequences > 0 && (open.sequences + 1) * plan.heads * queries * keys > most_scores) {
      close();
      open = {s, 0, 0, 0, 0, 0};
      --s;  // begins the next chunk
      continue;
    }
    if (open.sequences == 0) open.first_sequence = s;
    ++open.sequences;
    open.queries = queries;
    open.keys = keys;
  }
  close();
  return chunks;
}

Attended attended_on_cuda(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          const kernels::AttentionPlan& plan) {
  Attended made{at::zeros_like(query), at::empty({query.size(0), plan.heads}, query.options())};
  const DevicePlan on_gpu(plan, query.device());
  for (const AttentionChunk& chunk : attention_chunks(plan, kMostScores)) {
    const Padded rows(on_gpu, chunk, query, key, value);
    at::Tensor scores = at::bmm(rows.query, rows.key.transpose(1, 2));
    kernels::softmax_scores(on_gpu.scores(chunk), scores.data_ptr<float>(),
                            made.log_sum.data_ptr<float>());
    scatter(at::bmm(scores, rows.value), rows.queries, made.out);
  }
  return made;
}

AttentionGradients attention_gradients_on_cuda(const at::Tensor& query, const at::Tensor& key,
                                               const at::Tensor& value, const at::Tensor& log_sum,
                                               const at::Tensor& grad_out,
                                               const kernels::AttentionPlan& plan) {
  AttentionGradients made{at::zeros_like(query), at::zeros_like(key), at::zeros_like(value)};
  const DevicePlan on_gpu(plan, query.device());
  for (const AttentionChunk& chunk : attention_chunks(plan, kMostScores)) {
    const Padded rows(on_gpu, chunk, query, key, value);
    const at::Tensor grad = gathered(grad_out, rows.queries, rows.batch);
    at::Tensor scores = at::bmm(rows.query, rows.key.transpose(1, 2));
    at::Tensor grads = at::bmm(grad, rows.value.transpose(1, 2));
    kernels::score_gradients(on_gpu.scores(chunk), log_sum.const_data_ptr<float>(),
                             scores.data_ptr<float>(), grads.data_ptr<float>());
    scatter(at::bmm(grads, rows.key), rows.queries, made.query);
    scatter(at::bmm(grads.transpose(1, 2), rows.query), rows.keys, made.key);
    scatter(at::bmm(scores.transpose(1, 2), grad), rows.keys, made.value);
  }
  return made;
}

}  // namespace rankwise
