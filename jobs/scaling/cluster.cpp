// Figures come from a fit, and those that are given go before it.
#include "jobs/scaling/cluster.h"

#include <algorithm>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

constexpr int64_t kMostNodes = 10000;

void check(const ClusterOptions& options) {
  if (!options.fit.empty()) return;
  if (!options.tokens_per_second)
    throw usage_error("--nodes needs --fit (a scaling.json) or --tokens_per_second");
  if (!options.link.link() && *options.nodes > 1)
    throw usage_error(
        "--nodes {} needs --fit (a scaling.json) or --link_latency and "
        "--link_bandwidth",
        *options.nodes);
}

// What one node, or one rank a node, cannot tell.
void check_reach(const StepModel& model, const ClusterOptions& options, int64_t ranks_per_node) {
  if (*options.nodes > 1 && model.fitted_on.nodes == 1 && !options.link.link())
    throw usage_error(
        "{} was measured on one node: --nodes {} needs --link_latency and "
        "--link_bandwidth",
        options.fit, *options.nodes);
  if (ranks_per_node > 1 && model.fitted_on.ranks_per_node() == 1)
    throw usage_error(
        "{} was measured with one rank a node: it does not tell what "
        "--ranks_per_node {} costs",
        options.fit, ranks_per_node);
}

StepModel model_of(const ClusterOptions& options, const Footprint& size, int64_t unit_rows,
                   int64_t unit_tokens) {
  StepModel model;
  if (!options.fit.empty()) {
    model = read_step_model(options.fit);
  } else {
    model.unit_rows = unit_rows;
    model.unit_tokens = {unit_tokens};
    model.base_bytes_per_node = size.base_bytes_per_node;
    model.bytes_per_rank = size.adapter_bytes_per_rank + size.activation_bytes_per_rank;
  }
  model.reduction_bytes = size.reduction_bytes_per_update;
  if (options.tokens_per_second) model.token_seconds = 1 / *options.tokens_per_second;
  model.reduction.between_nodes = options.link.link().value_or(model.reduction.between_nodes);
  return model;
}

}  // namespace

void ClusterOptions::declare(Fields& fields) {
  fields.group("cluster");
  fields.add("nodes", nodes, "predict trainings on 1, 2, 4 … up to so many nodes")
      .at_least(1)
      .at_most(kMostNodes);
  fields.add("ranks_per_node", ranks_per_node, "ranks on each")
      .at_least(1)
      .at_most(64)
      .default_text("the fit's, or 1");
  fields.add("fit", fit, "a scaling.json: what updates and links cost");
  link.declare(fields, "the fit's");
  fields.add("tokens_per_second", tokens_per_second, "that one rank trains on, alone on its node")
      .more_than(0)
      .default_text("the fit's");
  fields.add("global_batch_size", global_batch_size, "rows of an update on any number of nodes")
      .at_least(1)
      .default_text("a unit a rank");
}

std::vector<ClusterPrediction> predict_cluster(const ClusterOptions& options, const Footprint& size,
                                               int64_t unit_rows, int64_t unit_tokens) {
  check(options);
  const StepModel model = model_of(options, size, unit_rows, unit_tokens);
  const int64_t ranks_per_node = options.ranks_per_node.value_or(model.fitted_on.ranks_per_node());
  if (!options.fit.empty()) check_reach(model, options, ranks_per_node);
  if (options.global_batch_size && *options.global_batch_size % model.unit_rows != 0)
    throw usage_error("--global_batch_size {} is no multiple of the {} rows of a unit",
                      *options.global_batch_size, model.unit_rows);
  std::vector<ClusterPrediction> list;
  for (int64_t nodes = 1;; nodes = std::min(2 * nodes, *options.nodes)) {
    ClusterPrediction& one = list.emplace_back();
    one.layout = {nodes * ranks_per_node, nodes};
    one.global_batch_size = options.global_batch_size.value_or(model.unit_rows * one.layout.ranks);
    one.update = model.predict(one.layout, one.global_batch_size / model.unit_rows);
    one.efficiency =
        one.tokens_per_second() / static_cast<double>(nodes) / list.front().tokens_per_second();
    if (nodes == *options.nodes) return list;
  }
}

std::string cluster_table(const std::vector<ClusterPrediction>& predictions) {
  TableRows rows = {{"nodes", "ranks", "rows", "s/update", "tokens/s", "efficiency",
                     "communication", "memory a node"}};
  for (const ClusterPrediction& one : predictions)
    rows.push_back(
        {std::to_string(one.layout.nodes), std::to_string(one.layout.ranks),
         std::to_string(one.global_batch_size), fmt::format("{:.4g}", one.update.seconds),
         fmt::format("{:.1f}", one.tokens_per_second()), fmt::format("{:.3f}", one.efficiency),
         fmt::format("{:.1f} %", 100 * one.update.reduction_seconds / one.update.seconds),
         readable_bytes(one.update.bytes_per_node)});
  return text_table(rows);
}

Json cluster_json(const std::vector<ClusterPrediction>& predictions) {
  Json list = Json::array();
  for (const ClusterPrediction& one : predictions)
    list.push_back({{"nodes", one.layout.nodes},
                    {"ranks", one.layout.ranks},
                    {"global_batch_size", one.global_batch_size},
                    {"update_seconds", one.update.seconds},
                    {"reduction_seconds", one.update.reduction_seconds},
                    {"tokens_per_second", one.tokens_per_second()},
                    {"efficiency", one.efficiency},
                    {"communication_share", one.update.reduction_seconds / one.update.seconds},
                    {"bytes_per_node", one.update.bytes_per_node}});
  return list;
}

}  // namespace rankwise
