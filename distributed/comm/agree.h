// Helpers on top of a Communicator's tensors: texts, and agreement after a phase that may fail on
// one rank only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "distributed/comm/communicator.h"
#include "distributed/core/current_error.h"
#include "distributed/core/error.h"

namespace rankwise {

// Collective. The text of rank `from`, on every rank.
std::string broadcast_text(Communicator& communicator, std::string text, int from = 0);
// Collective. Every rank's text, in rank order.
std::vector<std::string> gather_texts(Communicator& communicator, const std::string& mine);

// Collective. Where any rank brings an error, all ranks throw the first such rank's, its message
// naming rank and host (when there is more than one rank).
void agree(Communicator& communicator, const std::optional<Error>& mine);

// Collective. Runs `body` here, then agrees: all ranks return, or all throw. Any std::exception
// counts (std::bad_alloc as kMachine, others as kInternal).
template <class Body>
void together(Communicator& communicator, std::string_view phase, Body&& body) {
  communicator.enter_phase(std::string(phase));
  std::optional<Error> mine;
  try {
    body();
  } catch (...) {
    mine = current_error(phase);
  }
  agree(communicator, mine);
}

}  // namespace rankwise
