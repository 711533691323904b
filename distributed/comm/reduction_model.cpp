// Uses are counted exchange by exchange; the fit finds what each costs.
#include "distributed/comm/reduction_model.h"

#include <algorithm>
#include <bit>

#include "distributed/core/least_squares.h"

namespace rankwise {
namespace {

int log2_floor(int64_t number) { return std::bit_width(static_cast<uint64_t>(number)) - 1; }

// sharing: how many ranks send at once over the same link.
void exchange(LinkUse& use, double bytes, double sharing) {
  use.latencies += bytes > kEagerBytes ? 3 : 1;
  use.bytes += bytes * sharing;
}

}  // namespace

ReductionUse reduction_use(const NodeLayout& layout, int64_t bytes) {
  ReductionUse use;
  const int rounds = log2_floor(layout.ranks);
  const int within = std::min(rounds, log2_floor(layout.ranks_per_node()));
  const bool paired_within = layout.nodes == 1 || (layout.ranks_per_node() > 1 && rounds > within);
  const auto all = static_cast<double>(bytes);
  for (int there_and_back = 0; there_and_back < 2; ++there_and_back) {
    double part = all;
    for (int round = 0; round < rounds; ++round) {
      part /= 2;
      if (round < within) {
        exchange(use.within_node, part, 1);
      } else {
        exchange(use.between_nodes, part, static_cast<double>(layout.ranks_per_node()));
      }
    }
    if (!std::has_single_bit(static_cast<uint64_t>(layout.ranks)))
      exchange(paired_within ? use.within_node : use.between_nodes, all, 1);
  }
  return use;
}

double ReductionModel::seconds(const NodeLayout& layout, int64_t bytes) const {
  const ReductionUse use = reduction_use(layout, bytes);
  const auto cost = [](const LinkUse& of, const Link& link) {
    return of.latencies * link.latency_seconds + of.bytes * link.seconds_per_byte;
  };
  return cost(use.within_node, within_node) + cost(use.between_nodes, between_nodes);
}

ReductionModel fit_reductions(const std::vector<MeasuredReduction>& measured) {
  std::vector<std::vector<double>> rows;
  std::vector<double> seconds;
  for (const MeasuredReduction& one : measured) {
    if (one.layout.ranks < 2) continue;
    const ReductionUse use = reduction_use(one.layout, one.bytes);
    rows.push_back({use.within_node.latencies, use.within_node.bytes, use.between_nodes.latencies,
                    use.between_nodes.bytes});
    seconds.push_back(one.seconds);
  }
  if (rows.empty()) return {};
  const std::vector<double> costs = fit_costs(rows, seconds);
  return {{costs[0], costs[1]}, {costs[2], costs[3]}};
}

}  // namespace rankwise
