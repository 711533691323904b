// Loss and metrics of a model over a dataset: Σ loss / Σ targets, whatever the units, ranks or
// batch size.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "data/loader.h"
#include "data/tasks/task.h"
#include "jobs/job.h"
#include "peft/model/adapted_model.h"

namespace rankwise {

struct Evaluation {
  std::map<std::string, double>
      values;            // eval_loss, eval_accuracy, eval_samples, eval_tokens, eval_runtime …
  bool stopped = false;  // a stop was asked for: values are incomplete
};

// Collective. predictions: where wanted, becomes on every rank [rows] in the order of the store:
// the class of each row (int64), of a regression its number (float). Without labels in the store
// there are no loss and no metrics among the values.
Evaluation evaluate(JobContext& context, const AdaptedModel& model, const TokenStore& store,
                    const Task& task, int64_t unit_rows, at::Tensor* predictions = nullptr);

// The names that evaluation of labelled rows gives to its values.
std::vector<std::string> value_names(const Metrics& metrics);

}  // namespace rankwise
