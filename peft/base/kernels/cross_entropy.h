// Cross-entropy of rows of logits and its gradient, in place.
#pragma once

#include <cstdint>

namespace rankwise::kernels {

// logits [rows, words], targets [rows], losses [rows]: losses = −log softmax(logits)[target], and
// the logits become the gradient of their sum, softmax − one-hot. Rows first … last − 1.
void cross_entropy_rows(float* logits, const int64_t* targets, double* losses, int64_t words,
                        int64_t first, int64_t last);

}  // namespace rankwise::kernels
