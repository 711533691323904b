// Products with weights in blocks against the product with the same weight unpacked.
#include <ATen/ATen.h>

#include "peft/base/kernels/blocks.h"
#include "peft/base/ops/product.h"
#include "peft/hub/gguf.h"
#include "tests/peft/hub/files.h"

namespace rankwise {
namespace {

// Random bits; the scales are about 2^-8.
BlockMatrix weight(Dtype dtype, int64_t out, int64_t blocks) {
  const Layout& layout = layout_of(dtype);
  at::Tensor bytes = at::randint(0, 256, {out, blocks, layout.bytes}).to(at::kByte);
  const auto set_half = [&](int64_t place) { bytes.select(2, place + 1).fill_(0x1C); };
  set_half(dtype == Dtype::kQ6_K ? 208 : 0);
  if (dtype == Dtype::kQ4_1 || dtype == Dtype::kQ5_1 || dtype == Dtype::kQ4_K ||
      dtype == Dtype::kQ5_K)
    set_half(2);
  return {dtype, bytes.reshape({out, -1}).contiguous(), blocks * layout.numbers};
}

TEST(BlockProduct, IsTheProductWithTheUnpackedWeight) {
  at::manual_seed(1);
  for (const Dtype dtype : {Dtype::kQ4_0, Dtype::kQ4_1, Dtype::kQ5_0, Dtype::kQ5_1, Dtype::kQ8_0,
                            Dtype::kQ4_K, Dtype::kQ5_K, Dtype::kQ6_K}) {
    const Layout& layout = layout_of(dtype);
    const int64_t out = 1100, columns = 768;  // several times the scratch
    const BlockMatrix packed = weight(dtype, out, columns / layout.numbers);
    at::Tensor unpacked = at::empty({out, columns});
    kernels::unpack_rows(dtype, packed.bytes.const_data_ptr<uint8_t>(), columns, 0, out,
                         unpacked.data_ptr<float>());
    const at::Tensor x = at::randn({19, columns}), grad = at::randn({19, out});
    const at::Tensor bias = at::randn({out});
    const auto near = [&](const at::Tensor& found, const at::Tensor& exact) {
      const double worst = (found - exact).abs().max().item<double>();
      EXPECT_LT(worst, 2e-6 * exact.abs().max().item<double>()) << layout.name;
      EXPECT_EQ(found.scalar_type(), at::kFloat);
    };
    const at::Tensor exact = unpacked.to(at::kDouble);
    for (const int64_t rows : {1, 5, 15}) {  // streamed
      const at::Tensor few = x.narrow(0, 0, rows);
      near(product(few, packed, bias), at::mm(few.to(at::kDouble), exact.t()) + bias);
    }
    EXPECT_TRUE(at::equal(rankwise::unpacked(packed), unpacked)) << layout.name;
    const at::Tensor index = at::tensor({int64_t{1099}, int64_t{0}, int64_t{7}});
    EXPECT_TRUE(at::equal(unpacked_rows(packed, index), unpacked.index_select(0, index)));
    near(product(x, packed, {}), at::mm(x.to(at::kDouble), exact.t()));
    near(product(x, packed, bias), at::mm(x.to(at::kDouble), exact.t()) + bias);
    near(product_backward(grad, packed), at::mm(grad.to(at::kDouble), exact));
  }
}

}  // namespace
}  // namespace rankwise
