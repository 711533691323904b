// Words and config files to values, and the errors of each.
#include "launcher/command_line.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "distributed/core/error.h"
#include "distributed/core/ini.h"

namespace rankwise {
namespace {

struct Options {
  bool bf16 = false;
  int64_t max_steps = -1, r = 8;
  double learning_rate = 5e-5;
  std::string note = "nothing";
  std::optional<std::string> path;
  std::optional<bool> disable_tqdm;
  std::vector<std::string> target_modules;
  Fields fields;

  Options() {
    fields.group("numbers");
    fields.add("bf16", bf16, "");
    fields.add("max_steps", max_steps, "");
    fields.add("r", r, "").at_least(1);
    fields.add("learning_rate", learning_rate, "");
    fields.group("texts");
    fields.add("note", note, "");
    fields.add("path", path, "");
    fields.add("disable_tqdm", disable_tqdm, "");
    fields.add("target_modules", target_modules, "");
  }
};

// The usage error of an action: its message and hint.
template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage) << error.what();
    return error.hint().empty() ? error.what() : std::string(error.what()) + " / " + error.hint();
  }
  return "no error";
}

std::string error_of_words(const std::vector<std::string>& words) {
  Options options;
  return error_of([&] { read_arguments(words, options.fields); });
}

std::string error_of_config(const std::string& text) {
  Options options;
  return error_of([&] { read_config_text(text, "a.ini", options.fields); });
}

TEST(CommandLine, ReadsBothForms) {
  Options options;
  read_arguments({"--r", "16", "--learning_rate=1e-3", "--note", "two words", "--target_modules",
                  "query,value"},
                 options.fields);
  EXPECT_EQ(options.r, 16);
  EXPECT_EQ(options.learning_rate, 1e-3);
  EXPECT_EQ(options.note, "two words");
  EXPECT_EQ(options.target_modules, (std::vector<std::string>{"query", "value"}));
  EXPECT_TRUE(options.fields.given("r"));
  EXPECT_FALSE(options.fields.given("max_steps"));
}

TEST(CommandLine, ABareBooleanIsTrue) {
  for (const auto& [words, expected] :
       std::vector<std::pair<std::vector<std::string>, bool>>{{{"--bf16"}, true},
                                                              {{"--bf16", "true"}, true},
                                                              {{"--bf16", "false"}, false},
                                                              {{"--bf16=false"}, false},
                                                              {{"--bf16=true"}, true},
                                                              {{"--bf16", "--r", "4"}, true}}) {
    Options options;
    options.bf16 = !expected;
    read_arguments(words, options.fields);
    EXPECT_EQ(options.bf16, expected) << words.back();
  }
  Options options;
  read_arguments({"--disable_tqdm"}, options.fields);
  EXPECT_EQ(options.disable_tqdm, std::optional<bool>(true));
}

TEST(CommandLine, ValuesMayBeNegativeEmptyOrLookOdd) {
  Options options;
  options.path = "somewhere";
  read_arguments({"--max_steps", "-1", "--note=--r=3", "--path", ""}, options.fields);
  EXPECT_EQ(options.max_steps, -1);
  EXPECT_EQ(options.note, "--r=3");
  EXPECT_EQ(options.path, std::nullopt);
  Options other;
  read_arguments({"--note=", "--learning_rate", "-2.5e-3"}, other.fields);
  EXPECT_EQ(other.note, "");
  EXPECT_EQ(other.learning_rate, -2.5e-3);
}

TEST(CommandLine, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(error_of_words({"--learning_rat", "1"}),
            "unknown option --learning_rat (did you mean --learning_rate?)");
  EXPECT_EQ(error_of_words({"--max", "1"}), "unknown option --max");  // no abbreviations
  EXPECT_EQ(error_of_words({"--completely_else=3"}), "unknown option --completely_else");
}

TEST(CommandLine, RefusesWordsThatBelongToNoOption) {
  const std::string hint = " / options are written --name value or --name=value";
  EXPECT_EQ(error_of_words({"junk"}), "'junk' belongs to no option" + hint);
  EXPECT_EQ(error_of_words({"--r", "3", "4"}), "'4' belongs to no option" + hint);
  EXPECT_EQ(error_of_words({"--", "x"}), "'x' belongs to no option" + hint);
  EXPECT_EQ(error_of_words({"-r", "3"}), "'-r' belongs to no option / did you mean --r?");
}

TEST(CommandLine, RefusesRepeatedMissingAndWrongValues) {
  EXPECT_EQ(error_of_words({"--r", "1", "--r", "1"}), "--r is given twice");
  EXPECT_EQ(error_of_words({"--config", "a", "--config", "b"}), "--config is given twice");
  EXPECT_EQ(error_of_words({"--r"}), "--r needs a value");
  EXPECT_EQ(error_of_words({"--note", "--bf16"}), "--note needs a value");
  EXPECT_EQ(error_of_words({"--bf16", "maybe"}), "--bf16 maybe: must be true or false");
  EXPECT_EQ(error_of_words({"--r", "0"}), "--r 0: must be at least 1");
}

TEST(CommandLine, FindsVerbs) {
  const std::vector<Verb> verbs = {{"finetune", "", nullptr}, {"merge", "", nullptr}};
  EXPECT_STREQ(find_verb("merge", verbs).name, "merge");
  EXPECT_EQ(error_of([&] { find_verb("finetun", verbs); }),
            "unknown verb 'finetun' / did you mean finetune?");
  EXPECT_EQ(error_of([&] { find_verb("x", verbs); }),
            "unknown verb 'x' / the verbs are: finetune, merge");
}

TEST(Config, LiesBetweenDefaultsAndCommandLine) {
  Options options;
  EXPECT_EQ(read_arguments({"--r", "4", "--config=run.ini"}, options.fields), "run.ini");
  read_config_text("# a comment\nr = 16\n max_steps=7 # another\n\nbf16 = true\n", "run.ini",
                   options.fields);
  EXPECT_EQ(options.r, 4);
  EXPECT_EQ(options.max_steps, 7);
  EXPECT_TRUE(options.bf16);
  EXPECT_EQ(options.learning_rate, 5e-5);
}

TEST(Config, NamesTheFileInErrors) {
  EXPECT_EQ(error_of_config("learning_rat = 1\n"),
            "a.ini: unknown option --learning_rat (did you mean --learning_rate?)");
  EXPECT_EQ(error_of_config("max = 1\n"), "a.ini: unknown option --max");
  EXPECT_EQ(error_of_config("r = 1\nr = 2\n"), "a.ini: r is given twice");
  EXPECT_EQ(error_of_config("r = 0\n"), "a.ini: --r 0: must be at least 1");
  EXPECT_EQ(error_of_config("r\n").substr(0, 7), "a.ini: ");
  EXPECT_EQ(error_of_config("note = \"open\n").substr(0, 11), "a.ini: note");
  Options options;
  EXPECT_EQ(error_of([&] { read_config("no/such.ini", options.fields); }),
            "--config no/such.ini: the file cannot be read");
}

class RoundTrip : public testing::TestWithParam<std::string> {};

TEST_P(RoundTrip, KeepsEveryText) {
  Options options;
  options.fields.at("note").set(GetParam());
  options.fields.at("path").set("x" + GetParam() + "x");
  Options again;
  read_config_text(run_ini("finetune", options.fields), "run.ini", again.fields);
  EXPECT_EQ(again.note, options.note);
  EXPECT_EQ(again.path, options.path);
}

INSTANTIATE_TEST_SUITE_P(
    NastyTexts, RoundTrip,
    testing::Values("plain", "", " ", "  both ends  ", "\ttab\t", "a # b", "#", ";", "; a",
                    "= a = b", "\"", "\"quoted\"", "a \"b\" c", "'single'", "back\\slash", "\\",
                    "\\u0023", "\"\\\"", "line\nbreak", "\n", "\r\n", "[section]", "[",
                    "über Größe – 模型 🦙", std::string("null\0byte", 9), "\x01\x1f\x7f",
                    "--r", "true", "{\"a\": [1, 2]}", ".*\\.(query|value)$", "a,b, c"));

TEST(RunIni, ReproducesEveryKindOfValue) {
  Options options;
  read_arguments({"--bf16", "--max_steps", "120", "--learning_rate", "0.1", "--disable_tqdm",
                  "false", "--target_modules", "query, a#b"},
                 options.fields);
  const std::string ini = run_ini("finetune", options.fields);
  Options again;
  read_config_text(ini, "run.ini", again.fields);
  for (const Field& field : options.fields.all()) {
    EXPECT_EQ(again.fields.find(field.name())->text(), field.text()) << field.name();
  }
  EXPECT_EQ(run_ini("finetune", again.fields), ini);
}

TEST(RunIni, ReadsWell) {
  Options options;
  EXPECT_EQ(run_ini("finetune", options.fields),
            "# rankwise finetune --config <this file>\n"
            "\n# numbers\nbf16 = false\nmax_steps = -1\nr = 8\nlearning_rate = 5e-05\n"
            "\n# texts\nnote = nothing\n");
}

}  // namespace
}  // namespace rankwise
