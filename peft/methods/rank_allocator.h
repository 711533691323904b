// AdaLoRA's budget: which ranks of all matrices are kept, by how much the loss depends on them
// (Zhang et al., 2023; peft's tuners/adalora/layer.py: RankAllocator).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace rankwise {

struct RankSettings {  // by their names in peft
  int64_t target_r = 8, tinit = 0, tfinal = 0, delta_t = 1;
  double beta1 = 0.85, beta2 = 0.85;
  std::optional<int64_t> total_step;  // none: the run's updates
};

class RankAllocator {
 public:
  struct Matrix {
    int64_t rank, in, out;
  };
  // The first numbers of the flat buffers below are A, B and E of each matrix, in this order.
  void start(const std::vector<Matrix>& matrices);
  // Errors: kUsage: settings that leave no update in which ranks could be taken away.
  void begin(RankSettings& settings, int64_t updates_in_all) const;
  // peft's update_and_allocate(number) behind update `number`, from 1; values and gradient are
  // flat, the gradient acted `clip` times. The values of ranks that are not kept become 0.
  void after_step(const RankSettings& settings, int64_t number, at::Tensor& values,
                  const at::Tensor& gradient, double clip);

  at::Tensor kept(size_t matrix) const;  // [R] uint8
  bool pruned() const;
  std::map<std::string, at::Tensor> state() const {
    return {{"importance", importance_}, {"uncertainty", uncertainty_}, {"kept_ranks", kept_}};
  }

 private:
  struct Place {
    Matrix shape;
    int64_t begin, first_rank;  // of its numbers, of its ranks
    int64_t values() const { return begin + shape.rank * (shape.in + shape.out); }
  };
  int64_t budget(const RankSettings& settings, int64_t number) const;
  void allocate(int64_t ranks);
  at::Tensor scores(const Place& place) const;

  std::vector<Place> places_;
  // Moving averages of |value · gradient| and of its deviation, of all numbers; which of all ranks
  // are kept (uint8).
  at::Tensor importance_, uncertainty_, kept_;
};

}  // namespace rankwise
