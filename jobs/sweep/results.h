// What a sweep leaves: a table of its trainings, sweep.json and report.html.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "jobs/sweep/trials.h"
#include "peft/hub/json.h"

namespace rankwise {

struct TrialResult {
  std::string status = "not begun";  // done, stopped, failed
  std::string error;                 // of one that failed
  int exit_code = 0;
  Json metrics = Json::object();  // the last value of each: step, train_loss, eval_loss …
  std::vector<Json> log_history;  // the lines of metrics.jsonl
};

// From the files in a training's folder. Errors: kModel: damaged ones.
void read_metrics(const std::filesystem::path& folder, TrialResult& result);

// The order of the trainings, best first: by the best value of `metric` that any evaluation gave;
// where none did, by the loss in training. What has neither comes last, as in the file.
std::vector<size_t> best_first(const std::vector<TrialResult>& results, const std::string& metric,
                               bool greater_is_better);

std::string results_table(const std::vector<Trial>& trials,
                          const std::vector<TrialResult>& results);
Json results_json(const std::vector<Trial>& trials, const std::vector<TrialResult>& results);
std::string results_html(const std::string& title, const std::vector<Trial>& trials,
                         const std::vector<TrialResult>& results);

}  // namespace rankwise
