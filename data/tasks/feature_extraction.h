// FEATURE_EXTRACTION: a vector for each text; nothing to learn from.
#pragma once

#include <memory>

#include "data/tasks/task.h"

namespace rankwise {

// text [text_pair], or input_ids [token_type_ids].
std::unique_ptr<Task> make_feature_extraction(const DataOptions& options, const Config& config);

}  // namespace rankwise
