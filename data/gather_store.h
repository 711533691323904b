// From every rank's encoded rows to one token store a node. Knows nothing of files and texts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/token_store.h"
#include "distributed/comm/communicator.h"

namespace rankwise {

// Rows are dealt to ranks in blocks of 256, round robin.
inline constexpr int64_t kBlockRows = 256;
inline int rank_of_row(int64_t row, int ranks) {
  return static_cast<int>(row / kBlockRows % ranks);
}

// Collective. mine: the rows dealt to this rank, in order; truncated_rows: how many of them were
// cut; label_names: the same on all ranks. Errors (all ranks): kMachine.
TokenStore gather_store(Communicator& communicator, std::vector<Example> mine,
                        int64_t truncated_rows, std::vector<std::string> label_names);

}  // namespace rankwise
