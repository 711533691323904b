// AdamW against torch.optim.AdamW (golden/training/make_adamw.py), and what no thread count may
// change.
#include "jobs/training/optimizer.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "distributed/core/error.h"
#include "peft/hub/json.h"
#include "tests/jobs/training/numbers.h"

namespace rankwise {
namespace {

// Numbers whose squares add up without rounding, in any order.
at::Tensor sixteenths(int64_t elements) {
  at::Tensor tensor = at::empty({elements}, at::kFloat);
  for (int64_t i = 0; i < elements; ++i)
    tensor.mutable_data_ptr<float>()[i] = static_cast<float>(i % 97 - 48) / 16;
  return tensor;
}

// Numbers whose sum depends on the order.
at::Tensor uneven(int64_t elements) {
  at::Tensor tensor = at::empty({elements}, at::kFloat);
  for (int64_t i = 0; i < elements; ++i) {
    tensor.mutable_data_ptr<float>()[i] =
        static_cast<float>(std::sin(static_cast<double>(i) * 0.7) * std::pow(10, i % 7));
  }
  return tensor;
}

// Within 1e-6 of each number, or of `scale` where a number is smaller than that.
void expect_close(const at::Tensor& got, const Json& want, double scale = 0) {
  for (size_t i = 0; i < want.size(); ++i) {
    const double wanted = want[i];
    EXPECT_NEAR(got.const_data_ptr<float>()[i], wanted, 1e-6 * std::max(std::abs(wanted), scale))
        << "element " << i;
  }
}

// f's result with so many threads.
template <class F>
auto with_threads(int threads, const F& f) {
  const int before = at::get_num_threads();
  at::set_num_threads(threads);
  auto result = f();
  at::set_num_threads(before);
  return result;
}

TEST(AdamW, TwentyStepsAreThoseOfTorch) {
  const Json golden = read_json(TESTS_DIR "/golden/training/adamw.json");
  at::Tensor value = floats(golden.at("start"));
  const int64_t elements = value.numel(), decaying = golden.at("decaying");
  AdamW optimizer(elements,
                  {.adam_beta1 = golden.at("beta1"),
                   .adam_beta2 = golden.at("beta2"),
                   .adam_epsilon = golden.at("epsilon")},
                  {{0, decaying, 1, golden.at("weight_decay")},
                   {decaying, elements, golden.at("second_rate_scale"), 0}});
  for (const Json& step : golden.at("steps")) {
    SCOPED_TRACE("step " + std::to_string(optimizer.steps()));
    const at::Tensor gradient = floats(step.at("gradient"));
    const double length = norm(gradient), max_norm = golden.at("max_norm");
    EXPECT_NEAR(length, step.at("norm").get<double>(), 1e-6 * length);
    optimizer.step(value, gradient, step.at("rate"), std::min(1.0, max_norm / (length + 1e-6)));
    expect_close(value, step.at("value"), 1e-2);  // the size of a step: values cross 0
  }
  EXPECT_EQ(optimizer.steps(), 20);
  expect_close(optimizer.exp_avg(), golden.at("exp_avg"), 1e-2);  // means of both signs
  expect_close(optimizer.exp_avg_sq(), golden.at("exp_avg_sq"));
}

TEST(AdamW, GoesOnFromItsStateWithTheSameBits) {
  const int64_t elements = 100;
  const at::Tensor gradient = uneven(elements);
  const auto make = [&] { return AdamW(elements, {}, {{0, elements, 1, 0.1}}); };
  AdamW whole = make(), first = make(), second = make();
  at::Tensor value = sixteenths(elements), resumed = value.clone();
  for (int i = 0; i < 4; ++i) whole.step(value, gradient, 1e-3, 1);
  for (int i = 0; i < 2; ++i) first.step(resumed, gradient, 1e-3, 1);
  second.exp_avg().copy_(first.exp_avg());
  second.exp_avg_sq().copy_(first.exp_avg_sq());
  second.set_steps(first.steps());
  for (int i = 0; i < 2; ++i) second.step(resumed, gradient, 1e-3, 1);
  EXPECT_TRUE(at::equal(value, resumed));
}

TEST(AdamW, BitsDoNotDependOnThreads) {
  const int64_t elements = 200'003;
  const auto run = [&] {
    AdamW optimizer(elements, {}, {{0, 70'001, 1, 0.1}, {70'001, elements, 16, 0}});
    at::Tensor value = sixteenths(elements);
    for (int i = 0; i < 3; ++i) optimizer.step(value, uneven(elements), 1e-2, 0.5);
    return value;
  };
  EXPECT_TRUE(at::equal(with_threads(1, run), with_threads(2, run)));
}

TEST(AdamW, LeavesElementsOutsideItsGroups) {
  AdamW optimizer(10, {}, {{2, 5, 1, 0}});
  at::Tensor value = at::zeros({10}, at::kFloat);
  optimizer.step(value, at::full({10}, 1.0, at::kFloat), 0.5, 1);
  for (int64_t i = 0; i < 10; ++i)
    EXPECT_EQ(value.const_data_ptr<float>()[i] != 0, i >= 2 && i < 5) << i;
}

TEST(AdamW, RefusesOtherShapesAndTypes) {
  AdamW optimizer(10, {}, {{0, 10}});
  at::Tensor value = at::zeros({10}, at::kFloat);
  EXPECT_THROW(optimizer.step(value, at::zeros({9}, at::kFloat), 1, 1), Error);
  EXPECT_THROW(optimizer.step(value, at::zeros({10}, at::kDouble), 1, 1), Error);
  EXPECT_THROW(AdamW(10, {}, {{0, 11}}), Error);
}

TEST(Norm, IsExactAcrossChunks) {
  for (const int64_t elements : {0, 1, 4095, 4096, 4097, 100'001}) {
    int64_t squares = 0;
    for (int64_t i = 0; i < elements; ++i) squares += (i % 97 - 48) * (i % 97 - 48);
    EXPECT_EQ(norm(sixteenths(elements)), std::sqrt(static_cast<double>(squares) / 256))
        << elements;
  }
}

TEST(Norm, BitsDoNotDependOnThreads) {
  const at::Tensor values = uneven(200'003);
  const auto run = [&] { return norm(values); };
  EXPECT_EQ(with_threads(1, run), with_threads(2, run));
}

}  // namespace
}  // namespace rankwise
