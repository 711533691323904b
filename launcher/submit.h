// The verb `submit`: a Slurm batch script for any other verb, written or sent. It runs before there
// are ranks.
#pragma once

#include <string>
#include <vector>

#include "jobs/job.h"

namespace rankwise {

// All verbs: those of jobs, and submit, which has no job to make.
const std::vector<Verb>& all_verbs();

// `words`: its own options, the verb, the verb's words, which are checked as the verb would.
// Returns what goes to standard output: the script, or the numbers of the jobs sent, one a line.
// Errors: kUsage; kMachine: no file can be written, sbatch refuses.
std::string submit(const std::vector<std::string>& words, int columns);

}  // namespace rankwise
