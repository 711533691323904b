// A dataset file to a token store in an HDF5 file: every rank tokenises parts of it.
#pragma once

#include <filesystem>

#include "data/token_file.h"

namespace rankwise {

struct PreparedFile {
  int64_t rows = 0, tokens = 0, truncated_rows = 0;
  int64_t parts = 0, kept_parts = 0;  // kept: from an earlier start that was interrupted
};

// Collective. The bytes of arrays do not depend on the rank count. A part that is there, of the
// same settings and the same source, is kept. Memory: one part a rank. Errors (all ranks): kInput,
// kModel, kMachine.
PreparedFile prepare_token_file(Communicator& communicator, Task& task,
                                const std::filesystem::path& source, RowLimits limits,
                                const TokenFileSettings& settings,
                                const std::filesystem::path& output, int64_t part_rows = kPartRows);

}  // namespace rankwise
