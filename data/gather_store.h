// From every rank's encoded rows to one token store a node. Knows nothing of files and texts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/tasks/task.h"
#include "distributed/comm/communicator.h"

namespace rankwise {

// Rows are dealt to ranks in blocks of 256, round robin.
inline constexpr int64_t kBlockRows = 256;
inline int rank_of_row(int64_t row, int ranks) {
  return static_cast<int>(row / kBlockRows % ranks);
}

// Collective. mine: the rows dealt to this rank, in order; label_names: the same on all ranks.
// block_size: all rows' tokens are joined end to end and cut into blocks of so many, the last one
// shorter; then every token has a label. Errors (all ranks): kMachine.
TokenStore gather_store(Communicator& communicator, std::vector<EncodedRow> mine,
                        std::vector<std::string> label_names,
                        std::optional<int64_t> block_size = std::nullopt);

}  // namespace rankwise
