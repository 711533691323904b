// Columns are what any training has; rows are trainings.
#include "jobs/sweep/results.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "jobs/training/report.h"

namespace rankwise {
namespace {

std::string number_text(const Json& value) {
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  return value.is_null() ? "" : value.dump();
}

bool shown(const std::string& metric) {
  if (metric == "step" || metric == "train_loss" || metric == "train_runtime") return true;
  return (metric.starts_with("eval_") || metric.starts_with("test_")) && is_metric(metric);
}

// The first is the head.
TableRows rows_of(const std::vector<Trial>& trials, const std::vector<TrialResult>& results) {
  std::set<std::string> options, metrics;
  for (const Trial& trial : trials) {
    for (const auto& [option, value] : trial.settings) options.insert(option);
  }
  for (const TrialResult& result : results) {
    for (const auto& [metric, value] : result.metrics.items()) {
      if (shown(metric)) metrics.insert(metric);
    }
  }
  std::vector<std::string> head = {"training"};
  head.insert(head.end(), options.begin(), options.end());
  head.emplace_back("status");
  head.insert(head.end(), metrics.begin(), metrics.end());
  TableRows rows = {head};
  for (size_t i = 0; i < trials.size(); ++i) {
    std::vector<std::string> row = {trials[i].name.substr(0, trials[i].name.find('-'))};
    for (const std::string& option : options) {
      const auto value = trials[i].settings.find(option);
      row.push_back(value == trials[i].settings.end() ? "" : value->second);
    }
    row.push_back(results[i].status);
    for (const std::string& metric : metrics)
      row.push_back(number_text(results[i].metrics.value(metric, Json())));
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

void read_metrics(const std::filesystem::path& folder, TrialResult& result) {
  result.log_history = read_metrics_file(folder / "metrics.jsonl");
  for (const Json& line : result.log_history) {
    for (const auto& [name, value] : line.items()) result.metrics[name] = value;
  }
}

std::vector<size_t> best_first(const std::vector<TrialResult>& results, const std::string& metric,
                               bool greater_is_better) {
  const auto lowest = [&](const std::string& name, double sign) {
    std::vector<double> values(results.size(), INFINITY);
    for (size_t i = 0; i < results.size(); ++i) {
      for (const Json& line : results[i].log_history) {
        if (const auto found = line.find(name); found != line.end() && found->is_number())
          values[i] = std::min(values[i], sign * found->get<double>());
      }
    }
    return values;
  };
  std::vector<double> values = lowest(metric, greater_is_better ? -1 : 1);
  if (std::all_of(values.begin(), values.end(), [](double value) { return value == INFINITY; }))
    values = lowest("train_loss", 1);
  std::vector<size_t> order(results.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] < values[b]; });
  return order;
}

std::string results_table(const std::vector<Trial>& trials,
                          const std::vector<TrialResult>& results) {
  return text_table(rows_of(trials, results));
}

Json results_json(const std::vector<Trial>& trials, const std::vector<TrialResult>& results) {
  Json list = Json::array();
  for (size_t i = 0; i < trials.size(); ++i) {
    list.push_back({{"name", trials[i].name},
                    {"settings", trials[i].settings},
                    {"status", results[i].status},
                    {"metrics", results[i].metrics}});
    if (!results[i].error.empty()) list.back()["error"] = results[i].error;
  }
  return list;
}

std::string results_html(const std::string& title, const std::vector<Trial>& trials,
                         const std::vector<TrialResult>& results) {
  std::vector<NamedHistory> histories;
  for (size_t i = 0; i < trials.size(); ++i)
    histories.push_back({trials[i].name, results[i].log_history});
  return comparison_html(title, rows_of(trials, results), histories);
}

}  // namespace rankwise
