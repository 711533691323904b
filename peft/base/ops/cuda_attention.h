// The attention core on a GPU: FlashAttention where it can (flash_attention.h), else matrix
// products of LibTorch over padded sequences and the rest by kernels (peft/base/kernels/cuda).
// Nothing but this is padded.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "peft/base/kernels/attention.h"

namespace rankwise {

struct Attended {
  at::Tensor out;                // [Tq, H·D]
  std::vector<at::Tensor> kept;  // for the gradients
};
struct AttentionGradients {
  at::Tensor query, key, value;
};

// As kernels::attention_forward and attention_backward. Contiguous tensors on one GPU.
Attended attended_on_cuda(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          const kernels::AttentionPlan& plan);
AttentionGradients attention_gradients_on_cuda(const std::vector<at::Tensor>& kept,
                                               const at::Tensor& grad_out,
                                               const kernels::AttentionPlan& plan);

// What is computed together: the key heads first_key_head … of the sequences first_sequence …,
// padded to the longest of them.
struct AttentionChunk {
  int64_t first_sequence, sequences, first_key_head, key_heads;
  int64_t queries, keys;  // padded lengths
};
// Chunks of at most `most_scores` scores, or of one key head of one sequence.
std::vector<AttentionChunk> attention_chunks(const kernels::AttentionPlan& plan,
                                             int64_t most_scores);

}  // namespace rankwise
