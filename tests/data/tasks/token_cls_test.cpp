// Words and tags to ids and classes; entities and their scores as seqeval has them; spans of
// answers.
#include <ATen/ops/one_hot.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "data/tasks/entity_metrics.h"
#include "data/tasks/task.h"
#include "tests/data/support.h"

namespace rankwise {
namespace {

using Ids = std::vector<int32_t>;

Json golden() {
  const std::string text = read_text_file(kGolden / "entities.json", ErrorKind::kInternal);
  return parse_json(text, "entities.json", ErrorKind::kInternal);
}

std::unique_ptr<Task> tagger(TaskType type, std::vector<std::string> labels = {}) {
  const std::filesystem::path unnamed;
  auto task = make_task(type, DataOptions(), Config(Json::object(), unnamed));
  if (!labels.empty()) task->fix_labels(std::move(labels));
  return task;
}

Example encode(const Task& task, const std::string& json, int64_t max_length = 100) {
  static const ByteTokenizer tokenizer;
  return task
      .encode({parse_json(json, "test", ErrorKind::kInternal), 7}, "f.jsonl",
              {&tokenizer, max_length, 200})
      .examples.at(0);
}

TEST(TokenCls, AWordsFirstPieceHasItsTag) {
  const auto tags = tagger(TaskType::kTokenCls, {"B-X", "O"});
  const Example example = encode(*tags, R"({"tokens":["ab","","c"],"tags":["O","O","B-X"]})");
  EXPECT_EQ(example.input_ids, (Ids{1, 'a', 'b', 'c', 2}));
  EXPECT_EQ(example.labels, (Ids{-100, 1, -100, 0, -100}));
  const Example cut = encode(*tags, R"({"tokens":["ab","c"],"tags":["O","B-X"]})", 3);
  EXPECT_EQ(cut.labels, (Ids{-100, 1, -100}));
}

TEST(TokenCls, ReadyMadeRowsKeepIgnoredLabels) {
  const auto tags = tagger(TaskType::kTokenCls, {"0", "1", "2"});
  EXPECT_EQ(encode(*tags, R"({"input_ids":[5,6,7],"labels":[-100,2,0]})").labels,
            (Ids{-100, 2, 0}));
  const std::string shorter =
      error_of([&] { encode(*tags, R"({"input_ids":[5,6,7],"labels":[0]})"); });
  EXPECT_NE(shorter.find("f.jsonl:7: column 'labels' has 1 entries, 'input_ids' has 3"),
            std::string::npos)
      << shorter;
  const std::string unknown = error_of([&] { encode(*tags, R"({"input_ids":[5],"labels":[9]})"); });
  EXPECT_NE(unknown.find("unknown label '9'"), std::string::npos) << unknown;
}

TEST(TokenCls, EntitiesAreThoseOfSeqeval) {
  for (const Json& row : golden()["rows"]) {
    const std::vector<Entity> found = entities_of(row["tags"].get<std::vector<std::string>>());
    ASSERT_EQ(found.size(), row["entities"].size()) << row;
    for (size_t i = 0; i < found.size(); ++i) {
      const Json& entity = row["entities"][i];
      EXPECT_EQ(found[i], (Entity{entity[0].get<std::string>(), entity[1].get<size_t>(),
                                  entity[2].get<size_t>()}))
          << row;
    }
  }
}

TEST(TokenCls, ScoresAreThoseOfSeqevalHoweverRowsAreSplit) {
  const Json all = golden()["predictions"];
  const auto labels = all["labels"].get<std::vector<std::string>>();
  const auto metrics = entity_metrics(labels, false);
  const auto index = [&](const Json& tag) {
    return std::ranges::find(labels, tag.get<std::string>()) - labels.begin();
  };
  std::vector<int64_t> summed(static_cast<size_t>(metrics->size()));
  for (size_t first = 0; first < all["right"].size(); first += 3) {
    Unit unit;
    unit.text.bounds = {0};
    std::vector<int64_t> places, right, found;
    for (size_t row = first; row < std::min(first + 3, all["right"].size()); ++row) {
      for (size_t i = 0; i < all["right"][row].size(); ++i) {
        places.push_back(unit.text.bounds.back() + static_cast<int64_t>(i) + 1);
        right.push_back(index(all["right"][row][i]));
        found.push_back(index(all["found"][row][i]));
      }
      unit.text.bounds.push_back(unit.text.bounds.back() + std::ssize(all["right"][row]) + 2);
    }
    unit.target_index = at::tensor(places);
    unit.targets = at::tensor(right);
    const at::Tensor logits = at::one_hot(at::tensor(found), std::ssize(labels)).to(at::kFloat);
    const std::vector<int64_t> counts = metrics->counts(logits, unit);
    for (size_t i = 0; i < counts.size(); ++i) summed[i] += counts[i];
  }
  const auto values = metrics->values(summed, 0);
  for (const auto& [name, score] : all["scores"].items())
    EXPECT_NEAR(values.at(name), score.get<double>(), 1e-12) << name;
}

TEST(QuestionAns, TheBestSpanIsJudged) {
  const auto answers = tagger(TaskType::kQuestionAns);
  EXPECT_EQ(
      encode(*answers, R"({"input_ids":[5,6,7],"start_positions":1,"end_positions":2})").labels,
      (Ids{1, 2}));
  for (const char* row : {R"({"input_ids":[5,6],"start_positions":1,"end_positions":0})",
                          R"({"input_ids":[5,6],"start_positions":0,"end_positions":2})"})
    error_of([&] { encode(*answers, row); });

  Unit unit;
  unit.text.bounds = {0, 3, 7};
  unit.targets = at::tensor(std::vector<int64_t>{1, 1, 1, 2}).view({2, 2});
  // Row 0: start 2 and end 0 are the greatest, but the best span is 1..1. Row 1: 1..3 for 1..2.
  const at::Tensor logits = at::tensor({0.f, 5.f, 4.f, 4.f, 5.f, 0.f,  //
                                        0.f, 0.f, 3.f, 0.f, 0.f, 1.f, 0.f, 2.f})
                                .view({7, 2});
  const auto metrics = answers->metrics();
  const auto values = metrics->values(metrics->counts(logits, unit), 0);
  EXPECT_NEAR(values.at("exact_match"), 50, 1e-9);
  EXPECT_NEAR(values.at("f1"), 100 * (1 + 0.8) / 2, 1e-6);
}

}  // namespace
}  // namespace rankwise
