// Each cost is scaled to its largest share in a target before the solver sees it: seconds a byte
// and seconds a message are nine powers of ten apart.
#include "distributed/core/least_squares.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_lstsq.h>
#include <ATen/ops/ones.h>

#include <algorithm>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

// The costs of the columns in use, which may be negative.
std::vector<double> solve(const std::vector<std::vector<double>>& rows,
                          const std::vector<double>& targets, const std::vector<size_t>& columns) {
  const auto n = static_cast<int64_t>(rows.size()), m = static_cast<int64_t>(columns.size());
  at::Tensor shares = at::empty({n, m}, at::kDouble);
  double* share = shares.data_ptr<double>();
  std::vector<double> scales(columns.size(), 0);
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < columns.size(); ++j) {
      share[i * columns.size() + j] = rows[i][columns[j]] / targets[i];
      scales[j] = std::max(scales[j], share[i * columns.size() + j]);
    }
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < columns.size(); ++j) share[i * columns.size() + j] /= scales[j];
  }
  const at::Tensor solution =
      std::get<0>(at::linalg_lstsq(shares, at::ones({n, 1}, at::kDouble), {}, "gelsd"));
  std::vector<double> costs(columns.size());
  for (size_t j = 0; j < columns.size(); ++j)
    costs[j] = solution.const_data_ptr<double>()[j] / scales[j];
  return costs;
}

}  // namespace

std::vector<double> fit_costs(const std::vector<std::vector<double>>& rows,
                              const std::vector<double>& targets) {
  if (rows.empty() || rows.size() != targets.size())
    throw internal_error("a fit of {} rows to {} targets", rows.size(), targets.size());
  std::vector<size_t> columns;
  for (size_t j = 0; j < rows.front().size(); ++j) {
    if (std::any_of(rows.begin(), rows.end(), [j](const auto& row) { return row[j] > 0; }))
      columns.push_back(j);
  }
  std::vector<double> costs(rows.front().size(), 0);
  while (!columns.empty()) {
    const std::vector<double> solution = solve(rows, targets, columns);
    const auto least = std::min_element(solution.begin(), solution.end());
    if (*least >= 0) {
      for (size_t j = 0; j < columns.size(); ++j) costs[columns[j]] = solution[j];
      break;
    }
    columns.erase(columns.begin() + (least - solution.begin()));
  }
  return costs;
}

}  // namespace rankwise
