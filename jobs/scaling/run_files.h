// What the folder of a finished run tells.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/plan.h"
#include "jobs/scaling/step_model.h"

namespace rankwise {

struct TimedUpdates {
  std::vector<MeasuredUpdate> updates;  // with the reduction
  double seconds = 0, communication_seconds = 0;
  int64_t tokens = 0;           // of all ranks
  int64_t reduction_bytes = 0;  // of one update
};
// From metrics.jsonl, the first `warmup_updates` left out. Errors: as read_metrics_file.
TimedUpdates timed_updates(const std::filesystem::path& folder, const Plan& plan,
                           const NodeLayout& layout, int64_t warmup_updates);

// Of the bytes of all its .safetensors files. Errors: kMachine.
std::string hash_of_adapter(const std::filesystem::path& folder);

}  // namespace rankwise
