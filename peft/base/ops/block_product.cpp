// Products with a weight in GGUF's blocks: unpack some rows, multiply, go on.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "peft/base/kernels/blocks.h"
#include "peft/base/ops/product.h"

namespace rankwise {
namespace {

constexpr int64_t kScratchNumbers = 1 << 18;  // unpacked at a time: 1 MiB

// Calls each(first, rows [n, in] float32) for all rows of the weight, in order. The rows are
// overwritten by the next call.
template <class Each>
void for_rows(const BlockMatrix& weight, const Each& each) {
  const int64_t out = weight.bytes.size(0);
  const int64_t most =
      std::clamp<int64_t>(kScratchNumbers / weight.in, 1, std::max<int64_t>(out, 1));
  const at::Tensor scratch = at::empty({most, weight.in}, at::kFloat);
  for (int64_t begin = 0; begin < out; begin += most) {
    const at::Tensor rows = scratch.narrow(0, 0, std::min(most, out - begin));
    const auto* from = weight.bytes.const_data_ptr<uint8_t>() + begin * weight.bytes.size(1);
    auto* to = rows.data_ptr<float>();
    at::parallel_for(0, rows.size(0), 16, [&](int64_t first, int64_t last) {
      kernels::unpack_rows(weight.dtype, from, weight.in, first, last, to + first * weight.in);
    });
    each(begin, rows);
  }
}

}  // namespace

at::Tensor product(const at::Tensor& x, const BlockMatrix& weight, const at::Tensor& bias) {
  at::Tensor y = at::empty({x.size(0), weight.bytes.size(0)}, x.options());
  for_rows(weight, [&](int64_t first, const at::Tensor& rows) {
    y.narrow(1, first, rows.size(0)).copy_(at::mm(x, rows.t()));
  });
  return bias.defined() ? y.add_(bias) : y;
}

at::Tensor product_backward(const at::Tensor& grad, const BlockMatrix& weight) {
  at::Tensor dx = at::zeros({grad.size(0), weight.in}, grad.options());
  for_rows(weight, [&](int64_t first, const at::Tensor& rows) {
    dx.addmm_(grad.narrow(1, first, rows.size(0)), rows);
  });
  return dx;
}

}  // namespace rankwise
