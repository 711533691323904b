// Who takes which training of a sweep: groups of ranks take the next one when they have ended one.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "distributed/comm/communicator.h"

namespace rankwise {

// Claims are files in a folder that all ranks see; making one is what only one group can do.
class TrialQueue {
 public:
  // Collective over all ranks. `order`: the trainings, the first to be taken first. Errors (all
  // ranks): kMachine.
  TrialQueue(Communicator& all, std::filesystem::path folder, std::vector<size_t> order);

  // Collective over a group: the next training that nobody has; nothing when there is none left.
  // Errors (of the group): kMachine.
  std::optional<size_t> next(Communicator& group);
  // Collective over all ranks: the folder goes.
  void close(Communicator& all);

 private:
  std::filesystem::path folder_;
  std::vector<size_t> order_;
  size_t looked_at_ = 0;
};

}  // namespace rankwise
