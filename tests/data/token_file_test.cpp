// A token store in a file holds what the same store in memory holds, row by row, at any rank count.
#include "data/token_file.h"

#include <atomic>

#include "data/gather_questions.h"
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

Json ids_of(int number) {
  return {{"input_ids", {1, number, 2}}, {"start_positions", 0}, {"end_positions", number % 3}};
}

bool same(const Question& one, const Question& other) {
  return one.row == other.row && one.example == other.example && one.context == other.context &&
         one.answers == other.answers && one.tokens == other.tokens &&
         std::ranges::equal(one.windows, other.windows);
}

void expect_same(const Questions* found, const Questions* wanted) {
  ASSERT_EQ(found == nullptr, wanted == nullptr);
  if (!wanted) return;
  EXPECT_EQ(found->windows, wanted->windows);
  EXPECT_TRUE(std::ranges::equal(found->mine, wanted->mine, same));
  EXPECT_EQ(found->all_answerable, wanted->all_answerable);
}

const std::vector<Case>& cases() {
  static const std::vector<Case> list = {
      {"classes",
       TaskType::kSeqCls,
       {},
       [](int n) {
         return Json{{"text", text_of(n)}, {"label", n % 3 == 0 ? "pos" : "neg"}};
       }},
      {"pairs, in some parts only",
       TaskType::kSeqCls,
       {},
       [](int n) {
         Json row = {{"text", text_of(n)}, {"label", n % 2}};
         if (n == 8) row["text_pair"] = "pair";
         return row;
       }},
      {"numbers",
       TaskType::kSeqCls,
       {.num_labels = 1},
       [](int n) {
         return Json{{"text", text_of(n)}, {"label", n / 4.0}};
       }},
      {"no labels",
       TaskType::kFeatureExtraction,
       {},
       [](int n) {
         return Json{{"text", text_of(n)}};
       }},
      {"completions",
       TaskType::kCausalLm,
       {},
       [](int n) {
         return Json{{"prompt", text_of(n)}, {"completion", "done"}};
       }},
      {"blocks",
       TaskType::kCausalLm,
       {.block_size = 9},
       [](int n) {
         return Json{{"text", text_of(n)}};
       }},
      {"windows",
       TaskType::kQuestionAns,
       {.doc_stride = 2},
       [](int n) {
         Json row = {{"question", "q"},
                     {"context", text_of(n) + "answer\n\u00e9"},
                     {"answers", {{"text", {"answer"}}, {"answer_start", {n * 7 % 14}}}}};
         if (n % 4 == 0)
           row["answers"] = {{"text", Json::array()}, {"answer_start", Json::array()}};
         return row;
       }},
      {"spans", TaskType::kQuestionAns, {}, ids_of},
      {"targets",
       TaskType::kSeq2SeqLm,
       {.max_target_length = 6},
       [](int n) {
         return Json{{"source", text_of(n)}, {"target", text_of(n + 1) + "x"}};
       }},
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
  const RowLimits limits_{
      .tokenizer = &tokenizer_, .max_length = 12, .vocabulary = 256, .keep_questions = true};
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
      EXPECT_EQ(memory.questions != nullptr, case_.name == std::string("windows"));
      expect_same(read_questions(communicator, file).get(), memory.questions.get());
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

TEST(TokenFile, QuestionsAreReadByTheRankOfTheirRowsBlock) {
  const TemporaryFolder folder;
  const ByteTokenizer tokenizer;
  const RowLimits limits{
      .tokenizer = &tokenizer, .max_length = 12, .vocabulary = 256, .keep_questions = true};
  std::string text;
  for (int row = 0; row < 700; ++row)
    text += Json{{"question", "q"},
                 {"context", "x" + text_of(row)},
                 {"answers", {{"text", {"x"}}, {"answer_start", {0}}}}}
                .dump() +
            "\n";
  const auto source = folder.write("rows.jsonl", text), output = folder.path() / "store.h5";
  for (const int ranks : {1, 2, 4}) {
    std::atomic<size_t> count = 0;
    run_as_threads(ranks, [&](Communicator& communicator) {
      const auto task = make_task(TaskType::kQuestionAns, {.doc_stride = 2}, no_config());
      const TokenStore memory = prepare(communicator, *task, source, limits);
      prepare_token_file(communicator, *task, source, limits, {}, output, 300);
      const auto read = read_questions(communicator, open_token_file(communicator, output, {}));
      expect_same(read.get(), memory.questions.get());
      count += read->mine.size();
    });
    EXPECT_EQ(count, 700u);
  }
}

TEST(TokenFile, QuestionsComeBackFromTheirLines) {
  Question question;
  question.context = "\"\u00e9\n\U0001f600\" x";
  question.answers = {"x", "\u00e9"};
  question.tokens = {{0, 1}, {1, 3}, {1, 3}, {2, 3}, {4, 8}, {10, 11}};  // pieces of a character
  question.windows = {{3, 6, 0}, {3, 8, 1}};
  const std::string line = line_of(question);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_TRUE(same(question_of(line, ""), question));
}

TEST(TokenFile, QuestionsOfAnotherStoreAreDamage) {
  const TemporaryFolder folder;
  const ByteTokenizer tokenizer;
  const auto communicator = single_rank();
  const auto prepared = [&](const std::string& name, const std::string& question,
                            const std::string& context) {
    const auto task = make_task(TaskType::kQuestionAns, {.doc_stride = 2}, no_config());
    const Json row = {{"question", question},
                      {"context", context},
                      {"answers", {{"text", Json::array()}, {"answer_start", Json::array()}}}};
    prepare_token_file(*communicator, *task, folder.write("rows.jsonl", row.dump() + "\n"),
                       {&tokenizer, 12, 256}, {}, folder.path() / name);
    return folder.path() / name;
  };
  const auto store = prepared("store.h5", "q", "xy");
  const auto read = [&] {
    read_questions(*communicator, open_token_file(*communicator, store, {}));
  };
  read();
  for (const auto& [question, context] :
       {std::pair("qqqq", "xy"), {"q", "xyz"}}) {  // windows too far on; a line that is cut
    const auto other = prepared("other.h5", question, context);
    std::filesystem::copy_file(part_path(other, 0), part_path(store, 0),
                               std::filesystem::copy_options::overwrite_existing);
    EXPECT_NE(error_of(read).find("store.h5: the question of row 1"), std::string::npos);
  }
  EXPECT_EQ(error_of([] { question_of("{}", "a row"); }).rfind("a row is damaged: ", 0), 0u);
}

TEST(TokenFile, RowsOfIdsAmongRowsOfTextAreNamed) {
  const TemporaryFolder folder;
  const ByteTokenizer tokenizer;
  const Json question = {
      {"question", "q"}, {"context", "x"}, {"answers", {{"text", {"x"}}, {"answer_start", {0}}}}};
  const auto output = folder.path() / "store.h5";
  for (const int other : {1, 3, 5, 11}) {  // inside the first part, its end, and in the next ones
    for (const bool ids : {true, false}) {
      std::string text;
      for (int row = 0; row < 12; ++row)
        text += (ids == (row >= other) ? ids_of(row) : question).dump() + "\n";
      const auto source = folder.write("rows.jsonl", text);
      const std::string wanted = fmt::format(
          "{}:{}: {}", source.string(), other + 1,
          ids ? "a row of input_ids among rows of text" : "a row of text among rows of input_ids");
      for (const int ranks : {1, 2, 3}) {
        run_as_threads(ranks, [&](Communicator& communicator) {
          const auto task = make_task(TaskType::kQuestionAns, {}, no_config());
          const RowLimits limits{&tokenizer, 12, 256};
          EXPECT_EQ(error_of([&] { prepare(communicator, *task, source, limits); }), wanted);
          for (int time = 0; time < 2; ++time)  // also over parts that are there
            EXPECT_EQ(error_of([&] {
                        prepare_token_file(communicator, *task, source, limits, {}, output, 4);
                      }),
                      wanted);
        });
      }
      EXPECT_FALSE(std::filesystem::exists(output));
    }
  }
}

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
