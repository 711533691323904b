// From what a base's head sees to logits and the loss, summed over targets.
#pragma once

#include <ATen/core/Tensor.h>

#include "peft/base/family.h"

namespace rankwise {

// [N, outputs] float32, capped where the family caps them; without a head the features.
at::Tensor logits_of(const Base& base, const at::Tensor& features, const Pass& pass);

// Σ over targets of the negative log likelihood, a differentiable scalar; `pass` is of `features`.
// SEQ_CLS, TOKEN_CLS, CAUSAL_LM, SEQ_2_SEQ_LM: features [N, F], one row a target. QUESTION_ANS: one
// row a token of own_tokens(); the mean of the start's and the end's loss, summed over sequences.
at::Tensor loss_sum(const at::Tensor& logits, const Unit& unit, TaskType task);

// The same straight from the features of a language model, whose logits never exist as a whole
// (after Liger's fused linear cross-entropy: the gradient is made in the forward pass, chunk by
// chunk). Falls back to loss_sum where the head itself trains.
at::Tensor language_model_loss(const Base& base, const at::Tensor& features, const Pass& pass);

// The loss of each target [N] float32, without a graph, in chunks likewise.
at::Tensor target_losses(const Base& base, const at::Tensor& features, const Pass& pass);

// Whether a task's head is the language model's.
bool is_language_model(TaskType task);

}  // namespace rankwise
