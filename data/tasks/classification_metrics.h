// Accuracy; for two classes also precision, recall and F1 of class 1.
#pragma once

#include <memory>

#include "data/tasks/task.h"

namespace rankwise {

std::unique_ptr<Metrics> classification_metrics(int64_t classes);

}  // namespace rankwise
