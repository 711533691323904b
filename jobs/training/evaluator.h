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

// Collective. predictions: where wanted, filled on every rank with the class of each row, in the
// order of the store.
Evaluation evaluate(JobContext& context, const AdaptedModel& model, const TokenStore& store,
                    const Task& task, int64_t unit_rows,
                    std::vector<int64_t>* predictions = nullptr);

}  // namespace rankwise
