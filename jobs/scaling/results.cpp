// Rows are runs; charts have a line for each mode, and one for what the model says of it.
#include "jobs/scaling/results.h"

#include <map>

#include "jobs/overview.h"
#include "jobs/training/chart.h"

namespace rankwise {
namespace {

TableRows rows_of(const std::vector<ScalingRun>& runs) {
  TableRows rows = {{"scaling", "ranks", "nodes", "rows", "s/update", "predicted", "tokens/s",
                     "efficiency", "communication", "memory a node", "adapter"}};
  for (const ScalingRun& run : runs) {
    rows.push_back(
        {run.mode, std::to_string(run.layout.ranks), std::to_string(run.layout.nodes),
         std::to_string(run.global_batch_size), fmt::format("{:.4g}", run.update_seconds),
         fmt::format("{:.4g}", run.predicted_seconds), fmt::format("{:.1f}", run.tokens_per_second),
         fmt::format("{:.3f}", run.efficiency),
         fmt::format("{:.1f} %", 100 * run.communication_share), readable_bytes(run.bytes_per_node),
         run.adapter_hash});
  }
  return rows;
}

std::string chart(const std::string& title, const std::vector<ScalingRun>& runs,
                  double (*measured)(const ScalingRun&),
                  double (*predicted)(const ScalingRun&) = nullptr) {
  std::map<std::string, Series> lines;
  const auto add = [&](const std::string& name, const ScalingRun& run, double value) {
    lines[name].name = name;
    lines[name].points.push_back({static_cast<double>(run.layout.ranks), value});
  };
  for (const ScalingRun& run : runs) {
    add(run.mode, run, measured(run));
    if (predicted) add(run.mode + ", predicted", run, predicted(run));
  }
  std::vector<Series> series;
  for (auto& [name, line] : lines) series.push_back(std::move(line));
  return line_chart(title, "ranks", series);
}

}  // namespace

std::string scaling_table(const std::vector<ScalingRun>& runs) { return text_table(rows_of(runs)); }

Json scaling_json(const std::vector<ScalingRun>& runs,
                  const std::vector<MeasuredReduction>& reductions, const StepModel& model) {
  Json json = {{"strong", Json::array()}, {"weak", Json::array()}, {"reductions", Json::array()}};
  for (const ScalingRun& run : runs) {
    json[run.mode].push_back({{"ranks", run.layout.ranks},
                              {"nodes", run.layout.nodes},
                              {"global_batch_size", run.global_batch_size},
                              {"updates", run.updates},
                              {"update_seconds", run.update_seconds},
                              {"predicted_update_seconds", run.predicted_seconds},
                              {"tokens_per_second", run.tokens_per_second},
                              {"efficiency", run.efficiency},
                              {"communication_share", run.communication_share},
                              {"bytes_per_node", run.bytes_per_node},
                              {"adapter_hash", run.adapter_hash}});
  }
  for (const MeasuredReduction& reduction : reductions) {
    json["reductions"].push_back(
        {{"ranks", reduction.layout.ranks},
         {"nodes", reduction.layout.nodes},
         {"bytes", reduction.bytes},
         {"seconds", reduction.seconds},
         {"predicted_seconds", model.reduction.seconds(reduction.layout, reduction.bytes)}});
  }
  json["model"] = to_json(model);
  return json;
}

std::string scaling_html(const std::string& title, const std::vector<ScalingRun>& runs) {
  return table_html(
      title, rows_of(runs),
      {chart(
           "seconds an update", runs, [](const ScalingRun& run) { return run.update_seconds; },
           [](const ScalingRun& run) { return run.predicted_seconds; }),
       chart("tokens/s", runs, [](const ScalingRun& run) { return run.tokens_per_second; }),
       chart("efficiency", runs, [](const ScalingRun& run) { return run.efficiency; }),
       chart("share of time in communication", runs,
             [](const ScalingRun& run) { return run.communication_share; })});
}

}  // namespace rankwise
