// The end of a job that failed: one message, one exit code.
#pragma once

#include <ostream>
#include <string>

#include "distributed/comm/communicator.h"
#include "distributed/core/error.h"
#include "launcher/surroundings.h"

namespace rankwise {

// "error: message" and, where there is one, "hint: …", each on its own line.
std::string failure_text(const Error& error);

// Writes the text to `err` and returns the exit code. An error that all ranks share, or that came
// before there were ranks to talk to (no communicator), is told by rank 0. One that this rank alone
// knows of is told here, with rank and host, and ends the whole job: this does not return then.
int report_failure(const Error& error, const Surroundings& surroundings, Communicator* communicator,
                   std::ostream& err);

// Collective. Error(kMachine) where what was written to `out` did not get through.
void check_written(Communicator& communicator, std::ostream& out);

}  // namespace rankwise
