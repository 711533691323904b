// Products with a weight in GGUF's blocks: unpack some rows, multiply, go on.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "peft/base/kernels/blocks.h"
#include "peft/base/kernels/few_rows.h"
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

// y = x Wᵀ for few rows: a tile of the weight's rows is unpacked in the nearest cache, or read
// where it lies, and used at once.
void stream(const at::Tensor& x, const BlockMatrix& weight, at::Tensor& y) {
  constexpr int64_t kTile = 6, kFewestNumbers = 1 << 14;  // for a thread
  const int64_t in = weight.in, out = y.size(1);
  const auto* bytes = weight.bytes.const_data_ptr<uint8_t>();
  const auto* from = x.const_data_ptr<float>();
  auto* to = y.data_ptr<float>();
  const int64_t fewest = std::max<int64_t>(kTile, kFewestNumbers / in);
  at::parallel_for(0, out, fewest, [&](int64_t first, int64_t last) {
    if (weight.dtype == Dtype::kFloat32) {
      kernels::few_rows_product(from, x.size(0), in, reinterpret_cast<const float*>(bytes), to, out,
                                first, last);
      return;
    }
    std::vector<float> tile(static_cast<size_t>(kTile * in));
    for (int64_t row = first; row < last; row += kTile) {
      const int64_t end = std::min(row + kTile, last);
      kernels::unpack_rows(weight.dtype, bytes, in, row, end, tile.data());
      kernels::few_rows_product(from, x.size(0), in, tile.data(), to + row, out, 0, end - row);
    }
  });
}

}  // namespace

at::Tensor unpacked(const BlockMatrix& weight) {
  at::Tensor numbers = at::empty({weight.bytes.size(0), weight.in}, at::kFloat);
  for_rows(weight, [&](int64_t first, const at::Tensor& rows) {
    numbers.narrow(0, first, rows.size(0)).copy_(rows);
  });
  return numbers;
}

at::Tensor unpacked_rows(const BlockMatrix& weight, const at::Tensor& index) {
  return unpacked({weight.dtype, weight.bytes.index_select(0, index), weight.in});
}

at::Tensor product(const at::Tensor& x, const BlockMatrix& weight, const at::Tensor& bias) {
  at::Tensor y = at::empty({x.size(0), weight.bytes.size(0)}, x.options());
  if (x.size(0) < kernels::kFewRows) {
    stream(x.contiguous(), weight, y);
    return bias.defined() ? y.add_(bias) : y;
  }
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

at::Tensor FrozenWeight::unpacked() const {
  return in_blocks() ? rankwise::unpacked(blocks) : numbers.to(at::kFloat);
}

at::Tensor product(const at::Tensor& x, const FrozenWeight& weight, const at::Tensor& bias) {
  return weight.in_blocks() ? product(x, weight.blocks, bias) : product(x, weight.numbers, bias);
}

at::Tensor product_backward(const at::Tensor& grad, const FrozenWeight& weight) {
  return weight.in_blocks() ? product_backward(grad, weight.blocks)
                            : product_backward(grad, weight.numbers);
}

}  // namespace rankwise
