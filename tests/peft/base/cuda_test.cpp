// The differentiable functions on a GPU against the same on the CPU: values and gradients, dropout
// on. And what of that needs no GPU.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>

#include "peft/base/attention_site.h"
#include "peft/base/kernels/cuda/device.h"
#include "peft/base/ops/cuda_attention.h"
#include "peft/base/ops/ops.h"
#include "tests/peft/base/support.h"

namespace rankwise {
namespace {

kernels::AttentionPlan plan_of(const std::vector<int64_t>& lengths) {
  kernels::AttentionPlan plan;
  plan.heads = 8;
  plan.key_heads = 4;
  plan.query_bounds = {0};
  for (const int64_t length : lengths) {
    plan.key_begins.push_back(plan.query_bounds.back());
    plan.key_counts.push_back(length);
    plan.query_bounds.push_back(plan.query_bounds.back() + length);
  }
  return plan;
}

TEST(AttentionChunks, CoverEveryHeadOfEverySequenceOnceWithinTheirBound) {
  const std::vector<int64_t> lengths = {5, 0, 30, 7, 100, 1, 2, 64};
  for (const int64_t most : {1, 900, 5000, 20000, 1 << 26}) {
    std::vector<std::vector<int>> seen(lengths.size(), std::vector<int>(4));
    const auto chunks = attention_chunks(plan_of(lengths), most);
    for (const AttentionChunk& chunk : chunks) {
      const int64_t of_head = chunk.sequences * 2 * chunk.queries * chunk.keys;
      EXPECT_TRUE(of_head * chunk.key_heads <= most ||
                  (chunk.sequences == 1 && chunk.key_heads == 1))
          << most;
      for (int64_t s = 0; s < chunk.sequences; ++s) {
        const auto sequence = static_cast<size_t>(chunk.first_sequence + s);
        EXPECT_LE(lengths[sequence], std::min(chunk.queries, chunk.keys));
        for (int64_t head = 0; head < chunk.key_heads; ++head)
          ++seen[sequence][static_cast<size_t>(chunk.first_key_head + head)];
      }
    }
    for (size_t s = 0; s < lengths.size(); ++s) {
      for (const int times : seen[s]) EXPECT_TRUE(times == 1 || (times == 0 && lengths[s] == 0));
    }
  }
  EXPECT_EQ(attention_chunks(plan_of(lengths), 1 << 26).size(), 1u);
}

using Function = std::function<at::Tensor(const std::vector<at::Tensor>&, const Pass&)>;

// Of function(inputs), weighted: the value and the gradient of each input, on the CPU.
std::vector<at::Tensor> outcome(const Function& function, const std::vector<at::Tensor>& inputs,
                                const Unit& unit, const at::Device& device,
                                bool bfloat16_products = false) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs)
    leaves.push_back(input.detach().to(device).set_requires_grad(true));
  PassOptions options;
  options.device = device;
  options.bfloat16_products = bfloat16_products;
  const at::Tensor value = function(leaves, Pass(unit, {9, 4, true}, options));
  const at::Tensor slope = at::linspace(-1, 1, value.numel()).view(value.sizes()).to(device);
  (value * slope).sum().backward();
  std::vector<at::Tensor> made = {value.detach().cpu()};
  for (const at::Tensor& leaf : leaves) made.push_back(leaf.grad().cpu());
  return made;
}

Function attending(AttentionSite site) {
  return [site](const std::vector<at::Tensor>& in, const Pass& pass) {
    return site(in[0], in[1], in[2], pass, pass);
  };
}

TEST(Cuda, FunctionsHaveTheCpusValuesAndGradientsAndAlwaysTheSameBits) {
  const std::string problem = kernels::cuda_problem();
  if (!problem.empty()) GTEST_SKIP() << problem;
  kernels::use_cuda_device(0);
  at::manual_seed(5);
  const Unit unit = uneven();
  AttentionSite plain{.heads = 4, .key_heads = 2, .head_size = 24, .scale = 0.3, .causal = true};
  AttentionSite capped = plain;
  capped.window = 7;
  capped.softcap = 1.5;
  capped.dropout = {3, 0.2};
  const at::Tensor x = at::randn({112, 40}), y = at::randn({112, 40}), w = at::randn({40}),
                   q = at::randn({112, 96}), k = at::randn({112, 48}), v = at::randn({112, 48}),
                   angles = at::rand({112, 12});
  const std::vector<std::pair<Function, std::vector<at::Tensor>>> cases = {
      {[](const auto& in, const Pass& pass) {
         return dropout(in[0], pass, {5, 0.3});
       },
       {x}},
      {[](const auto& in, const Pass& pass) {
         return add_layer_norm(in[0], in[1], in[2], in[3], 1e-5, pass, {5, 0.3});
       },
       {x, y, w, w + 1}},
      {[](const auto& in, const Pass&) { return rms_norm(in[0], in[1], 1e-6, 1); }, {x, w}},
      {[&](const auto& in, const Pass& pass) {
         return rotary(in[0],
                       {at::cos(angles).to(pass.device()), at::sin(angles).to(pass.device())});
       },
       {q}},
      {attending(plain), {q, k, v}},
      {attending(capped), {q, k, v}}};
  for (size_t number = 0; number < cases.size(); ++number) {
    const auto& [function, inputs] = cases[number];
    const auto want = outcome(function, inputs, unit, at::kCPU);
    const auto got = outcome(function, inputs, unit, at::kCUDA),
               again = outcome(function, inputs, unit, at::kCUDA);
    for (size_t i = 0; i < want.size(); ++i) {
      expect_close(want[i], got[i], std::to_string(number).c_str());
      EXPECT_TRUE(got[i].equal(again[i])) << number;
    }
  }
}

// bfloat16 has 8 bits: products and probabilities are off by 2^-9 of themselves at most.
TEST(Cuda, AttentionInBfloat16IsNearTheCpusAndAlwaysTheSameBits) {
  const std::string problem = kernels::cuda_problem();
  if (!problem.empty()) GTEST_SKIP() << problem;
  kernels::use_cuda_device(0);
  at::manual_seed(6);
  Unit unit;
  unit.text.bounds = {0, 5, 6, 306};
  unit.rows = {7, 3, 12};
  unit.text.tokens = at::zeros({320}, at::kLong);
  const AttentionSite causal{
      .heads = 4, .key_heads = 2, .head_size = 24, .scale = 0.3, .causal = true};
  AttentionSite windowed = causal, capped = causal, dropped = causal, both_ways = causal;
  windowed.window = 7;
  capped.softcap = 1.5;
  dropped.dropout = {3, 0.2};
  both_ways.causal = false;
  const std::vector<at::Tensor> inputs = {at::randn({320, 96}), at::randn({320, 48}),
                                          at::randn({320, 48})};
  int number = 0;
  for (const AttentionSite& site : {causal, windowed, capped, dropped, both_ways}) {
    const auto want = outcome(attending(site), inputs, unit, at::kCPU);
    const auto got = outcome(attending(site), inputs, unit, at::kCUDA, true),
               again = outcome(attending(site), inputs, unit, at::kCUDA, true);
    for (size_t i = 0; i < want.size(); ++i) {
      const double off = ((want[i] - got[i]).norm() / want[i].norm()).item<double>();
      EXPECT_LT(off, 0.01) << "case " << number << ", tensor " << i;
      EXPECT_GT(off, 1e-5) << "case " << number << ", tensor " << i << ": not of bfloat16";
      EXPECT_TRUE(got[i].equal(again[i])) << "case " << number << ", tensor " << i;
    }
    ++number;
  }
}

}  // namespace
}  // namespace rankwise
