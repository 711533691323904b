// Of a regression: the mean squared error, which is its loss.
#pragma once

#include <memory>

#include "data/tasks/task.h"

namespace rankwise {

std::unique_ptr<Metrics> regression_metrics();

}  // namespace rankwise
