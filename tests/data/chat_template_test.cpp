// Chat templates must render what transformers renders (tests/golden/chat), and mark the
// assistant's turns; what is wrong with a template is said with its line.
#include "data/chat_template.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "data/chat/value.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;
using Ranges = std::vector<std::pair<size_t, size_t>>;

std::time_t noon() {  // of 5 July 2024, local time: the goldens' now
  std::tm time{};
  time.tm_year = 124;
  time.tm_mon = 6;
  time.tm_mday = 5;
  time.tm_hour = 12;
  time.tm_isdst = -1;
  return std::mktime(&time);
}

// Byte ranges of ranges in characters.
Ranges in_bytes(const std::string& text, const OrderedJson& ranges) {
  std::vector<size_t> starts = {0};
  for (const std::string& one : chat::characters_of(text))
    starts.push_back(starts.back() + one.size());
  Ranges found;
  for (const auto& range : ranges) found.emplace_back(starts.at(range[0]), starts.at(range[1]));
  return found;
}

struct Golden {
  std::map<std::string, ChatTemplate> templates;
  std::vector<OrderedJson> cases;

  Golden() {
    std::ifstream in(fs::path(TESTS_DIR) / "golden/chat/cases.jsonl");
    std::string line;
    std::getline(in, line);
    const Json head = parse_json(line, "cases.jsonl", ErrorKind::kInput);
    for (const auto& [name, source] : head.at("templates").items()) {
      templates.emplace(name, ChatTemplate(source, name, head.at("tokens")));
    }
    while (std::getline(in, line)) {
      cases.push_back(parse_ordered_json(line, "cases.jsonl", ErrorKind::kInput));
    }
  }
};

TEST(ChatTemplate, RendersLikeTransformers) {
  const Golden golden;
  ASSERT_EQ(golden.cases.size(), 105u);
  size_t with_ranges = 0, refused = 0;
  for (const OrderedJson& row : golden.cases) {
    SCOPED_TRACE(row[0].get<std::string>() + " " + row[1].dump());
    try {
      const ChatTemplate& used = golden.templates.at(row[0]);
      ChatText found{used.render(row[1], row[2], noon()), {}};
      if (row[3].is_null()) {
        ADD_FAILURE() << "not refused: " << row[4];
        continue;
      }
      EXPECT_EQ(found.text, row[3].get<std::string>());
      if (row[4].is_null()) continue;
      found = used.render_turns(row[1], row[2], noon());
      EXPECT_EQ(found.text, row[3].get<std::string>());
      EXPECT_EQ(found.assistant, in_bytes(found.text, row[4]));
      with_ranges += !found.assistant.empty();
    } catch (const Error& error) {
      if (row[3].is_string()) {
        ADD_FAILURE() << error.what();
        continue;
      }
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      EXPECT_NE(std::string(error.what()).find(row[4].get<std::string>()), std::string::npos)
          << error.what();
      ++refused;
    }
  }
  EXPECT_EQ(with_ranges, 12u);
  EXPECT_EQ(refused, 12u);
}

OrderedJson talk() {
  return OrderedJson::parse(
      R"({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"},
    {"role": "user", "content": "You?"}, {"role": "assistant", "content": "Fine"}]})");
}

std::vector<std::string> turns(const ChatText& chat) {
  std::vector<std::string> found;
  for (const auto& [begin, end] : chat.assistant)
    found.push_back(chat.text.substr(begin, end - begin));
  return found;
}

TEST(ChatTemplate, FindsTurnsByPrefixesWhereThereAreNoGenerationBlocks) {
  const Golden golden;
  EXPECT_EQ(turns(golden.templates.at("chatml").render_turns(talk(), false)),
            (std::vector<std::string>{"Ho<|im_end|>\n", "Fine<|im_end|>\n"}));
  EXPECT_EQ(turns(golden.templates.at("chatml").render_turns(talk(), true)),
            (std::vector<std::string>{"Ho<|im_end|>\n", "Fine<|im_end|>\n"}));
  EXPECT_EQ(turns(golden.templates.at("instructions").render_turns(talk(), false)),
            (std::vector<std::string>{" Ho</s>", " Fine</s>"}));
  EXPECT_EQ(turns(golden.templates.at("turns").render_turns(talk(), false)),
            (std::vector<std::string>{"Ho<end_of_turn>\n", "Fine<end_of_turn>\n"}));
}

std::string refusal(const std::string& source, const OrderedJson& conversation = talk()) {
  try {
    ChatTemplate(source, "file", Json::object()).render(conversation, false);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// Found by fuzzing: a character cut off at the end of a word was read beyond it.
TEST(ChatTemplate, BytesThatAreNoUtf8BecomeReplacementCharacters) {
  const ChatTemplate made("{{ \"\xfb\"[0] }}{{ \"a\xe4\xb8\" | length }}", "file", Json::object());
  EXPECT_EQ(made.render({{"messages", OrderedJson::array()}}, false, 0), "\uFFFD2");
}

TEST(ChatTemplate, NamesTheLineOfWhatIsWrong) {
  const auto expect = [](const std::string& source, const std::string& part) {
    const std::string message = refusal(source);
    EXPECT_NE(message.find("file: chat template, line " + part), std::string::npos) << message;
  };
  expect("a\n{% if x %}\nb", "3: endif is missing");
  expect("{{ 'a", "1: a string is not closed");
  expect("\n\n{{ a", "3: a tag is not closed");
  expect("{# a", "1: a comment is not closed");
  expect("\n{{ messages | upperr }}", "2: the filter 'upperr' is not supported (known: abs");
  expect("\n{{ 1 is big }}", "2: the test 'big' is not supported");
  expect("{% include 'x' %}", "1: the block 'include' is not supported");
  expect("a\n{% for m in messages %}\n{{ m.a.b }}{% endfor %}", "3: 'a' is undefined");
  expect("{{ nothing() }}", "1: 'nothing' is undefined");
  expect("{{ messages.append(1) }}", "1: a list has no method 'append'");
  expect("{{ 1 + 'a' }}", "1: '+' of a int and a str");
  expect("{{ 1 // 0 }}", "1: division by zero");
  expect("{{ range(10000000) }}", "1: a range is too long");
  expect("{{ 'abc' * 100000000 }}", "1: a repeated text is too long");
  expect("{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}", "1: nested deeper");
  expect("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "1: macros call each other too deeply");
  expect(
      "{% for i in range(9999) %}{% for j in range(9999) %}{% set x = i %}{% endfor %}{% endfor %}",
      "1: the template takes too long");
  EXPECT_NE(refusal("x", OrderedJson::parse("{}")).find("no list of messages"), std::string::npos);
}

TEST(ChatTemplate, IsFoundInAModelFolder) {
  const fs::path folder = fs::temp_directory_path() / ("rankwise_chat_" + std::to_string(getpid()));
  fs::create_directory(folder);
  EXPECT_FALSE(load_chat_template(folder));
  const auto text = [&](const char* name = "default") {
    return load_chat_template(folder, name)->render(talk(), false);
  };
  std::ofstream(folder / "tokenizer_config.json")
      << R"({"chat_template": "{{ bos_token }}1", "bos_token": {"content": "<b>"}})";
  EXPECT_EQ(text(), "<b>1");
  std::ofstream(folder / "tokenizer_config.json")
      << R"({"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})";
  EXPECT_EQ(text(), "D");
  EXPECT_EQ(text("tool_use"), "T");
  EXPECT_THROW(load_chat_template(folder, "rag"), Error);
  std::ofstream(folder / "chat_template.jinja") << "J\n";
  EXPECT_EQ(text(), "J");
  fs::remove_all(folder);
}

}  // namespace
}  // namespace rankwise
