// What `submit` can ask Slurm for, under Slurm's own names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "distributed/core/field.h"

namespace rankwise {

struct SubmitOptions {
  int64_t nodes = 1, ntasks_per_node = 1;
  std::optional<int64_t> cpus_per_task, gpus_per_node;
  std::string partition, account, constraint, time, array, dependency, job_name = "rankwise";
  std::string output = "%x-%j.out";
  bool exclusive = false;

  int64_t chain = 1, max_restarts = 0, save_seconds = 60;
  std::string launcher = "auto";  // srun, mpirun
  std::string script;             // a file; "" is standard output
  bool send = false;

  void declare(Fields& fields);
  void check() const;  // Errors: kUsage: options that contradict each other
};

}  // namespace rankwise
