// FlashAttention (Dao, 2023) as LibTorch has it, on one GPU: packed sequences as they lie, in
// bfloat16 with sums in float32; no scores are kept and nothing is padded.
#pragma once

#include "peft/base/ops/cuda_attention.h"

namespace rankwise {

// Whether it can compute this: products in bfloat16, plain scores without dropout, all keys in use.
bool is_flash(const kernels::AttentionPlan& plan);

// As attended_on_cuda and attention_gradients_on_cuda, of plans that are. The same bits each time.
Attended flash_attended(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                        const kernels::AttentionPlan& plan);
AttentionGradients flash_gradients(const std::vector<at::Tensor>& kept, const at::Tensor& grad_out,
                                   const kernels::AttentionPlan& plan);

}  // namespace rankwise
