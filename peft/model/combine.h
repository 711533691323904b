// Several LoRA adapters combined into one, as peft's add_weighted_adapter does
// (peft/tuners/lora/model.py, peft/utils/merge_utils.py).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "distributed/core/field.h"
#include "peft/hub/adapter_folder.h"

namespace rankwise {

struct Combination {
  std::string type = "svd";
  std::vector<double> weights;      // one an adapter
  std::optional<int64_t> svd_rank;  // of the …svd forms; none: the largest of the adapters
  std::optional<double> svd_clamp;  // a quantile that bounds what the decomposition gives
  std::optional<double> density;    // the share of numbers that ties, dare and magnitude_prune keep
  std::string majority_sign_method = "total";
  int64_t seed = 42;  // of what dare leaves out

  static const std::vector<std::string>& types();
};

// The files of an adapter folder, name → bytes. Errors: kUsage: the combination cannot be made of
// these; kModel: an adapter that is no LoRA, or holds more than pairs that could be combined.
std::map<std::string, std::string> combined_adapter(const std::vector<AdapterFolder>& adapters,
                                                    const Combination& combination);

}  // namespace rankwise
