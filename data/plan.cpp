// The order of rows, their cut into updates and units, and the dealing of units to ranks.
#include "data/plan.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randperm.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <queue>
#include <utility>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

std::vector<UnitRows> cut(std::span<const int64_t> rows, int64_t unit_rows,
                          const std::vector<int64_t>& lengths) {
  std::vector<UnitRows> units;
  for (size_t start = 0; start < rows.size(); start += static_cast<size_t>(unit_rows)) {
    const size_t count = std::min(static_cast<size_t>(unit_rows), rows.size() - start);
    UnitRows& unit = units.emplace_back();
    for (const int64_t row : rows.subspan(start, count)) {
      unit.rows.push_back(row);
      unit.tokens += lengths[static_cast<size_t>(row)];
    }
  }
  return units;
}

}  // namespace

std::vector<int64_t> epoch_permutation(int64_t rows, int64_t seed, int64_t epoch) {
  const auto generator =
      at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(seed + epoch));
  const at::Tensor order = at::randperm(rows, generator, at::kLong);
  const int64_t* const first = order.const_data_ptr<int64_t>();
  return {first, first + rows};
}

Plan::Plan(std::vector<int64_t> lengths, int64_t unit_rows, int64_t global_batch, int64_t seed)
    : lengths_(std::move(lengths)),
      unit_rows_(unit_rows),
      global_batch_(global_batch),
      seed_(seed) {
  if (lengths_.empty() || unit_rows < 1 || global_batch < 1 || global_batch % unit_rows != 0) {
    throw internal_error("a plan of {} rows in units of {} and updates of {}", lengths_.size(),
                         unit_rows, global_batch);
  }
}

int64_t Plan::updates_per_epoch() const {
  const auto rows = static_cast<int64_t>(lengths_.size());
  return (rows + global_batch_ - 1) / global_batch_;
}

Update Plan::update(int64_t number) const {
  if (number < 0) throw internal_error("update {} of a plan", number);
  const auto rows = static_cast<int64_t>(lengths_.size());
  const int64_t epoch = number / updates_per_epoch();
  if (epoch != permuted_epoch_) {
    permutation_ = epoch_permutation(rows, seed_, epoch);
    permuted_epoch_ = epoch;
  }
  const int64_t start = number % updates_per_epoch() * global_batch_;
  const int64_t count = std::min(global_batch_, rows - start);
  const auto mine = std::span<const int64_t>(permutation_)
                        .subspan(static_cast<size_t>(start), static_cast<size_t>(count));
  return {number, epoch, cut(mine, unit_rows_, lengths_)};
}

std::vector<UnitRows> Plan::in_order(int64_t unit_rows, const std::vector<int64_t>& groups) const {
  if (unit_rows < 1) throw internal_error("units of {} rows", unit_rows);
  std::map<int64_t, std::vector<int64_t>> rows;  // by group
  for (size_t row = 0; row < lengths_.size(); ++row)
    rows[groups.empty() ? 0 : groups[row]].push_back(static_cast<int64_t>(row));
  std::vector<UnitRows> units;
  for (const auto& [group, of_group] : rows) {
    for (UnitRows& unit : cut(of_group, unit_rows, lengths_)) units.push_back(std::move(unit));
  }
  return units;
}

std::vector<int> Plan::takers(std::span<const UnitRows> units, int ranks) {
  std::vector<int> takers(units.size(), 0);
  if (ranks == 1) return takers;
  std::vector<size_t> order(units.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return units[a].tokens > units[b].tokens; });

  using Load = std::pair<int64_t, int>;  // tokens, rank
  std::vector<Load> idle;                // no more than there are units: idle ranks come first
  const int first_ranks = static_cast<int>(std::min<int64_t>(ranks, std::ssize(units)));
  for (int rank = 0; rank < first_ranks; ++rank) idle.emplace_back(0, rank);
  std::priority_queue<Load, std::vector<Load>, std::greater<>> least({}, std::move(idle));
  for (const size_t unit : order) {
    const auto [tokens, rank] = least.top();
    least.pop();
    takers[unit] = rank;
    least.emplace(tokens + units[unit].tokens, rank);
  }
  return takers;
}

std::vector<int64_t> Plan::loads(std::span<const UnitRows> units, int ranks) {
  const std::vector<int> takers = Plan::takers(units, ranks);
  std::vector<int64_t> tokens(static_cast<size_t>(ranks), 0);
  for (size_t unit = 0; unit < units.size(); ++unit)
    tokens[static_cast<size_t>(takers[unit])] += units[unit].tokens;
  return tokens;
}

std::vector<int64_t> Plan::dealt_to(std::span<const UnitRows> units, int rank, int ranks) {
  if (rank < 0 || rank >= ranks) throw internal_error("rank {} of {}", rank, ranks);
  const std::vector<int> takers = Plan::takers(units, ranks);
  std::vector<int64_t> mine;
  for (size_t unit = 0; unit < units.size(); ++unit) {
    if (takers[unit] == rank) mine.push_back(static_cast<int64_t>(unit));
  }
  return mine;
}

}  // namespace rankwise
