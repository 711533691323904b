// A token store in a file holds what the same store in memory holds, row by row, at any rank count.
#include "data/token_file.h"

#include "data/loader.h"
#include "data/prepare.h"
#include "data/prepare_file.h"
#include "distributed/comm/communicator.h"
#include "tests/data/support.h"

namespace rankwise {
namespace {

constexpr int64_t kRowsOfPart = 5;

struct Case {
  const char* name;
  TaskType task;
  DataOptions options;
  Json (*row)(int number);
};

std::string text_of(int number) {
  return std::string(static_cast<size_t>(number * 7 % 14), static_cast<char>('a' + number % 26));
}

const std::vector<Case>& cases() {
  static const std::vector<Case> list = {
      {"classes", TaskType::kSeqCls, {},
       [](int n) { return Json{{"text", text_of(n)}, {"label", n % 3 == 0 ? "pos" : "neg"}}; }},
      {"pairs, in some parts only", TaskType::kSeqCls, {},
       [](int n) {
         Json row = {{"text", text_of(n)}, {"label", n % 2}};
         if (n == 8) row["text_pair"] = "pair";
         return row;
       }},
      {"numbers", TaskType::kSeqCls, {.num_labels = 1},
       [](int n) { return Json{{"text", text_of(n)}, {"label", n / 4.0}}; }},
      {"no labels", TaskType::kFeatureExtraction, {}, [](int n) { return Json{{"text", text_of(n)}}; }},
      {"completions", TaskType::kCausalLm, {},
       [](int n) { return Json{{"prompt", text_of(n)}, {"completion", "done"}}; }},
      {"blocks", TaskType::kCausalLm, {.block_size = 9},
       [](int n) { return Json{{"text", text_of(n)}}; }},
      {"windows", TaskType::kQuestionAns, {.doc_stride = 2},
       [](int n) {
         return Json{{"question", "q"},
                     {"context", text_of(n) + "answer"},
                     {"answers", {{"text", {"answer"}}, {"answer_start", {n * 7 % 14}}}}};
       }},
      {"targets", TaskType::kSeq2SeqLm, {.max_target_length = 6},
       [](int n) { return Json{{"source", text_of(n)}, {"target", text_of(n + 1) + "x"}}; }},
  };
  return list;
}

class TokenFileOf : public testing::TestWithParam<size_t> {
 protected:
  std::filesystem::path rows(int count) const {
    std::string text;
    for (int number = 0; number < count; ++number) text += case_.row(number).dump() + "\n";
    return folder_.write("rows.jsonl", text);
  }

  const Case& case_ = cases()[GetParam()];
  const TemporaryFolder folder_;
  const ByteTokenizer tokenizer_{};
  const RowLimits limits_{&tokenizer_, 12, 256};
};

TEST_P(TokenFileOf, HoldsWhatMemoryHolds) {
  const auto source = rows(23), output = folder_.path() / "store.h5";
  for (const int ranks : {1, 2, 3}) {
    std::filesystem::remove_all(output.string() + ".parts");
    run_as_threads(ranks, [&](Communicator& communicator) {
      const auto task = make_task(case_.task, case_.options, no_config());
      const TokenStore memory = prepare(communicator, *task, source, limits_);
      const auto again = make_task(case_.task, case_.options, no_config());
      const PreparedFile prepared = prepare_token_file(communicator, *again, source, limits_,
                                                       {{"made of", "rows"}}, output, kRowsOfPart);
      EXPECT_EQ(prepared.rows, 23);
      EXPECT_EQ(prepared.parts, 5);
      EXPECT_EQ(prepared.kept_parts, 0);
      const TokenStore file = open_token_file(communicator, output, {{"made of", "rows"}});
      EXPECT_TRUE(std::ranges::equal(file.offsets, memory.offsets));
      EXPECT_TRUE(std::ranges::equal(file.row_offsets, memory.row_offsets));
      EXPECT_EQ(file.label_names, memory.label_names);
      EXPECT_EQ(file.truncated_rows, memory.truncated_rows);
      EXPECT_EQ(file.labelled(), memory.labelled());
      ASSERT_EQ(file.rows(), memory.rows());
      for (int64_t row = 0; row < file.rows(); ++row) {
        const Example found = file.example(row), wanted = memory.example(row);
        EXPECT_EQ(found.input_ids, wanted.input_ids) << row;
        EXPECT_EQ(found.token_type_ids, wanted.token_type_ids) << row;
        EXPECT_EQ(found.labels, wanted.labels) << row;
        EXPECT_EQ(found.values, wanted.values) << row;
        EXPECT_EQ(target_count(file, row, {case_.task}), target_count(memory, row, {case_.task}));
      }
    });
  }
}

TEST_P(TokenFileOf, PartsThatAreThereAreKept) {
  const auto source = rows(23), output = folder_.path() / "store.h5";
  const auto kept = [&](int ranks) {
    int64_t count = -1;
    run_as_threads(ranks, [&](Communicator& communicator) {
      const auto task = make_task(case_.task, case_.options, no_config());
      const PreparedFile prepared =
          prepare_token_file(communicator, *task, source, limits_, {}, output, kRowsOfPart);
      if (communicator.world().rank == 0) count = prepared.kept_parts;
    });
    return count;
  };
  EXPECT_EQ(kept(2), 0);
  EXPECT_EQ(kept(3), 5);
  std::filesystem::remove(part_path(output, 2));
  EXPECT_EQ(kept(1), 4);
  rows(12);  // another source: none fits, and there are fewer
  EXPECT_EQ(kept(2), 0);
  EXPECT_TRUE(std::filesystem::exists(part_path(output, 2)));
  EXPECT_FALSE(std::filesystem::exists(part_path(output, 3)));
}

INSTANTIATE_TEST_SUITE_P(Tasks, TokenFileOf, testing::Range<size_t>(0, cases().size()));

TEST(TokenFile, RefusesWhatIsNotAsTheRunExpects) {
  const TemporaryFolder folder;
  const auto communicator = single_rank();
  const auto open = [&](const std::filesystem::path& file) {
    return error_of([&] { open_token_file(*communicator, file, {{"task", "SEQ_CLS"}}); });
  };
  EXPECT_NE(open(folder.path() / "none.h5").find("no such file"), std::string::npos);
  EXPECT_NE(open(folder.write("text.h5", "text")).find("no token store"), std::string::npos);
  const auto source = folder.write("rows.jsonl", "{\"text\": \"a\"}\n");
  const auto task = make_task(TaskType::kFeatureExtraction, {}, no_config());
  const ByteTokenizer tokenizer;
  const auto output = folder.path() / "store.h5";
  prepare_token_file(*communicator, *task, source, {&tokenizer, 12, 256}, {{"task", "OTHER"}},
                     output);
  EXPECT_NE(open(output).find("was prepared with task 'OTHER', the run has 'SEQ_CLS'"),
            std::string::npos);
}

}  // namespace
}  // namespace rankwise
