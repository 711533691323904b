// The settings of bottleneck adapters, as the library `adapters` has them (1.3.0: BnConfig).
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "peft/base/layers.h"
#include "peft/hub/json.h"

namespace rankwise {

class BottleneckSettings {
 public:
  // From a command line: a name ("pfeiffer"), a name with changes ("seq_bn[reduction_factor=8,
  // non_linearity=gelu]"), or a whole config as JSON. Errors: kUsage: an unknown name or field, a
  // value of the wrong kind, something that is not supported.
  static BottleneckSettings parse(const std::string& text);
  // The field `config` of an adapter_config.json. Errors: kModel, as above.
  static BottleneckSettings from_json(const Json& config);

  bool acts_at(const BlockOutput& block) const;
  int64_t bottleneck(const BlockOutput& block) const;  // the size of the adapter's inner layer
  const Json& json() const { return json_; }           // all 33 fields

  // Which sum goes through the bottleneck, and what its outcome is added to.
  bool parallel = false;
  bool original_ln_before = false, original_ln_after = true;
  enum class Residual { kBlockOutcome, kSum, kNormedSum } residual = Residual::kBlockOutcome;
  bool ln_before = false, ln_after = false, residual_before_ln_after = false;
  std::string non_linearity;
  enum class Scaling { kFixed, kLearned, kChannel } scaling_kind = Scaling::kFixed;
  double scaling = 1;
  bool gating = false;
  double dropout = 0;
  std::string init_weights;
  bool same_init_everywhere = false;  // init_weights_seed
  uint64_t init_seed = 0;

 private:
  BottleneckSettings(Json json, ErrorKind kind);
  void check_supported(ErrorKind kind) const;
  Json json_;
  std::set<BlockKind> kinds_;
  std::set<int64_t> left_out_;
};

}  // namespace rankwise
