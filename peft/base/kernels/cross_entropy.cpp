// Each row is computed by itself in a fixed order, so that bits do not depend on threads. Sums are
// made of stretches, for vocabularies are long.
#include "peft/base/kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "peft/base/kernels/clones.h"
#include "peft/base/kernels/exponential.h"

namespace rankwise::kernels {

RANKWISE_KERNEL void cross_entropy_rows(float* logits, const int64_t* targets, double* losses,
                                        int64_t words, int64_t first, int64_t last) {
  constexpr int64_t kStretch = 1024;
  constexpr float kLeast = 1e-30f;  // below it is nothing; products of denormal numbers are slow
  for (int64_t row = first; row < last; ++row) {
    float* scores = logits + row * words;
    const float wanted = scores[targets[row]];
    float most = -INFINITY;
#pragma omp simd reduction(max : most)
    for (int64_t w = 0; w < words; ++w) most = scores[w] > most ? scores[w] : most;
    double sum = 0;
    for (int64_t begin = 0; begin < words; begin += kStretch) {
      const int64_t end = std::min(begin + kStretch, words);
      float part = 0;
#pragma omp simd reduction(+ : part)
      for (int64_t w = begin; w < end; ++w) {
        scores[w] = exponential(scores[w] - most);
        part += scores[w];
      }
      sum += part;
    }
    losses[row] = std::log(sum) + most - wanted;
    const auto inverse = static_cast<float>(1 / sum);
    for (int64_t w = 0; w < words; ++w) {
      const float probability = scores[w] * inverse;
      scores[w] = probability < kLeast ? 0 : probability;
    }
    scores[targets[row]] -= 1;
  }
}

}  // namespace rankwise::kernels
