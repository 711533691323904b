// When the scheduler ends the job: asked once, by rank 0, and the same on all ranks.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "distributed/comm/communicator.h"
#include "launcher/surroundings.h"

namespace rankwise {

struct JobEnd {
  std::optional<std::chrono::seconds> time;  // since 1970
  std::string unknown = {};                  // why, where it should be known but is not
};

// Before MPI is started: other programs are run. Only rank 0 asks; it takes seconds at most.
JobEnd ask_job_end(const Surroundings& surroundings);

// Collective. When to save and stop by rank 0's answer, on every rank by its own clock: a minute
// before the end, or a tenth of what is left where that is less. nullopt where there is no end.
std::optional<std::chrono::steady_clock::time_point> common_deadline(Communicator& communicator,
                                                                     const JobEnd& end);

}  // namespace rankwise
