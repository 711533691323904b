// Each option is written into the script once, by batch_script.cpp.
#include "launcher/submit_options.h"

#include "distributed/core/error.h"

namespace rankwise {

void SubmitOptions::declare(Fields& fields) {
  fields.group("allocation");
  fields.add("nodes", nodes, "number of nodes").at_least(1);
  fields.add("ntasks_per_node", ntasks_per_node, "ranks on each node").at_least(1);
  fields.add("cpus_per_task", cpus_per_task, "cores of a rank, and its threads")
      .at_least(1)
      .default_text("the verb's --threads, else the cluster's");
  fields.add("gpus_per_node", gpus_per_node, "GPUs on each node; one rank computes on one")
      .at_least(1);
  fields.add("exclusive", exclusive, "share the nodes with no other job");
  fields.add("time", time, "time limit as Slurm writes it: minutes, 2:00:00, 1-12:00:00");
  fields.add("partition", partition, "queue");
  fields.add("account", account, "whom the time is charged to");
  fields.add("constraint", constraint, "features that the nodes must have");
  fields.add("job_name", job_name, "name of the job in the queue");
  fields.add("output", output, "file of what the job says (%x name, %j number)");

  fields.group("several jobs");
  fields.add("array", array,
             "one job a number, as 0-7 or 0-7%2; %a in the verb's words stands for the number");
  fields.add("chain", chain, "this many jobs, each to go on when the one before has ended")
      .at_least(1);
  fields.add("dependency", dependency, "when the first may start, as afterany:1234");

  fields.group("start and stop");
  fields.add("launcher", launcher, "of the ranks; auto: srun where it speaks PMIx, else mpirun")
      .one_of({"auto", "srun", "mpirun"});
  fields.add("save_seconds", save_seconds, "before the end at which the ranks are told to save")
      .at_least(1)
      .at_most(65535);
  fields
      .add("max_restarts", max_restarts,
           "starts again within the job after a failed rank or network (codes 5, 137)")
      .at_least(0);
  fields.add("script", script, "file to write; without it the script goes to standard output");
  fields.add("send", send, "submit it with sbatch and print the jobs' numbers");
}

void SubmitOptions::check() const {
  if (chain > 1 && !send) {
    throw Error(ErrorKind::kUsage, "--chain needs --send: the jobs are known only once submitted",
                "or submit the script several times with sbatch --dependency=afterany:<job>");
  }
  if (chain > 1 && !array.empty()) throw usage_error("--chain and --array exclude each other");
  for (const std::string* text :
       {&partition, &account, &constraint, &time, &array, &dependency, &job_name, &output}) {
    if (text->find('\n') != std::string::npos) throw usage_error("'{}' has a line break", *text);
  }
}

}  // namespace rankwise
