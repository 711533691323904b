// Columns are what any training has; rows are trainings.
#include "jobs/sweep/results.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>

#include "jobs/training/report.h"

namespace rankwise {
namespace {

using TableRow = std::vector<std::string>;

std::string number_text(const Json& value) {
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  return value.is_null() ? "" : value.dump();
}

bool shown(const std::string& metric) {
  if (metric == "step" || metric == "train_loss" || metric == "train_runtime") return true;
  return (metric.starts_with("eval_") || metric.starts_with("test_")) && is_metric(metric);
}

// The first is the head.
std::vector<TableRow> rows_of(const std::vector<Trial>& trials,
                              const std::vector<TrialResult>& results) {
  std::set<std::string> options, metrics;
  for (const Trial& trial : trials) {
    for (const auto& [option, value] : trial.settings) options.insert(option);
  }
  for (const TrialResult& result : results) {
    for (const auto& [metric, value] : result.metrics.items()) {
      if (shown(metric)) metrics.insert(metric);
    }
  }
  TableRow head = {"training"};
  head.insert(head.end(), options.begin(), options.end());
  head.emplace_back("status");
  head.insert(head.end(), metrics.begin(), metrics.end());
  std::vector<TableRow> rows = {head};
  for (size_t i = 0; i < trials.size(); ++i) {
    TableRow row = {trials[i].name.substr(0, trials[i].name.find('-'))};
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

std::vector<Json> lines_of(const std::filesystem::path& file) {
  std::vector<Json> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    lines.push_back(parse_json(line, file.string(), ErrorKind::kModel));
  return lines;
}

}  // namespace

void read_metrics(const std::filesystem::path& folder, TrialResult& result) {
  result.log_history = lines_of(folder / "metrics.jsonl");
  for (const Json& line : result.log_history) {
    for (const auto& [name, value] : line.items()) result.metrics[name] = value;
  }
}

std::string results_table(const std::vector<Trial>& trials,
                          const std::vector<TrialResult>& results) {
  const std::vector<TableRow> rows = rows_of(trials, results);
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const TableRow& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const TableRow& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += fmt::format("{}{:<{}}", i == 0 ? "" : "  ", row[i], widths[i]);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
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
