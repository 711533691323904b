// Schedules against transformers' get_scheduler and torch's ReduceLROnPlateau
// (golden/training/make_schedules.py).
#include "jobs/training/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

namespace rankwise {
namespace {

const Json& golden() {
  static const Json cases = read_json(TESTS_DIR "/golden/training/schedules.json");
  return cases;
}

void expect_same(double got, double want) {
  EXPECT_NEAR(got, want, 1e-15 * std::abs(want) + 1e-18);
}

void expect_error(const std::string& type, const Json& kwargs, const std::string& words,
                  double rate = 1e-3) {
  try {
    make_schedule(type, rate, 3, 20, kwargs);
    ADD_FAILURE() << "no error: " << words;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos)
        << error.what() << "\nlacks: " << words;
  }
}

TEST(Schedule, FactorsAreThoseOfTransformers) {
  std::set<std::string> seen = {"reduce_lr_on_plateau"};
  for (const Json& wanted : golden().at("pure")) {
    SCOPED_TRACE(wanted.at("type").dump() + wanted.at("kwargs").dump() + " W " +
                 wanted.at("warmup").dump() + " T " + wanted.at("total").dump());
    const auto schedule = make_schedule(wanted.at("type"), wanted.at("rate"), wanted.at("warmup"),
                                        wanted.at("total"), wanted.at("kwargs"));
    for (size_t i = 0; i < wanted.at("steps").size(); ++i) {
      SCOPED_TRACE("step " + wanted.at("steps")[i].dump());
      expect_same(schedule->factor(wanted.at("steps")[i]), wanted.at("factors")[i]);
    }
    EXPECT_FALSE(schedule->needs_evaluation());
    seen.insert(wanted.at("type"));
  }
  const std::vector<std::string> names = schedule_names();
  EXPECT_EQ(seen, std::set<std::string>(names.begin(), names.end()));
}

double metric(const Json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

TEST(Schedule, PlateauDecidesAsTorchAlsoAfterEveryRestore) {
  for (const Json& wanted : golden().at("plateau")) {
    SCOPED_TRACE(wanted.at("kwargs").dump());
    const double rate = wanted.at("rate");
    const auto make = [&] {
      return make_schedule("reduce_lr_on_plateau", rate, 5, 20, wanted.at("kwargs"));
    };
    auto whole = make(), resumed = make();
    EXPECT_TRUE(whole->needs_evaluation());
    EXPECT_EQ(whole->factor(0), 1);
    for (size_t i = 0; i < wanted.at("rates").size(); ++i) {
      SCOPED_TRACE("evaluation " + std::to_string(i));
      const double value = metric(golden().at("metrics")[i]);
      whole->evaluated(value);
      expect_same(whole->factor(static_cast<int64_t>(i)) * rate, wanted.at("rates")[i]);

      resumed->evaluated(value);
      auto next = make();
      next->restore(parse_json(resumed->state().dump(), "state", ErrorKind::kInternal));
      resumed = std::move(next);
      EXPECT_EQ(resumed->factor(0), whole->factor(0));
    }
  }
}

TEST(Schedule, ErrorsNameTheTypeAndTheKwarg) {
  expect_error("cosin", {}, "'cosin' (did you mean 'cosine'?)");
  expect_error("cosine", {{"num_cycle", 1}},
               "cosine has no kwarg 'num_cycle' (did you mean 'num_cycles'?)");
  expect_error("linear", {{"power", 1}}, "linear has no kwarg 'power' (it takes none)");
  expect_error("polynomial", {{"zzzzzzzzzz", 1}}, "(it takes lr_end, power)");
  expect_error("polynomial", {{"power", "2"}}, "'power' must be a number, got \"2\"");
  expect_error("polynomial", {{"lr_end", 1e-3}}, "'lr_end' (0.001) must be below");
  expect_error("cosine_with_min_lr", {}, "exactly one of 'min_lr' and 'min_lr_rate'");
  expect_error("cosine_with_min_lr", {{"min_lr", 0}, {"min_lr_rate", 0}}, "exactly one of");
  expect_error("cosine_warmup_with_min_lr", {{"min_lr", 0}}, "'min_lr' needs a learning_rate", 0);
  expect_error("warmup_stable_decay", {}, "needs 'num_decay_steps'");
  expect_error("warmup_stable_decay", {{"num_decay_steps", 2}, {"decay_type", "sqrt"}},
               "'decay_type' must be one of linear, cosine, 1-sqrt, got \"sqrt\"");
  expect_error("reduce_lr_on_plateau", {{"factor", 1.0}}, "'factor' must be below 1");
  expect_error("reduce_lr_on_plateau", {{"mode", "mni"}}, "'mode' must be one of min, max");
  expect_error("cosine", Json::array({1}), "expected a JSON object, got [1]");
  EXPECT_NO_THROW(make_schedule("cosine", 1e-3, 3, 20, {{"num_cycles", nullptr}}));
}

}  // namespace
}  // namespace rankwise
