// What an update costs on a cluster: a model of few numbers, fitted to measured updates by
// `scaling` and asked by `inspect --nodes`.
#pragma once

#include <filesystem>
#include <vector>

#include "distributed/comm/reduction_model.h"
#include "peft/hub/json.h"

namespace rankwise {

// One update as the slowest rank saw it.
struct MeasuredUpdate {
  NodeLayout layout;
  int64_t slowest_tokens = 0;  // of the rank that was dealt most
  double seconds = 0;          // without the reduction
};

struct PredictedUpdate {
  double seconds = 0, reduction_seconds = 0;
  int64_t tokens = 0, bytes_per_node = 0;
};

struct StepModel {
  double update_seconds = 0;           // whatever the tokens
  double token_seconds = 0;            // a token of the slowest rank
  double neighbour_token_seconds = 0;  // the same for each further rank on its node: shared caches
                                       // and memory
  ReductionModel reduction;
  int64_t reduction_bytes = 0;
  int64_t unit_rows = 1;
  std::vector<int64_t> unit_tokens;  // of units, ascending: the shape of their lengths
  int64_t base_bytes_per_node = 0, bytes_per_rank = 0;
  NodeLayout fitted_on;  // the largest

  // An update of `units` units, whose tokens are spread as unit_tokens and dealt as in training.
  PredictedUpdate predict(const NodeLayout& layout, int64_t units) const;
};

// Sets what updates cost: least squares of relative errors.
void fit_updates(StepModel& model, const std::vector<MeasuredUpdate>& measured);

Json to_json(const StepModel& model);
// "model" of a scaling.json. Errors: kInput: no such file, a missing or odd field.
StepModel read_step_model(const std::filesystem::path& file);

}  // namespace rankwise
