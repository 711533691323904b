// Logits, and cross-entropy summed over targets.
#include "peft/model/loss.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "peft/base/kernels/cross_entropy.h"
#include "peft/base/ops/product.h"
#include "peft/base/ops/sent_to.h"
#include "peft/base/selection.h"

namespace rankwise {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// Of logits that exist at a time: 32 MB; on a GPU, which wants more at once, 128 MB.
int64_t chunk_numbers(const at::Device& device) {
  return int64_t{1} << (device.is_cpu() ? 23 : 25);
}

at::Tensor capped(const at::Tensor& logits, double cap) {
  return cap > 0 ? at::tanh(logits / cap) * cap : logits;
}

// logits [n, V], targets [n] → losses [n] float64; the logits become the gradient of their sum.
at::Tensor cross_entropy_in_place(at::Tensor& logits, const at::Tensor& targets) {
  const int64_t rows = logits.size(0), words = logits.size(1);
  if (logits.is_cpu()) {
    at::Tensor losses = at::empty({rows}, at::kDouble);
    at::parallel_for(0, rows, 1, [&](int64_t first, int64_t last) {
      kernels::cross_entropy_rows(logits.data_ptr<float>(), targets.const_data_ptr<int64_t>(),
                                  losses.data_ptr<double>(), words, first, last);
    });
    return losses;
  }
  const at::Tensor wanted = targets.unsqueeze(1), log_sum = at::logsumexp(logits, 1, true);
  const at::Tensor losses = (log_sum - logits.gather(1, wanted)).squeeze(1).to(at::kDouble);
  logits.sub_(log_sum).exp_();
  logits.scatter_add_(1, wanted, at::full({rows, 1}, -1.0, logits.options()));
  return losses;
}

// Calls each(first row, logits, targets [n]) for a chunk of rows at a time.
template <class Each>
void by_chunks(const at::Tensor& features, const FrozenWeight& weight, const at::Tensor& targets,
               double cap, const Each& each) {
  const int64_t rows = features.size(0);
  const int64_t chunk =
      std::max<int64_t>(1, chunk_numbers(features.device()) / weight.numbers.size(0));
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    const int64_t count = std::min(chunk, rows - begin);
    each(begin, capped(product(features.narrow(0, begin, count), weight, at::Tensor()), cap),
         targets.narrow(0, begin, count));
  }
}

struct LanguageModelLoss : Function<LanguageModelLoss> {
  // features [N, F], weight [V, F] frozen, targets [N] → [] loss sum
  static at::Tensor forward(AutogradContext* context, const at::Tensor& features,
                            const FrozenWeight& weight, const at::Tensor& targets, double cap) {
    const bool with_grad = features.requires_grad();
    at::Tensor grad = with_grad ? at::empty_like(features) : at::Tensor();
    at::Tensor sum = at::zeros({}, features.options().dtype(at::kDouble));
    by_chunks(features, weight, targets, cap,
              [&](int64_t begin, at::Tensor logits, const at::Tensor& wanted) {
                const at::Tensor slope = cap > 0 ? 1 - at::square(logits / cap) : at::Tensor();
                sum += cross_entropy_in_place(logits, wanted).sum();
                if (!with_grad) return;
                if (cap > 0) logits.mul_(slope);
                grad.narrow(0, begin, wanted.size(0)).copy_(product_backward(logits, weight));
              });
    context->save_for_backward({grad});
    return sum.to(at::kFloat);
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const at::Tensor grad = context->get_saved_variables()[0];
    return {grad.defined() ? grad * grads[0] : grad, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets) {
  return at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum);
}

// Whether the head's product is all there is to logits, and frozen.
bool is_plain(const Linear& head) {
  return !head.adapter && !head.weight.requires_grad() && !head.bias.defined();
}

// logits [N, 2] of own_tokens(); targets [S, 2]: the tokens of a row compete among themselves.
at::Tensor span_loss(const at::Tensor& logits, const Unit& unit) {
  at::Tensor sum = at::zeros({}, logits.options());
  const std::vector<int64_t> bounds = own_bounds(unit.text);
  for (int64_t s = 0; s < unit.text.sequences(); ++s) {
    const auto i = static_cast<size_t>(s);
    const at::Tensor row = logits.slice(0, bounds[i], bounds[i + 1]).t();  // [2, length]
    sum = sum + cross_entropy(row, sent_to(row.device(), unit.targets[s])) / 2;
  }
  return sum;
}

}  // namespace

at::Tensor logits_of(const Base& base, const at::Tensor& features, const Pass& pass) {
  if (!base.output().weight.defined()) return features;  // no head
  return capped(base.output()(features, pass), base.logit_softcap());
}

at::Tensor loss_sum(const at::Tensor& logits, const Unit& unit, TaskType task) {
  if (task == TaskType::kQuestionAns) return span_loss(logits, unit);
  const at::Tensor targets = sent_to(logits.device(), unit.targets);
  if (targets.is_floating_point())  // a regression
    return at::mse_loss(logits.squeeze(1), targets, at::Reduction::Sum);
  return cross_entropy(logits, targets);
}

at::Tensor language_model_loss(const Base& base, const at::Tensor& features, const Pass& pass) {
  const Linear& head = base.output();
  const at::Tensor targets = sent_to(features.device(), pass.unit().targets);
  if (!is_plain(head)) return cross_entropy(logits_of(base, features, pass), targets);
  return LanguageModelLoss::apply(features.contiguous(), head.frozen(), targets,
                                  base.logit_softcap());
}

at::Tensor target_losses(const Base& base, const at::Tensor& features, const Pass& pass) {
  at::NoGradGuard no_grad;
  const at::Tensor targets = sent_to(features.device(), pass.unit().targets);
  if (!is_plain(base.output()))
    return at::cross_entropy_loss(logits_of(base, features, pass), targets, {},
                                  at::Reduction::None);
  at::Tensor losses = at::empty({targets.size(0)}, at::kFloat);
  by_chunks(features, base.output().frozen(), targets, base.logit_softcap(),
            [&](int64_t begin, at::Tensor logits, const at::Tensor& wanted) {
              losses.narrow(0, begin, wanted.size(0)).copy_(cross_entropy_in_place(logits, wanted));
            });
  return losses;
}

bool is_language_model(TaskType task) {
  return task == TaskType::kCausalLm || task == TaskType::kSeq2SeqLm;
}

}  // namespace rankwise
