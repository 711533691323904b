// SEQ_CLS: one label for a text or a pair of texts.
#pragma once

#include <memory>

#include "data/tasks/task.h"

namespace rankwise {

std::unique_ptr<Task> make_seq_cls(const DataOptions& options,
                                   const Config& config);  // Errors: kUsage

}  // namespace rankwise
