// Footprints are computed where exact and estimated where they depend on rows (activations).
#include "jobs/overview.h"

#include <map>

#include "distributed/gradients/order_free_sum.h"

namespace rankwise {
namespace {

// Numbers kept for the backward pass a token, about: what goes in and out of each linear but for
// the language model's head, whose logits are made and used a chunk at a time.
int64_t numbers_kept(const Sites& sites) {
  int64_t numbers = 0;
  for (const Linear* linear : sites.linears) {
    if (linear->path != sites.output_embedding) numbers += linear->in() + linear->out();
  }
  return sites.encoder_decoder() ? numbers / 2 : numbers;  // a token passes one of two stacks
}

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
  const int64_t numbers = model.counts().trainable;
  Footprint result;
  result.base_bytes_per_node = model.base().shared_bytes;
  result.adapter_bytes_per_rank = numbers * (4 * 4 + 8);
  result.activation_bytes_per_rank = unit_tokens * numbers_kept(model.base().base->sites) * 4;
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
