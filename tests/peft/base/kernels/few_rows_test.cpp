// Products of few rows: right, and the same bits whatever is computed beside them.
#include "peft/base/kernels/few_rows.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace rankwise::kernels {
namespace {

at::Tensor product_of(const at::Tensor& x, const at::Tensor& weight, int64_t cut) {
  at::Tensor y = at::empty({x.size(0), weight.size(0)});
  for (const auto& [first, last] : {std::pair{int64_t{0}, cut}, {cut, weight.size(0)}})
    few_rows_product(x.const_data_ptr<float>(), x.size(0), x.size(1),
                     weight.const_data_ptr<float>(), y.data_ptr<float>(), weight.size(0), first,
                     last);
  return y;
}

TEST(FewRows, AreTheProductOfEachRowAlone) {
  at::manual_seed(1);
  for (const auto& [in, out] : {std::pair{576, 193}, {5, 7}, {64, 2}, {1539, 31}}) {
    const at::Tensor x = at::randn({kFewRows, in}), weight = at::randn({out, in});
    const at::Tensor exact = at::mm(x.to(at::kDouble), weight.to(at::kDouble).t());
    const at::Tensor all = product_of(x, weight, 0);
    EXPECT_LT((all - exact).abs().max().item<double>(), 1e-5 * exact.abs().max().item<double>());
    for (int64_t rows = 1; rows < kFewRows; ++rows) {
      for (const int64_t cut : {1, out / 2})
        EXPECT_TRUE(
            at::equal(product_of(x.narrow(0, 0, rows), weight, cut), all.narrow(0, 0, rows)))
            << rows << " rows, " << in << " → " << out;
    }
  }
}

}  // namespace
}  // namespace rankwise::kernels
