// Scores, a threshold, masks.
#include "peft/methods/rank_allocator.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

int64_t last_allocation(const RankSettings& settings) {
  return *settings.total_step - settings.tfinal;
}

}  // namespace

void RankAllocator::start(const std::vector<Matrix>& matrices) {
  int64_t numbers = 0, ranks = 0;
  for (const Matrix& matrix : matrices) {
    places_.push_back({matrix, numbers, ranks});
    numbers += matrix.rank * (matrix.in + matrix.out + 1);
    ranks += matrix.rank;
  }
  importance_ = at::zeros({numbers});
  uncertainty_ = at::zeros({numbers});
  kept_ = at::ones({ranks}, at::kByte);
}

void RankAllocator::begin(RankSettings& settings, int64_t updates_in_all) const {
  if (!settings.total_step) settings.total_step = updates_in_all;
  if (settings.tinit >= last_allocation(settings))
    throw usage_error(
        "--tinit {} and --tfinal {} leave none of {} updates in which ranks could be taken away",
        settings.tinit, settings.tfinal, *settings.total_step);
}

void RankAllocator::after_step(const RankSettings& settings, int64_t number, at::Tensor& values,
                               const at::Tensor& gradient, double clip) {
  at::NoGradGuard no_grad;
  const int64_t last = last_allocation(settings);
  if (number < last) {
    const int64_t numbers = importance_.numel();
    const at::Tensor clipped = gradient.narrow(0, 0, numbers) * clip;
    const at::Tensor now = (values.narrow(0, 0, numbers) * clipped).abs();
    importance_.mul_(settings.beta1).add_(now, 1 - settings.beta1);
    uncertainty_.mul_(settings.beta2).add_((now - importance_).abs(), 1 - settings.beta2);
    if (number <= settings.tinit || number % settings.delta_t != 0) return;
  }
  if (number <= last) allocate(budget(settings, number));
  for (size_t i = 0; i < places_.size(); ++i) {
    values.narrow(0, places_[i].values(), places_[i].shape.rank).masked_fill_(kept(i) == 0, 0);
  }
}

// Cubic from all ranks to the target.
int64_t RankAllocator::budget(const RankSettings& settings, int64_t number) const {
  const auto all = static_cast<double>(kept_.numel());
  const auto target = static_cast<double>(settings.target_r * std::ssize(places_));
  const double left = 1 - static_cast<double>(number - settings.tinit) /
                              static_cast<double>(last_allocation(settings) - settings.tinit);
  return static_cast<int64_t>((all - target) * left * left * left + target);
}

void RankAllocator::allocate(int64_t ranks) {
  const int64_t taken = std::min(kept_.numel() - ranks, kept_.numel());
  if (taken < 1) return;
  std::vector<at::Tensor> all;
  for (const Place& place : places_) all.push_back(scores(place));
  const at::Tensor scores = at::cat(all);
  kept_.copy_(scores > std::get<0>(at::kthvalue(scores, taken)));
}

// Of each rank: that of its value, and the means of those of its vectors. [R]
at::Tensor RankAllocator::scores(const Place& place) const {
  const auto [rank, in, out] = place.shape;
  int64_t begin = place.begin;
  const auto score = [&](int64_t rows, int64_t columns) {
    const int64_t numbers = rows * columns;
    const at::Tensor product =
        importance_.narrow(0, begin, numbers) * uncertainty_.narrow(0, begin, numbers);
    begin += numbers;
    return product.view({rows, columns});
  };
  const at::Tensor a = score(rank, in).mean(1), b = score(out, rank).mean(0);
  return score(rank, 1).view(-1) + (a + b);
}

at::Tensor RankAllocator::kept(size_t matrix) const {
  return kept_.narrow(0, places_[matrix].first_rank, places_[matrix].shape.rank);
}

bool RankAllocator::pruned() const { return at::any(kept_ == 0).item<bool>(); }

}  // namespace rankwise
