// Rows of text to windows and positions; answers to texts, and what SQuAD's script says of them.
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <mutex>

#include "data/prepare.h"
#include "data/tasks/answers.h"
#include "data/tasks/squad.h"
#include "tests/data/support.h"

namespace rankwise {
namespace {

using Ids = std::vector<int32_t>;

// A context of 14 characters, whose "fg" is the answer, and a question of one.
constexpr const char* kRow =
    R"({"question":" q","context":"abcdefghijklmn","answers":{"text":["fg"],"answer_start":[5]}})";

class QuestionAnsTest : public testing::Test {
 protected:
  QuestionAnsTest() { options_.doc_stride = 2; }

  EncodedRow encode(const std::string& json, int64_t max_length = 10) {
    return make_task(TaskType::kQuestionAns, options_, no_config())
        ->encode({parse_json(json, "test", ErrorKind::kInternal), 7}, "f.jsonl",
                 {&tokenizer_, max_length, 256});
  }

  DataOptions options_;
  const ByteTokenizer tokenizer_{};
};

TEST_F(QuestionAnsTest, ALongContextBecomesWindowsThatOverlap) {
  const EncodedRow row = encode(kRow);
  ASSERT_EQ(row.examples.size(), 3u);
  EXPECT_EQ(row.examples[0].input_ids, (Ids{1, 'q', 2, 'a', 'b', 'c', 'd', 'e', 'f', 2}));
  EXPECT_EQ(row.examples[1].input_ids, (Ids{1, 'q', 2, 'e', 'f', 'g', 'h', 'i', 'j', 2}));
  EXPECT_EQ(row.examples[2].input_ids, (Ids{1, 'q', 2, 'i', 'j', 'k', 'l', 'm', 'n', 2}));
  EXPECT_EQ(row.examples[0].token_type_ids, (Ids{0, 0, 0, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(row.examples[0].labels, (Ids{0, 0})) << "a part of the answer is outside";
  EXPECT_EQ(row.examples[1].labels, (Ids{4, 5}));
  EXPECT_EQ(row.examples[2].labels, (Ids{0, 0}));
  EXPECT_FALSE(row.truncated) << "nothing is lost";
  EXPECT_EQ(encode(kRow, 18).examples.size(), 1u);
  EXPECT_EQ(encode(kRow, 18).examples[0].labels, (Ids{8, 9}));
}

TEST_F(QuestionAnsTest, AQuestionWithoutAnAnswerPointsToTheFirstToken) {
  const EncodedRow row =
      encode(R"({"question":"q","context":"ab","answers":{"text":[],"answer_start":[]}})");
  EXPECT_EQ(row.examples.at(0).labels, (Ids{0, 0}));
  EXPECT_TRUE(row.question.has_value() && row.question->answers.empty());
}

TEST_F(QuestionAnsTest, PlacesAreCountedInCharacters) {
  const EncodedRow row = encode(
      R"({"question":"q","context":"éa b","answers":{"text":["b"],"answer_start":[3]}})", 30);
  EXPECT_EQ(row.examples.at(0).labels, (Ids{7, 7})) << "é is two bytes, each a token here";
}

TEST_F(QuestionAnsTest, ErrorsNameTheRow) {
  EXPECT_EQ(
      error_of([&] {
        encode(R"({"question":"q","context":"ab","answers":{"text":["b"],"answer_start":[0]}})");
      }),
      "f.jsonl:7: the answer 'b' is not at character 0 of the context");
  EXPECT_EQ(
      error_of([&] {
        encode(R"({"question":"q","context":"ab","answers":{"text":["b"],"answer_start":[9]}})");
      }),
      "f.jsonl:7: the answer 'b' is not at character 9 of the context");
  EXPECT_EQ(
      error_of([&] { encode(R"({"question":"q","context":"ab","answers":["b"]})"); }),
      "f.jsonl:7: column 'answers' must be {\"text\": [...], \"answer_start\": [...]}, as many "
      "of both");
  EXPECT_EQ(error_of([&] { encode(kRow, 6); }),
            "f.jsonl:7: the question takes 4 of 6 tokens: windows of 2 cannot overlap by "
            "doc_stride 2");
  EXPECT_EQ(error_of([&] { encode(kRow, 3); }),
            "f.jsonl:7: the question takes 4 of 3 tokens: windows of 0 cannot overlap by "
            "doc_stride 2");
  EXPECT_EQ(error_of([&] { encode(R"({"question":"q","answers":{}})"); }),
            "f.jsonl:7: no column 'context'; there are: answers, question");
}

TEST_F(QuestionAnsTest, WindowsAndQuestionsAreTheSameOnAnyNumberOfRanks) {
  TemporaryFolder folder;
  std::string text;
  for (int row = 0; row < 700; ++row) {
    const std::string context(static_cast<size_t>(1 + row * 5 % 23),
                              static_cast<char>('a' + row % 26));
    const Json answers = {{"text", {context.substr(0, 1)}}, {"answer_start", {0}}};
    text += Json{{"question", "q"}, {"context", context}, {"answers", answers}}.dump() + "\n";
  }
  const auto file = folder.write("a.jsonl", text);
  std::vector<std::string> identities;
  for (const int ranks : {1, 2, 3, 5}) {
    std::mutex mutex;
    int64_t questions = 0;
    run_as_threads(ranks, [&](Communicator& communicator) {
      const auto task = make_task(TaskType::kQuestionAns, options_, no_config());
      RowLimits limits{&tokenizer_, 10, 256};
      limits.keep_questions = true;
      const TokenStore store = prepare(communicator, *task, file, limits);
      ASSERT_EQ(store.row_offsets.size(), 701u);
      EXPECT_EQ(store.row_offsets[700], store.rows());
      ASSERT_EQ(std::ssize(store.questions->windows), store.rows());
      const std::scoped_lock lock(mutex);
      identities.push_back(store.identity);
      questions += std::ssize(store.questions->mine);
      for (const Question& question : store.questions->mine) {
        EXPECT_EQ(std::ssize(question.context), 1 + question.row * 5 % 23);
        EXPECT_EQ(question.example, store.row_offsets[static_cast<size_t>(question.row)]);
        const auto ids = store.ids(question.example);
        EXPECT_EQ(ids[3], question.context[0]);
        const Window& window = store.questions->windows[static_cast<size_t>(question.example)];
        EXPECT_EQ(window.begin, 3);
        EXPECT_EQ(window.end, std::ssize(ids) - 1);
      }
    });
    EXPECT_EQ(questions, 700);
  }
  EXPECT_EQ(std::count(identities.begin(), identities.end(), identities[0]),
            std::ssize(identities));
  const auto mixed = folder.write(
      "b.jsonl", text + R"({"input_ids":[1,2],"start_positions":0,"end_positions":1})");
  const auto task = make_task(TaskType::kQuestionAns, options_, no_config());
  EXPECT_EQ(error_of([&] {
              prepare(*single_rank(), *task, mixed, {&tokenizer_, 10, 256});
            }),
            mixed.string() + ":701: a row of input_ids among rows of text");
}

TEST(Squad, AnswersAreNormalisedAsItsScriptDoes) {
  EXPECT_EQ(normalised_answer("  The\tCat's   a-b, AN apple! "), "cats ab apple");
  EXPECT_EQ(normalised_answer("theatre a_the Ä the"), "theatre athe ä");
  EXPECT_EQ(normalised_answer("the"), "");
  EXPECT_TRUE(exact_match("The cat.", {"dog", "cat"}, false));
  EXPECT_FALSE(exact_match("", {"cat"}, true));
  EXPECT_TRUE(exact_match("the", {}, true)) << "nothing is right, and nothing is said";
  EXPECT_DOUBLE_EQ(word_f1("big red cat", {"red cat sat", "x"}, false), 2.0 / 3);
  EXPECT_DOUBLE_EQ(word_f1("cat cat", {"cat"}, true), 2.0 / 3);
  EXPECT_DOUBLE_EQ(word_f1("cat", {}, true), 0);
  EXPECT_TRUE(exact_match("a", {"the", "cat"}, false)) << "SQuAD 1.1 counts every right answer";
  EXPECT_DOUBLE_EQ(word_f1("a", {"the", "cat"}, false), 0);
  EXPECT_FALSE(exact_match("a", {"the", "cat"}, true));
  EXPECT_DOUBLE_EQ(word_f1("a", {"the"}, true), 1);
}

// start and end scores of each token
std::vector<float> scores(const std::vector<std::pair<float, float>>& tokens) {
  std::vector<float> flat;
  for (const auto& [start, end] : tokens) flat.insert(flat.end(), {start, end});
  return flat;
}

TEST(Squad, TheBestSpanOfAWindowIsInsideTheContext) {
  const auto all = scores({{9, 9}, {0, 0}, {1, 5}, {3, 0}, {0, 2}, {8, 8}});
  const WindowAnswer best = best_answer(all.data(), 6, {2, 5, 0});
  EXPECT_EQ(best.first, 2);
  EXPECT_EQ(best.last, 2);
  EXPECT_EQ(best.score, 6);
  EXPECT_EQ(best.null_score, 18);
  EXPECT_EQ(best_answer(all.data(), 6, {4, 4, 0}).first, -1) << "no context, no span";
  std::vector<std::pair<float, float>> far(40, {0.F, 0.F});
  far[1].first = far[35].second = 9;
  const WindowAnswer close = best_answer(scores(far).data(), 40, {1, 40, 0});
  EXPECT_LT(close.last - close.first, kLongestAnswer);
  EXPECT_EQ(close.score, 9);
}

TEST(Squad, TheWindowsOfAQuestionAgreeOnOneText) {
  const Question question{0, 0, "ab cd ef", {}, {{0, 2}, {3, 5}, {6, 8}}, {{3, 5, 0}, {3, 5, 1}}};
  EXPECT_EQ(answer_text(question, {{5, 1, 3, 3}, {4, 2, 3, 4}}, false), "ab");
  EXPECT_EQ(answer_text(question, {{5, 1, 3, 3}, {6, 2, 3, 4}}, false), "cd ef");
  EXPECT_EQ(answer_text(question, {{5, 1, 3, 3}, {5, 2, 3, 4}}, false), "ab") << "the earlier";
  EXPECT_EQ(answer_text(question, {{5, 7, 3, 3}, {6, 9, 3, 4}}, true), "") << "7 is above 6";
  EXPECT_EQ(answer_text(question, {{5, 6, 3, 3}, {6, 9, 3, 4}}, true), "cd ef");
  EXPECT_EQ(answer_text(question, {{0, 0, -1, -1}, {0, 0, -1, -1}}, false), "");
}

TEST(Answers, AreCountedOnceEachWhereverTheirWindowsWere) {
  std::mutex mutex;
  std::vector<int64_t> counted(3);
  run_as_threads(2, [&](Communicator& communicator) {
    const bool first = communicator.world().rank == 0;
    Questions questions;
    questions.windows = {{1, 3, 0}, {1, 3, 1}, {1, 3, 0}};
    questions.mine = {
        first ? Question{0, 0, "a b c", {"c"}, {{0, 1}, {2, 3}, {4, 5}}, {{1, 3, 0}, {1, 3, 1}}}
              : Question{1, 2, "x y", {"x y z"}, {{0, 1}, {2, 3}}, {{1, 3, 0}}}};
    Answers answers(questions);
    Unit unit;  // the first rank computes the windows 1 and 2, the second 0
    unit.rows = first ? std::vector<int64_t>{1, 2} : std::vector<int64_t>{0};
    unit.text.bounds = first ? std::vector<int64_t>{0, 4, 8} : std::vector<int64_t>{0, 4};
    at::Tensor logits = at::zeros({first ? 8 : 4, 2});
    if (first) logits[2] = 5;                    // "c" of window 1
    if (first) logits[5][0] = logits[6][1] = 3;  // "x y" of window 2
    answers.add(logits, unit);
    answers.gather(communicator);
    const std::vector<int64_t> counts = answers.counts();
    const std::scoped_lock lock(mutex);
    for (size_t i = 0; i < 3; ++i) counted[i] += counts[i];
  });
  EXPECT_EQ(counted[0], 1);
  EXPECT_NEAR(static_cast<double>(counted[1]) / 4294967296.0, 1 + 0.8, 1e-9);
  EXPECT_EQ(counted[2], 2);
}

}  // namespace
}  // namespace rankwise
