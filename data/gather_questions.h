// The questions of a store, each at one rank, and of all ranks what judging needs of the others'.
#pragma once

#include <memory>
#include <vector>

#include "data/token_store.h"
#include "distributed/comm/communicator.h"

namespace rankwise {

// Collective. mine: questions of this rank, with their rows; no row's is
// at two ranks. Null: there are none.
std::shared_ptr<const Questions> gather_questions(Communicator& communicator,
                                                  const TokenStore& store,
                                                  std::vector<Question> mine);

// Collective. Those of a store in a file; each rank reads its share. Errors (all ranks): kInput:
// damaged.
std::shared_ptr<const Questions> read_questions(Communicator& communicator,
                                                const TokenStore& store);

}  // namespace rankwise
