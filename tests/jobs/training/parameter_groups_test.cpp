// Groups of parameters: LoRA+ against peft's own optimizer (golden/training/make_loraplus.py), and
// a Trainer's rule.
#include "jobs/training/parameter_groups.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "peft/hub/json.h"
#include "tests/jobs/training/numbers.h"

namespace rankwise {
namespace {

std::vector<Trainable> trainables(const Json& golden) {
  std::vector<Trainable> list;
  for (const Json& entry : golden.at("trainables"))
    list.push_back({entry.at("name"), at::zeros(entry.at("shape").get<std::vector<int64_t>>()),
                    entry.at("decays").get<bool>()});
  return list;
}

TEST(ParameterGroups, FiveStepsOfLoraPlusAreThoseOfPeft) {
  const Json golden = read_json(TESTS_DIR "/golden/training/loraplus.json");
  const AdamWOptions adamw{.learning_rate = golden.at("learning_rate")};
  const LoraPlusOptions lora_plus{golden.at("lr_ratio").get<double>(), golden.at("weight_decay"),
                                  golden.at("lr_embedding")};
  at::Tensor value = floats(golden.at("start"));
  AdamW optimizer(value.numel(), adamw, parameter_groups(trainables(golden), adamw, lora_plus));
  for (const Json& step : golden.at("steps")) {
    optimizer.step(value, floats(step.at("gradient")), step.at("factor"), 1);
    const at::Tensor wanted = floats(step.at("value"));
    for (int64_t i = 0; i < value.numel(); ++i)
      EXPECT_NEAR(value.const_data_ptr<float>()[i], wanted.const_data_ptr<float>()[i], 1e-6)
          << "step " << optimizer.steps() << ", element " << i;
  }
}

TEST(ParameterGroups, WithoutLoraPlusNeighboursThatDecayAlikeAreOneGroup) {
  const std::vector<Trainable> list = {{"a.lora_A.weight", at::zeros({2, 4}), true},
                                       {"a.lora_B.weight", at::zeros({3, 2}), true},
                                       {"a.base_layer.bias", at::zeros({3}), false}};
  const auto groups = parameter_groups(list, {.learning_rate = 0.5, .weight_decay = 0.1}, {});
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].end, 14);
  EXPECT_EQ(groups[0].weight_decay, 0.1);
  EXPECT_EQ(groups[1].begin, 14);
  EXPECT_EQ(groups[1].end, 17);
  EXPECT_EQ(groups[1].weight_decay, 0);
  EXPECT_EQ(groups[1].learning_rate, 0.5);
}

}  // namespace
}  // namespace rankwise
