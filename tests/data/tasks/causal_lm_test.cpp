// CAUSAL_LM rows: which tokens count, and ids that the model does not have.
#include "tests/data/support.h"

namespace rankwise {
namespace {

using Ids = std::vector<int32_t>;

class CausalLmTest : public testing::Test {
 protected:
  EncodedRow encode(const std::string& json, int64_t max_length = 100, int64_t vocabulary = 200) {
    const auto task = make_task(TaskType::kCausalLm, options_, no_config());
    return task->encode({parse_json(json, "test", ErrorKind::kInternal), 7}, "f.jsonl",
                        {&tokenizer_, max_length, vocabulary});
  }

  // The same with a chat template in the model folder.
  Example chat(const std::string& messages, int64_t max_length = 100) {
    const auto task = make_task(TaskType::kCausalLm, options_, no_config());
    const Row row{{{"messages", parse_json(messages, "test", ErrorKind::kInternal)}}, 7};
    return task->encode(row, "f.jsonl", {&tokenizer_, max_length, 200, folder_.path()})
        .examples.at(0);
  }

  TemporaryFolder folder_;
  DataOptions options_;
  const ByteTokenizer tokenizer_{};
};

TEST_F(CausalLmTest, OnlyTheCompletionCounts) {
  const EncodedRow row = encode(R"({"prompt":"ab","completion":"cd"})");
  EXPECT_EQ(row.examples.at(0).input_ids, (Ids{1, 'a', 'b', 2, 'c', 'd'}));
  EXPECT_EQ(row.examples.at(0).labels, (Ids{-100, -100, -100, -100, 'c', 'd'}));
  EXPECT_FALSE(row.truncated);
  const EncodedRow cut = encode(R"({"prompt":"ab","completion":"cd"})", 5);
  EXPECT_EQ(cut.examples.at(0).labels, (Ids{-100, -100, -100, -100, 'c'}));
  EXPECT_TRUE(cut.truncated);
}

TEST_F(CausalLmTest, IdsOfPromptAndCompletionAreThoseOfTheModel) {
  for (const char* row : {R"({"prompt":"z","completion":"a"})",
                          R"({"prompt":"a","completion":"z"})", R"({"text":"z"})"}) {
    EXPECT_EQ(error_of([&] { encode(row, 100, 'y'); }, ErrorKind::kModel),
              "the tokenizer gives the id 122, but the model's vocabulary has 121")
        << row;
  }
}

TEST(Seq2SeqLm, LabelsAreTheTargets) {
  static const ByteTokenizer tokenizer;
  DataOptions options;
  options.max_target_length = 3;
  const auto task = make_task(TaskType::kSeq2SeqLm, options, no_config());
  for (const char* row :
       {R"({"input_ids":[1,97,2],"labels":[1,98,99,2]})", R"({"source":"a","target":"bc"})"}) {
    const EncodedRow encoded = task->encode({parse_json(row, "test", ErrorKind::kInternal), 7},
                                            "f.jsonl", {&tokenizer, 10, 200});
    EXPECT_EQ(encoded.examples.at(0).input_ids, (Ids{1, 'a', 2})) << row;
    EXPECT_EQ(encoded.examples.at(0).labels, (Ids{1, 'b', 'c'})) << row;
    EXPECT_TRUE(encoded.truncated) << row;
  }
}

TEST(Seq2SeqLm, SourceAndTargetHaveLimitsOfTheirOwn) {
  static const ByteTokenizer tokenizer;
  DataOptions options;
  options.max_source_length = 4;
  options.max_target_length = 3;
  const auto task = make_task(TaskType::kSeq2SeqLm, options, no_config());
  for (const char* row :
       {R"({"input_ids":[1,97,98,99,2],"labels":[1,98]})", R"({"source":"abcd","target":"b"})"}) {
    const EncodedRow encoded = task->encode({parse_json(row, "test", ErrorKind::kInternal), 7},
                                            "f.jsonl", {&tokenizer, 10, 200});
    EXPECT_EQ(encoded.examples.at(0).input_ids.size(), 4u) << row;
    EXPECT_LE(encoded.examples.at(0).labels.size(), 3u) << row;
    EXPECT_TRUE(encoded.truncated) << row;
  }
  EXPECT_EQ(
      error_of([&] { make_task(TaskType::kSeqCls, options, no_config()); }, ErrorKind::kUsage),
      "--max_source_length is an option of SEQ_2_SEQ_LM, not of SEQ_CLS");
}

TEST_F(CausalLmTest, BlocksAreOfTextsOnly) {
  options_.block_size = 2;
  EXPECT_EQ(encode(R"({"text":"abc"})", 2).examples.at(0).labels, (Ids{1, 'a', 'b', 'c', 2}))
      << "cut when all are joined";
  EXPECT_EQ(error_of([&] { encode(R"({"prompt":"a","completion":"b"})"); }, ErrorKind::kUsage),
            "f.jsonl:7: --block_size joins texts; this row has 'prompt'");
}

TEST_F(CausalLmTest, OfAConversationTheAssistantsTurnsCount) {
  folder_.write("chat_template.jinja",
                "{% for m in messages %}{{ m.role[0] }}:{{ m.content }};{% endfor %}"
                "{% if add_generation_prompt %}a:{% endif %}");
  const std::string said =
      R"([{"role":"user","content":"hi"},{"role":"assistant","content":"yo"},
          {"role":"user","content":"x"},{"role":"assistant","content":"z"}])";
  const Example example = chat(said);
  const std::string text = "u:hi;a:yo;u:x;a:z;";
  EXPECT_EQ(example.input_ids, Ids(text.begin(), text.end())) << "no special tokens but the text's";
  std::string counted;
  for (const int32_t label : example.labels) counted += label < 0 ? '.' : static_cast<char>(label);
  EXPECT_EQ(counted, ".......yo;......z;");
  EXPECT_EQ(chat(said, 8).labels, (Ids{-100, -100, -100, -100, -100, -100, -100, 'y'}));
}

TEST_F(CausalLmTest, AConversationWithoutTheAssistantOrATemplateIsAnError) {
  EXPECT_EQ(error_of([&] { chat(R"([{"role":"user","content":"hi"}])"); }, ErrorKind::kModel),
            "f.jsonl:7: a conversation, but " + folder_.path().string() + " has no chat template");
  folder_.write("chat_template.jinja", "{% for m in messages %}{{ m.content }}{% endfor %}");
  EXPECT_EQ(error_of([&] { chat(R"([{"role":"user","content":"hi"}])"); }),
            "f.jsonl:7: column 'messages': the assistant says nothing, so there is no loss");
  EXPECT_EQ(error_of([&] { chat("[]"); }),
            "f.jsonl:7: column 'messages' must be a list of messages");
  folder_.write("chat_template.jinja", "{{ raise_exception('no') }}");
  const std::string refused = error_of([&] { chat(R"([{"role":"user","content":"hi"}])"); });
  EXPECT_TRUE(refused.starts_with("f.jsonl:7: ") && refused.ends_with("says (line 1): no"))
      << refused;
}

}  // namespace
}  // namespace rankwise
