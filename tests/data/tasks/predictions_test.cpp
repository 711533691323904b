// What each task says of its rows, one object a row.
#include <ATen/ops/tensor.h>

#include "tests/data/support.h"

namespace rankwise {
namespace {

std::unique_ptr<Task> task(TaskType type, DataOptions options = {},
                           std::vector<std::string> labels = {}) {
  auto task = make_task(type, options, no_config());
  if (!labels.empty()) task->fix_labels(std::move(labels));
  return task;
}

Unit unit_of(std::vector<int64_t> bounds) {
  Unit unit;
  for (size_t row = 0; row + 1 < bounds.size(); ++row)
    unit.rows.push_back(static_cast<int64_t>(row));
  unit.text.bounds = std::move(bounds);
  return unit;
}

TEST(Predictions, OfClassesAreIndexAndName) {
  const auto rows =
      task(TaskType::kSeqCls, {}, {"bad", "good"})
          ->predictions(at::tensor({1.F, 2.F, 3.F, 0.F}).view({2, 2}), unit_of({0, 1, 2}));
  EXPECT_EQ(Json(rows).dump(),
            R"([{"label":"good","prediction":1},{"label":"bad","prediction":0}])");
  DataOptions regression;
  regression.num_labels = 1;
  EXPECT_EQ(Json(task(TaskType::kSeqCls, regression)
                     ->predictions(at::tensor({1.5F}).view({1, 1}), unit_of({0, 1})))
                .dump(),
            R"([{"prediction":1.5}])");
}

TEST(Predictions, OfTagsAreThoseOfLabelledTokens) {
  Unit unit = unit_of({0, 3, 5, 8});
  unit.target_index = at::tensor({int64_t{1}, int64_t{2}, int64_t{5}});
  unit.targets = at::tensor({int64_t{0}, int64_t{0}, int64_t{0}});
  const auto rows =
      task(TaskType::kTokenCls, {}, {"B", "O"})
          ->predictions(at::tensor({1.F, 0.F, 0.F, 1.F, 0.F, 1.F}).view({3, 2}), unit);
  EXPECT_EQ(Json(rows).dump(), R"([{"labels":["B","O"],"tokens":[1,2]},{"labels":[],"tokens":[]},)"
                               R"({"labels":["O"],"tokens":[0]}])");
}

TEST(Predictions, OfLanguageModelsAreMeanLosses) {
  Unit unit = unit_of({0, 3, 4, 8});
  unit.target_index = at::tensor({int64_t{0}, int64_t{1}, int64_t{6}});
  const auto rows = task(TaskType::kCausalLm)->predictions(at::tensor({1.F, 2.F, 4.F}), unit);
  EXPECT_EQ(Json(rows).dump(), R"([{"loss":1.5,"targets":2},{"loss":null,"targets":0},)"
                               R"({"loss":4.0,"targets":1}])");
  unit.decoder_text.bounds = {0, 1, 2, 8};  // the decoder's rows, not the encoder's
  unit.decoder_text.tokens = at::tensor({int64_t{0}});
  EXPECT_EQ(Json(task(TaskType::kSeq2SeqLm)->predictions(at::tensor({1.F, 2.F, 4.F}), unit)).dump(),
            R"([{"loss":1.0,"targets":1},{"loss":2.0,"targets":1},{"loss":4.0,"targets":1}])");
}

TEST(Predictions, OfFeaturesArePooledStates) {
  const at::Tensor states = at::tensor({1.F, 2.F, 3.F, 6.F, 7.F, 7.F}).view({3, 2});
  DataOptions options;
  for (const auto& [pooling, wanted] :
       {std::pair("mean", R"([{"features":[2.0,4.0]},{"features":[7.0,7.0]}])"),
        {"cls", R"([{"features":[1.0,2.0]},{"features":[7.0,7.0]}])"},
        {"last", R"([{"features":[3.0,6.0]},{"features":[7.0,7.0]}])"}}) {
    options.pooling = pooling;
    const auto rows =
        task(TaskType::kFeatureExtraction, options)->predictions(states, unit_of({0, 2, 3}));
    EXPECT_EQ(Json(rows).dump(), wanted);
  }
  EXPECT_EQ(error_of([&] { task(TaskType::kSeqCls, options); }, ErrorKind::kUsage),
            "--pooling is an option of FEATURE_EXTRACTION, not of SEQ_CLS");
}

}  // namespace
}  // namespace rankwise
