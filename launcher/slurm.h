// Talks to Slurm through its own commands, each within a few seconds.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace rankwise {

// When Slurm ends this job, since 1970; nullopt where it has no limit. Asks scontrol. Errors:
// kMachine: no scontrol, or no answer from it.
std::optional<std::chrono::seconds> slurm_job_end(const std::string& job);

// The same from `scontrol -o show job` with times in seconds: the record of that job among those of
// its array.
std::optional<std::chrono::seconds> parse_job_end(const std::string& text, const std::string& job);

// Whether `srun --mpi=list` names pmix. Where srun does not answer: yes, it is for elsewhere.
bool slurm_has_pmix();

// Submits a batch script, to start after the job `after` has ended ("" at once). Returns the job's
// number. Errors: kMachine: with sbatch's words.
std::string send_to_slurm(const std::string& script, const std::string& after);

}  // namespace rankwise
