// --adapter_config and adapter_config.json's "config": names, changes, what is refused.
#include "peft/methods/bottleneck_settings.h"

#include <gtest/gtest.h>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

using Settings = BottleneckSettings;

std::string refusal(const std::string& text) {
  try {
    Settings::parse(text);
  } catch (const Error& error) {
    EXPECT_EQ(ErrorKind::kUsage, error.kind());
    return std::string(error.what()) + " | " + error.hint();
  }
  return "accepted";
}

BlockOutput block(BlockKind kind, int64_t layer, int64_t size) {
  BlockOutput block;
  block.kind = kind;
  block.layer = layer;
  block.size = size;
  return block;
}

TEST(BottleneckSettings, NamesAreThoseOfTheLibraryAndOfThePapers) {
  EXPECT_EQ(Settings::parse("pfeiffer").json(), Settings::parse("seq_bn").json());
  EXPECT_EQ(Settings::parse("houlsby").json(), Settings::parse("double_seq_bn").json());
  EXPECT_EQ(Settings::parse("parallel").json(), Settings::parse("par_bn").json());
  EXPECT_EQ(33u, Settings::parse("pfeiffer").json().size());
  EXPECT_NE(std::string::npos, refusal("pfeifer").find("did you mean pfeiffer?"));
}

TEST(BottleneckSettings, ChangesStandInBrackets) {
  const Settings changed = Settings::parse(
      "pfeiffer[reduction_factor=8, non_linearity='GELU', ln_after=True, leave_out=[0, 2]]");
  EXPECT_EQ("gelu", changed.non_linearity);
  EXPECT_TRUE(changed.ln_after);
  EXPECT_TRUE(changed.original_ln_before);
  EXPECT_EQ(96, changed.bottleneck(block(BlockKind::kFeedForward, 1, 768)));
  EXPECT_FALSE(changed.acts_at(block(BlockKind::kFeedForward, 2, 768)));
  EXPECT_TRUE(changed.acts_at(block(BlockKind::kFeedForward, 1, 768)));
  EXPECT_FALSE(changed.acts_at(block(BlockKind::kAttention, 1, 768)));
  EXPECT_NE(std::string::npos,
            refusal("pfeiffer[reduction_facto=8]").find("did you mean reduction_factor?"));
  EXPECT_NE(std::string::npos, refusal("pfeiffer[reduction_factor=8").find("no ']'"));
  EXPECT_NE(std::string::npos, refusal("pfeiffer[gelu]").find("'gelu' has no '='"));
}

TEST(BottleneckSettings, AFactorCanBeSaidForEachLayer) {
  const Settings settings =
      Settings::parse(R"({"mh_adapter": true, "reduction_factor": {"1": 2, "default": 16}})");
  EXPECT_EQ(32, settings.bottleneck(block(BlockKind::kAttention, 1, 64)));
  EXPECT_EQ(4, settings.bottleneck(block(BlockKind::kAttention, 0, 64)));
  EXPECT_EQ(1, settings.bottleneck(block(BlockKind::kAttention, 0, 8)));  // at least 1
  const Settings without = Settings::parse(R"({"reduction_factor": {"1": 2}})");
  EXPECT_THROW(without.bottleneck(block(BlockKind::kFeedForward, 0, 64)), Error);
}

TEST(BottleneckSettings, WhatIsNotSupportedOrMakesNoSenseIsRefused) {
  for (const char* text :
       {"pfeiffer[reduction_factor=0]", "pfeiffer[dropout=1]", "pfeiffer[scaling=big]",
        "pfeiffer[output_adapter=false]", "pfeiffer[inv_adapter=nice]", "pfeiffer[phm_layer=true]",
        "adapter_plus", "pfeiffer[init_weights=zero]", "pfeiffer[residual_before_ln=7]",
        "pfeiffer[mh_adapter=3]"}) {
    EXPECT_NE("accepted", refusal(text)) << text;
  }
  EXPECT_EQ("accepted", refusal("adapter_plus[stochastic_depth=0.0]"));
}

}  // namespace
}  // namespace rankwise
