// Rows to ids and classes, and every way in which a row can be wrong; accuracy and F1.
#include <ATen/ops/from_blob.h>

#include "data/tasks/task.h"
#include "tests/data/support.h"

namespace rankwise {
namespace {

using Names = std::vector<std::string>;
using Ids = std::vector<int32_t>;

Row row_of(const std::string& json) { return {parse_json(json, "test", ErrorKind::kInternal), 7}; }

struct Encoded {
  Example example;
  bool truncated = false;
};

class SeqClsTest : public testing::Test {
 protected:
  std::unique_ptr<Task> task(Names labels = {"0", "1"}) const {
    auto task = make_task(TaskType::kSeqCls, options_, no_config());
    task->fix_labels(std::move(labels));
    return task;
  }
  static Encoded encode(const Task& task, const std::string& json, int64_t max_length = 100) {
    const EncodedRow row = task.encode(row_of(json), "f.jsonl", {&tokenizer_, max_length, 200});
    return {row.examples.at(0), row.truncated};
  }
  static std::string refusal(const Task& task, const std::string& json) {
    return error_of([&] { encode(task, json); });
  }

  DataOptions options_;
  inline static const ByteTokenizer tokenizer_{};
};

TEST_F(SeqClsTest, TextBecomesIdsAndAClass) {
  const auto made = encode(*task({"neg", "pos"}), R"({"id":3,"text":"ab","label":"pos"})");
  EXPECT_EQ(made.example.input_ids, (Ids{1, 'a', 'b', 2}));
  EXPECT_EQ(made.example.token_type_ids, Ids{}) << "zeros are not kept";
  EXPECT_EQ(made.example.labels, Ids{1});
  EXPECT_FALSE(made.truncated);
  EXPECT_EQ(encode(*task(), R"({"text":"","label":0})").example.input_ids, (Ids{1, 2}));
}

TEST_F(SeqClsTest, PairIsUsedWhereTheRowHasOne) {
  const auto both = task();
  const auto pair = encode(*both, R"({"text":"a","text_pair":"b","label":"1"})");
  EXPECT_EQ(pair.example.input_ids, (Ids{1, 'a', 2, 'b', 2}));
  EXPECT_EQ(pair.example.token_type_ids, (Ids{0, 0, 0, 1, 1}));
  EXPECT_EQ(encode(*both, R"({"text":"a","text_pair":null,"label":1})").example.input_ids,
            (Ids{1, 'a', 2}));
}

TEST_F(SeqClsTest, ColumnsCanBeRenamed) {
  options_.text_column = "sentence1";
  options_.text_pair_column = "sentence2";
  options_.label_column = "gold";
  const auto renamed = task();
  EXPECT_EQ(encode(*renamed, R"({"sentence1":"a","sentence2":"b","gold":1})").example.input_ids,
            (Ids{1, 'a', 2, 'b', 2}));
  EXPECT_EQ(refusal(*renamed, R"({"sentence1":"a","text_pair":"b","gold":1})"),
            "f.jsonl:7: no column 'sentence2'; there are: gold, sentence1, text_pair")
      << "a pair that was asked for must be there";
}

TEST_F(SeqClsTest, LongRowsAreCut) {
  const auto cut = encode(*task(), R"({"text":"abcdef","label":1})", 4);
  EXPECT_EQ(cut.example.input_ids, (Ids{1, 'a', 'b', 'c'}));
  EXPECT_TRUE(cut.truncated);
  EXPECT_FALSE(encode(*task(), R"({"text":"ab","label":1})", 4).truncated);
  const auto ready =
      encode(*task(), R"({"input_ids":[9,8,7,6],"token_type_ids":[0,1,1,1],"labels":1})", 3);
  EXPECT_EQ(ready.example.input_ids, (Ids{9, 8, 7}));
  EXPECT_EQ(ready.example.token_type_ids, (Ids{0, 1, 1}));
  EXPECT_TRUE(ready.truncated);
  EXPECT_FALSE(encode(*task(), R"({"input_ids":[9,8,7],"labels":1})", 3).truncated);
}

TEST_F(SeqClsTest, ReadyMadeRowsNeedNoTokenizer) {
  const auto made = task()->encode(row_of(R"({"input_ids":[0,199],"labels":1,"text":"unused"})"),
                                   "f.jsonl", {nullptr, 100, 200});
  EXPECT_EQ(made.examples.at(0).input_ids, (Ids{0, 199}));
  EXPECT_EQ(made.examples.at(0).labels, Ids{1});
  EXPECT_FALSE(made.truncated);
  EXPECT_EQ(encode(*task(), R"({"input_ids":[5],"label":"1"})").example.labels, Ids{1});
  EXPECT_EQ(encode(*task({"neg", "pos"}), R"({"input_ids":[5],"labels":0})").example.labels, Ids{0})
      << "the class itself";
  EXPECT_EQ(
      encode(*task(), R"({"input_ids":[5,6],"attention_mask":[1,1],"labels":0})").example.input_ids,
      (Ids{5, 6}));
  const std::string message = error_of(
      [&] {
        task()->encode(row_of(R"({"text":"a","label":1})"), "f.tsv", {nullptr, 9, 200});
      },
      ErrorKind::kModel);
  EXPECT_EQ(message, "f.tsv:7: a row of text, but the model folder has no tokenizer");
}

TEST_F(SeqClsTest, WrongReadyMadeRowsAreRefused) {
  const auto any = task();
  for (const auto& [row, message] : std::vector<std::pair<std::string, std::string>>{
           {R"({"input_ids":[],"labels":1})", "column 'input_ids' is empty"},
           {R"({"input_ids":[5,200],"labels":1})",
            "column 'input_ids', entry 1: 200 is out of range 0..199"},
           {R"({"input_ids":[-1],"labels":1})",
            "column 'input_ids', entry 0: -1 is out of range 0..199"},
           {R"({"input_ids":[18446744073709551615],"labels":1})",
            "column 'input_ids', entry 0: 18446744073709551615 is out of range 0..199"},
           {R"({"input_ids":[1.0],"labels":1})",
            "column 'input_ids', entry 0: 1.0 is not a whole number"},
           {R"({"input_ids":"1 2","labels":1})",
            "column 'input_ids' must be a list of whole numbers, it is string"},
           {R"({"input_ids":[5,6],"token_type_ids":[0],"labels":1})",
            "column 'token_type_ids' has 1 entries, 'input_ids' has 2"},
           {R"({"input_ids":[5,6],"attention_mask":[1,0],"labels":1})",
            "column 'attention_mask' must be 1 for each of the 2 input_ids: padded rows are not "
            "supported"},
           {R"({"input_ids":[5]})", "no column 'label'; there are: input_ids"},
           {R"({"input_ids":[5],"labels":[1]})",
            "column 'labels' must be a name or a whole number, it is array"}}) {
    EXPECT_EQ(refusal(*any, row), "f.jsonl:7: " + message);
  }
}

TEST_F(SeqClsTest, WrongTextRowsAreRefused) {
  const auto names = task({"neg", "pos"});
  for (const auto& [row, message] : std::vector<std::pair<std::string, std::string>>{
           {R"({"txt":"a","label":"pos"})", "no column 'text'; there are: label, txt"},
           {R"({"text":"a","gold":"pos"})", "no column 'label'; there are: gold, text"},
           {R"({"text":5,"label":"pos"})", "column 'text' must be a text, it is number: 5"},
           {R"({"text":"a","label":null})", "column 'label' is null"},
           {R"({"text":"a","label":"Pos"})",
            "unknown label 'Pos' in column 'label'; known: neg, pos"},
           {R"({"text":"a","label":1})", "unknown label '1' in column 'label'; known: neg, pos"},
           {R"({"text":"a","label":0.5})",
            "column 'label' holds 0.5: --num_labels 1 makes it a regression"},
           {R"({"text":"a","label":"-1.5"})",
            "column 'label' holds \"-1.5\": --num_labels 1 makes it a regression"}}) {
    EXPECT_EQ(refusal(*names, row), "f.jsonl:7: " + message);
  }
  options_.num_labels = 3;
  EXPECT_EQ(refusal(*task({"0", "2"}), R"({"text":"a","label":3})"),
            "f.jsonl:7: label 3 in column 'label' is out of range 0..2");
}

TEST_F(SeqClsTest, TokenizerThatDoesNotFitTheModelIsRefused) {
  const std::string message =
      error_of([&] { encode(*task(), R"({"text":"😀","label":1})"); }, ErrorKind::kModel);
  EXPECT_NE(message.find("the model's vocabulary has 200"), std::string::npos) << message;
}

TEST_F(SeqClsTest, LabelsAreFoundAsTexts) {
  const auto any = make_task(TaskType::kSeqCls, options_, no_config());
  EXPECT_EQ(any->labels_in(row_of(R"({"label":"pos"})")), Names{"pos"});
  EXPECT_EQ(any->labels_in(row_of(R"({"label":-3})")), Names{"-3"});
  EXPECT_EQ(any->labels_in(row_of(R"({"label":true})")), Names{"true"});
  EXPECT_EQ(any->labels_in(row_of(R"({"input_ids":[1],"labels":2,"label":"x"})")), Names{"2"});
  for (const char* none : {R"({"labels":1})", R"({"label":null})", R"({"label":0.5})"}) {
    EXPECT_EQ(any->labels_in(row_of(none)), Names{}) << none;
  }
}

TEST_F(SeqClsTest, NumLabelsMakesWholeNumbersClasses) {
  EXPECT_EQ(task({"1", "5"})->label_names(), (Names{"1", "5"}));
  options_.num_labels = 3;
  EXPECT_EQ(task({"0", "2"})->label_names(), (Names{"0", "1", "2"}));
  EXPECT_EQ(encode(*task({"0", "2"}), R"({"text":"a","label":2})").example.labels, Ids{2});
  EXPECT_EQ(task({"a", "b", "c"})->label_names(), (Names{"a", "b", "c"}));
  EXPECT_EQ(error_of([&] { task({"a", "b"}); }), "num_labels is 3, but there are 2 labels: a, b");
}

TEST_F(SeqClsTest, OneLabelIsARegression) {
  options_.num_labels = 1;
  const auto regression = task({});
  EXPECT_EQ(regression->label_names(), Names{});
  EXPECT_EQ(regression->labels_in(row_of(R"({"label":3})")), Names{});
  for (const auto& [row, value] :
       std::vector<std::pair<std::string, float>>{{R"({"text":"a","label":-1.5})", -1.5F},
                                                  {R"({"text":"a","label":"2.25"})", 2.25F},
                                                  {R"({"text":"a","label":3})", 3},
                                                  {R"({"input_ids":[5],"labels":0.1})", 0.1F}}) {
    const Example example = encode(*regression, row).example;
    EXPECT_EQ(example.values, std::vector<float>{value}) << row;
    EXPECT_EQ(example.labels, Ids{}) << row;
  }
  for (const char* wrong : {R"("good")", R"("")", R"("1.5x")", R"("nan")", "true", "[1]"})
    EXPECT_EQ(refusal(*regression, fmt::format(R"({{"text":"a","label":{}}})", wrong)),
              fmt::format("f.jsonl:7: column 'label' must be a number for a regression, it is {}",
                          wrong));
  EXPECT_EQ(regression->metrics()->values({}, 0.25),
            (std::map<std::string, double>{{"mse", 0.25}}));
  error_of([&] { task({"a", "b"}); });
}

TEST_F(SeqClsTest, LabelsMayLackWhereTheJobDoesWithoutThem) {
  options_.labels_optional = true;
  const auto any = task();
  EXPECT_EQ(encode(*any, R"({"text":"a"})").example.labels, Ids{});
  EXPECT_EQ(encode(*any, R"({"input_ids":[5],"labels":null})").example.labels, Ids{});
  EXPECT_EQ(encode(*any, R"({"text":"a","label":1})").example.labels, Ids{1});
  EXPECT_EQ(refusal(*any, R"({"text":"a","label":7})"),
            "f.jsonl:7: unknown label '7' in column 'label'; known: 0, 1");
}

std::vector<int64_t> counts(const Metrics& metrics, std::vector<float> logits,
                            std::vector<int64_t> targets) {
  const auto rows = std::ssize(targets);
  Unit unit;
  unit.targets = at::from_blob(targets.data(), {rows}, at::kLong);
  return metrics.counts(at::from_blob(logits.data(), {rows, std::ssize(logits) / rows}, at::kFloat),
                        unit);
}

TEST_F(SeqClsTest, BinaryMetricsCountClassOne) {
  const auto metrics = task()->metrics();
  // predicted: 1 1 0 0 (a tie) 1; wanted: 1 0 1 0 1
  const auto found = counts(*metrics, {0, 1, -2, -1, 3, 2, 5, 5, 0, 9}, {1, 0, 1, 0, 1});
  EXPECT_EQ(found, (std::vector<int64_t>{3, 5, 2, 1, 1}));
  EXPECT_EQ(metrics->size(), 5);
  const std::map<std::string, double> expected = {
      {"accuracy", 0.6}, {"f1", 4.0 / 6}, {"precision", 2.0 / 3}, {"recall", 2.0 / 3}};
  EXPECT_EQ(metrics->values(found, 0), expected);
  EXPECT_EQ(metrics->values({4, 4, 0, 0, 0}, 0).at("f1"), 0);
  EXPECT_EQ(metrics->values({0, 0, 0, 0, 0}, 0).at("accuracy"), 0);
}

TEST_F(SeqClsTest, MoreClassesHaveAccuracyOnly) {
  const auto metrics = task({"a", "b", "c"})->metrics();
  const auto found = counts(*metrics, {0, 2, 2, 1, 0, 0, 0, 0, 1}, {1, 0, 1});
  EXPECT_EQ(found, (std::vector<int64_t>{2, 3})) << "of equal logits the lowest class counts";
  EXPECT_EQ(metrics->values(found, 0), (std::map<std::string, double>{{"accuracy", 2.0 / 3}}));
}

TEST(Tasks, OptionsHaveTheirNamesAndRanges) {
  DataOptions options;
  Fields fields;
  options.declare(fields);
  fields.at("train_file").set("a.tsv");
  fields.at("text_pair_column").set("second");
  fields.at("max_length").set("64");
  fields.at("num_labels").set("3");
  EXPECT_EQ(options.train_file, "a.tsv");
  EXPECT_EQ(options.text_pair_column, "second");
  EXPECT_EQ(options.max_length, 64);
  EXPECT_EQ(options.num_labels, 3);
  error_of([&] { fields.at("max_length").set("0"); }, ErrorKind::kUsage);
}

}  // namespace
}  // namespace rankwise
