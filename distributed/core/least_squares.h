// Fits a handful of costs to what was measured.
#pragma once

#include <vector>

namespace rankwise {

// The x >= 0 for which rows × x is nearest to `targets` (all > 0) by the sum of squared relative
// errors. rows: [n] of [m], m small; costs that the rows cannot tell apart share what they explain;
// one that would come out negative is 0. Not the exact minimum where several would be negative:
// they are dropped one by one, the most negative first.
std::vector<double> fit_costs(const std::vector<std::vector<double>>& rows,
                              const std::vector<double>& targets);

}  // namespace rankwise
