// What every communicator tells of its rank to those that wait for it.
#include "distributed/comm/communicator.h"

#include "distributed/watch/roll_call.h"

namespace rankwise {

void Communicator::enter_phase(std::string phase) {
  phase_ = std::move(phase);
  if (roll_call_) roll_call_->enter_phase(phase_);
}

void Communicator::progressed() {
  if (roll_call_) roll_call_->progressed();
}

}  // namespace rankwise
