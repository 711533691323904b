// TOKEN_CLS: a label for each word of a row.
#pragma once

#include <memory>

#include "data/tasks/task.h"

namespace rankwise {

// input_ids + labels, or tokens + tags: a word's first piece has its label, the others and special
// tokens have none. Errors: kUsage.
std::unique_ptr<Task> make_token_cls(const DataOptions& options, const Config& config);

}  // namespace rankwise
