// What the environment says about this process. The only place that reads it.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace rankwise {

enum class Launcher {
  kNone,              // one rank; MPI is not started
  kMpi,               // mpirun, or srun --mpi=pmix
  kSlurmWithoutPmix,  // several tasks that cannot find each other
};

struct Surroundings {
  Launcher launcher = Launcher::kNone;
  int rank = 0, ranks = 1;          // as the launcher counts them, before MPI is started
  std::filesystem::path hub_cache;  // where Hugging Face's tools keep downloaded models
  std::optional<std::chrono::seconds> job_end;  // since 1970, where a variable says it
  std::string slurm_job;                        // its number, "" outside of Slurm
  bool under_srun = false;       // which started this process itself: signals come through it
  std::string launcher_address;  // of mpirun: "10.1.0.4:35001"; empty: not known
  int columns = 0;               // width of the terminal where $COLUMNS says it, else 0
};

using GetVariable = std::function<const char*(const char*)>;

Surroundings read_surroundings(const GetVariable& get);

}  // namespace rankwise
