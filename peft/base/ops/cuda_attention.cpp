// Sequences are padded to the longest of their chunk; a chunk's scores are never larger than a
// quarter of a gigabyte, however long the texts.
#include "peft/base/ops/cuda_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

#include "peft/base/kernels/cuda/attention.h"
#include "peft/base/ops/flash_attention.h"
#include "peft/base/ops/sent_to.h"

namespace rankwise {
namespace {

constexpr int64_t kMostScores = int64_t{1} << 26;
// Of fewer keys conversions to bfloat16 take longer than they save.
constexpr int64_t kManyKeys = 256;

// The plan's arrays where the kernels see them.
class DevicePlan {
 public:
  DevicePlan(const kernels::AttentionPlan& plan, const at::Device& device) : plan_(plan) {
    add(plan.query_bounds.data(), plan.sequences());
    std::vector<int64_t> counts;
    for (size_t s = 0; s + 1 < plan.query_bounds.size(); ++s)
      counts.push_back(plan.query_bounds[s + 1] - plan.query_bounds[s]);
    add(counts.data(), plan.sequences());
    add(plan.key_begins.data(), plan.sequences());
    add(plan.key_counts.data(), plan.sequences());
    positions_at_ = add(plan.query_positions.data(), std::ssize(plan.query_positions));
    rows_at_ = add(plan.query_rows.data(), std::ssize(plan.query_rows));
    if (plan.bias) bias_at_ = add(plan.bias->values.data(), std::ssize(plan.bias->values));
    bytes_ = sent_to(device, at::from_blob(all_.data(), {std::ssize(all_)}, at::kByte));
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
            .query_positions = at<int32_t>(positions_at_),
            .query_rows = at<uint32_t>(rows_at_),
            .bias = plan_.bias ? at<float>(bias_at_) : nullptr,
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

  at::ScalarType type(const AttentionChunk& chunk) const {
    return plan_.bfloat16_products && chunk.keys >= kManyKeys ? at::kBFloat16 : at::kFloat;
  }

 private:
  // Behind what is there, at a multiple of eight bytes; returns where.
  template <class T>
  size_t add(const T* values, int64_t count) {
    const size_t begin = (all_.size() + 7) / 8 * 8, bytes = static_cast<size_t>(count) * sizeof(T);
    all_.resize(begin + bytes);
    std::memcpy(all_.data() + begin, values, bytes);
    return begin;
  }
  template <class T>
  const T* at(size_t begin) const {
    return reinterpret_cast<const T*>(bytes_.const_data_ptr<uint8_t>() + begin);
  }
  // Of the four arrays of sequences that come first.
  const int64_t* of(int64_t kind, const AttentionChunk& chunk) const {
    return at<int64_t>(0) + kind * plan_.sequences() + chunk.first_sequence;
  }

  const kernels::AttentionPlan& plan_;
  std::vector<uint8_t> all_;
  size_t positions_at_ = 0, rows_at_ = 0, bias_at_ = 0;
  at::Tensor bytes_;  // on the GPU
};

// [Tq or Tk, heads · D] → [sequences · key heads, group · length, D], so that a key head's queries
// are multiplied together.
at::Tensor gathered(const at::Tensor& packed, const kernels::HeadRows& rows, int64_t batch,
                    at::ScalarType type) {
  at::Tensor padded = at::empty(
      {batch, rows.sequences * rows.heads / batch * rows.length, rows.size}, packed.options());
  kernels::gather_heads(rows, packed.const_data_ptr<float>(), padded.data_ptr<float>());
  return padded.to(type);
}

// Of matrices of the type of b, in float32.
at::Tensor products(const at::Tensor& a, const at::Tensor& b) {
  if (b.scalar_type() == at::kFloat) return at::bmm(a, b);
  return at::bmm(a.to(b.scalar_type()), b, at::kFloat);
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
        query(gathered(all_query, queries, batch, plan.type(chunk))),
        key(gathered(all_key, keys, batch, plan.type(chunk))),
        value(gathered(all_value, keys, batch, plan.type(chunk))) {}
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
  if (is_flash(plan)) return flash_attended(query, key, value, plan);
  at::Tensor out = at::zeros_like(query),
             log_sum = at::empty({query.size(0), plan.heads}, query.options());
  const DevicePlan on_gpu(plan, query.device());
  for (const AttentionChunk& chunk : attention_chunks(plan, kMostScores)) {
    const Padded rows(on_gpu, chunk, query, key, value);
    at::Tensor scores = products(rows.query, rows.key.transpose(1, 2));
    kernels::softmax_scores(on_gpu.scores(chunk), scores.data_ptr<float>(),
                            log_sum.data_ptr<float>());
    scatter(products(scores, rows.value), rows.queries, out);
  }
  return {out, {query, key, value, log_sum}};
}

AttentionGradients attention_gradients_on_cuda(const std::vector<at::Tensor>& kept,
                                               const at::Tensor& grad_out,
                                               const kernels::AttentionPlan& plan) {
  if (is_flash(plan)) return flash_gradients(kept, grad_out, plan);
  const at::Tensor &query = kept[0], &key = kept[1], &value = kept[2], &log_sum = kept[3];
  AttentionGradients made{at::zeros_like(query), at::zeros_like(key), at::zeros_like(value)};
  const DevicePlan on_gpu(plan, query.device());
  for (const AttentionChunk& chunk : attention_chunks(plan, kMostScores)) {
    const Padded rows(on_gpu, chunk, query, key, value);
    const at::Tensor grad = gathered(grad_out, rows.queries, rows.batch, on_gpu.type(chunk));
    at::Tensor scores = products(rows.query, rows.key.transpose(1, 2));
    at::Tensor grads = products(grad, rows.value.transpose(1, 2));
    kernels::score_gradients(on_gpu.scores(chunk), log_sum.const_data_ptr<float>(),
                             scores.data_ptr<float>(), grads.data_ptr<float>());
    scatter(products(grads, rows.key), rows.queries, made.query);
    scatter(products(grads.transpose(1, 2), rows.query), rows.keys, made.key);
    scatter(products(scores.transpose(1, 2), grad), rows.keys, made.value);
  }
  return made;
}

}  // namespace rankwise
