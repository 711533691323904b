// A dataset file to a TokenStore: every rank tokenises its share, every node keeps one copy.
#pragma once

#include <filesystem>

#include "data/tasks/task.h"
#include "distributed/comm/communicator.h"

namespace rankwise {

// Collective. Rows are dealt to ranks in fixed blocks; the store does not depend on the rank count.
// Where the task has no labels fixed yet, they are collected first. Errors (all ranks): kInput,
// kModel.
TokenStore prepare(Communicator& communicator, Task& task, const std::filesystem::path& file,
                   const RowLimits& limits);

}  // namespace rankwise
