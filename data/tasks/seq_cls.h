// SEQ_CLS: one label for a text or a pair of texts; a number where num_labels is 1.
#pragma once

#include <memory>

#include "data/tasks/task.h"

namespace rankwise {

std::unique_ptr<Task> make_seq_cls(const DataOptions& options, const Config& config);

}  // namespace rankwise
