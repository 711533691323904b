// Which modules peft's patterns match: the rules of peft/tuners/tuners_utils.py, case by case.
#include "peft/methods/targets.h"

#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <deque>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

class Targets : public testing::Test {
 protected:
  Targets() {
    for (const char* path :
         {"bert.encoder.layer.0.attention.self.query",
          "bert.encoder.layer.0.attention.output.dense", "bert.encoder.layer.0.output.dense",
          "bert.encoder.layer.1.attention.self.query", "bert.encoder.layer.11.attention.self.query",
          "bert.pooler.dense", "classifier"}) {
      layers_.push_back(Linear{path, at::zeros({2, 2}), {}, nullptr});
      sites_.linears.push_back(&layers_.back());
    }
  }
  std::vector<std::string> matched(TargetOptions options) {
    options.modules_to_save = {"classifier", "score"};
    std::vector<std::string> paths;
    for (const Linear* linear : matching_linears(sites_, options)) paths.push_back(linear->path);
    return paths;
  }
  using Paths = std::vector<std::string>;
  std::deque<Linear> layers_;
  Sites sites_;
};

TEST_F(Targets, NamesMatchWholePartsAtTheEnd) {
  EXPECT_EQ(3u, matched({ModulePattern::parse("query")}).size());
  EXPECT_EQ(
      (Paths{"bert.encoder.layer.0.attention.output.dense", "bert.encoder.layer.0.output.dense"}),
      matched({ModulePattern::parse("output.dense")}));
  EXPECT_EQ((Paths{"bert.encoder.layer.1.attention.self.query"}),
            matched({ModulePattern::parse("1.attention.self.query")}));
}

TEST_F(Targets, AnExpressionMatchesTheWholeName) {
  EXPECT_EQ((Paths{"bert.encoder.layer.0.attention.self.query",
                   "bert.encoder.layer.1.attention.self.query"}),
            matched({ModulePattern::parse(R"(.*\.[01]\..*query)")}));
  EXPECT_THROW(matched({ModulePattern::parse("quer(y)")}), Error);
  EXPECT_THROW(ModulePattern::parse("quer(y"), Error);
}

TEST_F(Targets, AllLinearLeavesTheHeadOutAndKeepsThePooler) {
  const Paths all = matched({ModulePattern::parse("all-linear")});
  EXPECT_EQ(6u, all.size());
  EXPECT_EQ("bert.pooler.dense", all.back());
}

TEST_F(Targets, LayersAndExclusionsNarrow) {
  TargetOptions options{ModulePattern::parse("query,dense"),
                        ModulePattern::parse("pooler.dense"),
                        {0, 11},
                        {},
                        false};
  EXPECT_EQ(
      (Paths{"bert.encoder.layer.0.attention.self.query",
             "bert.encoder.layer.0.attention.output.dense", "bert.encoder.layer.0.output.dense",
             "bert.encoder.layer.11.attention.self.query"}),
      matched(options));
}

TEST_F(Targets, EveryNameMustMatchUnlessAllowed) {
  try {
    matched({ModulePattern::parse("query,densee")});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(ErrorKind::kUsage, error.kind());
    EXPECT_NE(std::string::npos, std::string(error.what()).find("densee"));
    EXPECT_EQ("did you mean 'dense'?", error.hint());
  }
  EXPECT_EQ(3u, matched({ModulePattern::parse("query,densee"), {}, {}, {}, true}).size());
  EXPECT_THROW(matched({ModulePattern::parse("densee"), {}, {}, {}, true}), Error);
}

TEST_F(Targets, ShortestNamesMatchTheChosenOnly) {
  const std::vector<Linear*> chosen = {sites_.linears[0], sites_.linears[3], sites_.linears[2]};
  TargetOptions again{ModulePattern(shortest_names(sites_, chosen))};
  EXPECT_EQ((Paths{layers_[0].path, layers_[2].path, layers_[3].path}), matched(again));
}

TEST(PatternValue, TheFirstMatchingKeyWins) {
  const Json pattern = {{"layer.1.*query", 4}, {"query", 16}};
  EXPECT_EQ(4, pattern_value(pattern, "bert.encoder.layer.1.attention.self.query", 8));
  EXPECT_EQ(16, pattern_value(pattern, "bert.encoder.layer.2.attention.self.query", 8));
  EXPECT_EQ(8, pattern_value(pattern, "bert.encoder.layer.2.attention.self.value", 8));
}

}  // namespace
}  // namespace rankwise
