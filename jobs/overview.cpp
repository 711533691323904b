// Footprints are computed where exact and estimated where they depend on rows (activations).
#include "jobs/overview.h"

#include <map>

#include "distributed/gradients/order_free_sum.h"

namespace rankwise {
namespace {

// Floats kept for the backward pass a token and layer, in hidden sizes: inputs of the linears,
// queries, keys, values, attention output, two normalised states and the inner layer twice.
constexpr int64_t kHiddenStatesKept = 11;

void show_targets(Log& log, const std::vector<Method::Target>& targets) {
  std::map<std::string, int64_t> by_name;
  for (const Method::Target& target : targets)
    ++by_name[target.path.substr(target.path.rfind('.') + 1)];
  std::string text;
  for (const auto& [name, count] : by_name)
    text += fmt::format("{}{} × {}", text.empty() ? "" : ", ", name, count);
  log.info("targets: {} modules ({})", targets.size(), text);
}

}  // namespace

std::string readable_bytes(int64_t bytes) {
  if (bytes >= 1000000000) return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9);
  if (bytes >= 1000000) return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
  return fmt::format("{:.1f} kB", static_cast<double>(bytes) / 1e3);
}

Footprint footprint(const AdaptedModel& model, int64_t unit_tokens) {
  const Config& config = model.base().config;
  const int64_t numbers = model.counts().trainable;
  const int64_t hidden = config.integer("hidden_size", 0),
                inner = config.integer("intermediate_size", 4 * hidden);
  const int64_t layers = config.integer("num_hidden_layers", 0);
  Footprint result;
  result.base_bytes_per_node = model.base().shared_bytes;
  result.adapter_bytes_per_rank = numbers * (4 * 4 + 8);
  result.activation_bytes_per_rank =
      unit_tokens * layers * (kHiddenStatesKept * hidden + 2 * inner) * 4;
  result.reduction_bytes_per_update = OrderFreeSum(numbers, 1, 1).bytes();
  return result;
}

void introduce(Log& log, const AdaptedModel& model, int64_t unit_tokens) {
  show_targets(log, model.targets());
  log.info("{}", model.counts().text());
  const Footprint size = footprint(model, unit_tokens);
  log.info(
      "memory: base {} a node, adapter and optimizer {} a rank, activations about {} a rank; one "
      "reduction of {} an "
      "update",
      readable_bytes(size.base_bytes_per_node), readable_bytes(size.adapter_bytes_per_rank),
      readable_bytes(size.activation_bytes_per_rank),
      readable_bytes(size.reduction_bytes_per_update));
}

}  // namespace rankwise
