// `inspect --nodes`: what a training would do on clusters of 1, 2, 4 … nodes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jobs/options.h"
#include "jobs/overview.h"
#include "jobs/scaling/step_model.h"
#include "jobs/training/report.h"

namespace rankwise {

struct ClusterOptions {
  std::optional<int64_t> nodes, ranks_per_node, global_batch_size;
  std::string fit;  // a scaling.json
  LinkOptions link;
  std::optional<double> tokens_per_second;

  void declare(Fields& fields);
};

struct ClusterPrediction {
  NodeLayout layout;
  int64_t global_batch_size = 0;
  PredictedUpdate update;
  double efficiency = 0;  // tokens/s a node against one node's

  double tokens_per_second() const { return static_cast<double>(update.tokens) / update.seconds; }
};

// For 1, 2, 4 … and all nodes. size: of the adapter and model in question; units of unit_rows rows
// with unit_tokens tokens where no fit tells their lengths. Errors: kUsage: what is not known must
// be given; kInput: the fit's file.
std::vector<ClusterPrediction> predict_cluster(const ClusterOptions& options, const Footprint& size,
                                               int64_t unit_rows, int64_t unit_tokens);

std::string cluster_table(const std::vector<ClusterPrediction>& predictions);
Json cluster_json(const std::vector<ClusterPrediction>& predictions);

}  // namespace rankwise
