// Loss and metrics of a model over a dataset: Σ loss / Σ targets, whatever the units, ranks or
// batch size.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "data/loader.h"
#include "data/tasks/task.h"
#include "jobs/job.h"
#include "jobs/row_models.h"

namespace rankwise {

struct Evaluation {
  std::map<std::string, double>
      values;            // eval_loss, eval_accuracy, eval_samples, eval_tokens, eval_runtime …
  bool stopped = false;  // a stop was asked for: values are incomplete
};

// With room for the virtual tokens of a prompt.
Packing packing_for(const AdaptedModel& model, const Task& task);

// Collective. predictions: where wanted, becomes on every rank the lines of a JSONL file: what the
// task says of each row, in the order of the input (of texts joined to blocks: of each block).
// Without labels in the store there are no loss and no metrics among the values.
Evaluation evaluate(JobContext& context, const RowModels& models, const TokenStore& store,
                    const Task& task, int64_t unit_rows, std::string* predictions = nullptr);

// The names that evaluation of labelled rows gives to its values.
std::vector<std::string> value_names(const Metrics& metrics);

}  // namespace rankwise
