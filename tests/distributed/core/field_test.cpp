// Options as texts: what is accepted, what is refused and in which words, and that every value
// survives a round trip.
#include "distributed/core/field.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

using Texts = std::vector<std::string>;

bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

struct Options {
  int64_t r = 8;
  double learning_rate = 5e-5;
  bool bf16 = false;
  std::string lr_scheduler_type = "linear";
  std::vector<std::string> target_modules = {"query", "value"};
  std::optional<bool> greater_is_better;
  std::optional<int64_t> eval_steps;
  std::optional<double> time_limit;
  std::optional<std::string> logging_dir;
  Fields fields;

  Options() {
    fields.group("method");
    fields.add("r", r, "rank").at_least(1).changes_result();
    fields.add("target_modules", target_modules, "where");
    fields.group("training");
    fields.add("learning_rate", learning_rate, "rate").more_than(0).less_than(1);
    fields.add("bf16", bf16, "products in bf16");
    fields.add("lr_scheduler_type", lr_scheduler_type, "schedule")
        .one_of({"linear", "cosine", "constant"});
    fields.add("greater_is_better", greater_is_better, "metric's direction");
    fields.add("eval_steps", eval_steps, "updates").at_least(1).at_most(100);
    fields.add("time_limit", time_limit, "minutes").default_text("the scheduler's");
    fields.add("logging_dir", logging_dir, "folder");
  }

  std::string complaint(const std::string& name, const std::string& text) {
    try {
      fields.at(name).set(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      return error.what();
    }
    return "accepted";
  }
};

TEST(Field, NumbersParseWholeTexts) {
  Options options;
  options.fields.at("r").set("16");
  EXPECT_EQ(options.r, 16);
  options.fields.at("learning_rate").set("1e-3");
  EXPECT_EQ(options.learning_rate, 1e-3);
  for (const char* text : {"1e3", "16.0", "16x", " 16", "", "0x10", "sixteen"}) {
    EXPECT_TRUE(has(options.complaint("r", text), "must be a whole number")) << text;
  }
  EXPECT_TRUE(has(options.complaint("r", "9223372036854775808"), "out of range"));
  for (const char* text : {"0.1.2", "1e-3,", "", "nan", "inf"}) {
    EXPECT_TRUE(has(options.complaint("learning_rate", text), "number")) << text;
  }
  EXPECT_EQ(options.r, 16) << "a refused text leaves the value alone";
  EXPECT_EQ(options.learning_rate, 1e-3);
}

TEST(Field, RangesNameTheOptionTheTextAndTheBound) {
  Options options;
  EXPECT_EQ(options.complaint("r", "0"), "--r 0: must be at least 1");
  EXPECT_EQ(options.complaint("eval_steps", "101"), "--eval_steps 101: must be at most 100");
  EXPECT_EQ(options.complaint("learning_rate", "0"), "--learning_rate 0: must be more than 0");
  EXPECT_EQ(options.complaint("learning_rate", "1.0"), "--learning_rate 1.0: must be less than 1");
  EXPECT_EQ(options.complaint("r", "1"), "accepted");
  EXPECT_EQ(options.complaint("eval_steps", "100"), "accepted");
  EXPECT_EQ(options.complaint("eval_steps", ""), "accepted") << "no value is in every range";
  EXPECT_EQ(
      options.complaint("lr_scheduler_type", "cosin"),
      "--lr_scheduler_type cosin: must be one of linear, cosine, constant (did you mean cosine?)");
  EXPECT_EQ(options.complaint("r", ""), "--r '': must be a whole number");
}

TEST(Field, BooleansAndLists) {
  Options options;
  for (const char* text : {"true", "True", "1"}) {
    options.bf16 = false;
    options.fields.at("bf16").set(text);
    EXPECT_TRUE(options.bf16) << text;
  }
  for (const char* text : {"false", "False", "0"}) {
    options.bf16 = true;
    options.fields.at("bf16").set(text);
    EXPECT_FALSE(options.bf16) << text;
  }
  EXPECT_EQ(options.complaint("bf16", "yes"), "--bf16 yes: must be true or false");
  options.fields.at("target_modules").set("key, output.dense");
  EXPECT_EQ(options.target_modules, (Texts{"key", "output.dense"}));
  EXPECT_TRUE(has(options.complaint("target_modules", "key,,value"), "empty entry"));
  options.fields.at("target_modules").set("");
  EXPECT_TRUE(options.target_modules.empty());
  EXPECT_TRUE(options.fields.at("bf16").is_bool());
  EXPECT_TRUE(options.fields.at("greater_is_better").is_bool());
  EXPECT_FALSE(options.fields.at("r").is_bool());
}

TEST(Field, EveryValueSurvivesARoundTrip) {
  Options options;
  std::mt19937_64 random(42);
  for (int i = 0; i < 2000; ++i) {
    const double value = std::ldexp(static_cast<double>(random() >> 11), -53 - i % 900);
    if (value <= 0) continue;
    options.learning_rate = value;
    const std::string text = options.fields.at("learning_rate").text();
    options.learning_rate = 0.5;
    options.fields.at("learning_rate").set(text);
    ASSERT_EQ(options.learning_rate, value) << text;
  }
  for (const auto& [name, text] :
       std::vector<std::pair<std::string, std::string>>{{"r", "9223372036854775807"},
                                                        {"learning_rate", "5e-05"},
                                                        {"learning_rate", "0.001"},
                                                        {"bf16", "true"},
                                                        {"greater_is_better", "false"},
                                                        {"greater_is_better", ""},
                                                        {"eval_steps", "7"},
                                                        {"eval_steps", ""},
                                                        {"time_limit", "0.5"},
                                                        {"logging_dir", "a # b"},
                                                        {"logging_dir", ""},
                                                        {"target_modules", "a,b"},
                                                        {"target_modules", ""}}) {
    options.fields.at(name).set(text);
    EXPECT_EQ(options.fields.at(name).text(), text) << name;
  }
}

TEST(Fields, KeepWhatWasDeclared) {
  Options options;
  const Field& r = options.fields.at("r");
  EXPECT_EQ(r.default_text(), "8");
  EXPECT_EQ(r.group(), "method");
  EXPECT_EQ(options.fields.at("bf16").group(), "training");
  EXPECT_TRUE(r.must_match_on_resume());
  EXPECT_FALSE(options.fields.at("bf16").must_match_on_resume());
  EXPECT_FALSE(options.fields.given("r"));
  options.fields.at("r").set("8");
  EXPECT_TRUE(options.fields.given("r")) << "given, though equal to the default";
  EXPECT_EQ(options.fields.at("time_limit").default_text(), "the scheduler's");
  EXPECT_EQ(options.fields.at("target_modules").default_text(), "query,value");
  int64_t again = 0;
  EXPECT_THROW(options.fields.add("r", again, "twice"), Error);
}

TEST(Fields, UnknownNamesGetTheNearest) {
  Options options;
  EXPECT_EQ(options.complaint("lerning_rate", "1"),
            "unknown option --lerning_rate (did you mean --learning_rate?)");
  EXPECT_EQ(options.complaint("vocabulary", "1"), "unknown option --vocabulary");
  EXPECT_EQ(options.fields.find("R"), nullptr);
}

TEST(NearestName, CountsSwapsAndKnowsWhenNothingIsNear) {
  EXPECT_EQ(nearest_name("bf61", {"fp16", "bf16"}), "bf16");  // one swap beats two replacements
  EXPECT_EQ(nearest_name("learning-rate", {"learning_rate", "learning_rates"}), "learning_rate");
  EXPECT_EQ(nearest_name("sede", {"seed"}), "seed");
  EXPECT_EQ(nearest_name("x", {"r"}), "");
  EXPECT_EQ(nearest_name("epochs", {"seed", "save_steps"}), "");
  EXPECT_EQ(nearest_name("anything", {}), "");
  EXPECT_EQ(nearest_name("querry", {"query", "queries"}), "query");
}

}  // namespace
}  // namespace rankwise
