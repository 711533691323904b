// What a scaling experiment leaves: a table, scaling.json and report.html.
#pragma once

#include <string>
#include <vector>

#include "jobs/scaling/step_model.h"
#include "jobs/training/report.h"

namespace rankwise {

// One training, on the first ranks of the job.
struct ScalingRun {
  std::string mode;  // strong: the same update on more ranks; weak: an update that grows with them
  NodeLayout layout;
  int64_t global_batch_size = 0, updates = 0;  // updates: those that were timed
  double update_seconds = 0;                   // mean
  double tokens_per_second = 0;
  double communication_share = 0;  // of rank 0, waiting for others included
  int64_t bytes_per_node = 0;      // of the node that took most
  std::string adapter_hash;
  double efficiency = 0;         // tokens/s a rank against the mode's first run
  double predicted_seconds = 0;  // an update, by the fitted model

  std::string name() const { return fmt::format("{}-{}", mode, layout.ranks); }
};

std::string scaling_table(const std::vector<ScalingRun>& runs);
Json scaling_json(const std::vector<ScalingRun>& runs,
                  const std::vector<MeasuredReduction>& reductions, const StepModel& model);
std::string scaling_html(const std::string& title, const std::vector<ScalingRun>& runs);

}  // namespace rankwise
