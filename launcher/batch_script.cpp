// What launchers and Slurm 22.05 do, measured with Open MPI 4.1.4, is the reason of each line:
// a step that exits 75 is COMPLETED and not requeued; srun takes --cpus-per-task no longer from the
// allocation; mpirun passes USR1 on to ranks but not TERM; a requeue by scontrol ends the script.
#include "launcher/batch_script.h"

#include <fmt/format.h>

namespace rankwise {
namespace {

constexpr const char* kOpen = R"sh(#!/bin/bash
# Written by `rankwise submit`. By hand: sbatch [--dependency=afterany:JOB] THIS_FILE
)sh";

// A host that is cut off is found by the launcher within seconds, not minutes.
constexpr const char* kKeepAlive = R"sh(
export OMPI_MCA_oob_tcp_keepalive_time=5 OMPI_MCA_oob_tcp_keepalive_intvl=2 OMPI_MCA_oob_tcp_keepalive_probes=3
)sh";

constexpr const char* kWithSrun = R"sh(
run() { srun --mpi=pmix --kill-on-bad-exit=1 @CPUS@"${command[@]}"; }
)sh";

constexpr const char* kWithMpirun = R"sh(
# srun has no PMIx here, so mpirun starts the ranks. Before the time limit this shell is told and tells mpirun;
# preemption is not told in time: it costs the work since the last checkpoint.
run() {
  mpirun -n "${SLURM_NTASKS:-@RANKS@}" --bind-to none "${command[@]}" &
  pid=$!
  trap 'kill -USR1 $pid 2>/dev/null' USR1 TERM
  while kill -0 $pid 2>/dev/null; do wait $pid; done
  wait $pid
}
)sh";

constexpr const char* kOnce = R"sh(
run
rc=$?
)sh";

constexpr const char* kRestarting = R"sh(
for restart in $(seq 0 @RESTARTS@); do
  run
  rc=$?
  [ $rc = 5 ] || [ $rc = 137 ] || break
done
)sh";

constexpr const char* kStarts = R"sh(
# Counts the starts since one that brought an update, in a file beside the output folder.
output=@OUTPUT@
starts_file=${output%/}.starts
saved() { find "$output" -name 'checkpoint-*[0-9]' -o -name adapter_config.json -o -name '*.h5' 2>/dev/null | sort; }
[ "${SLURM_RESTART_COUNT:-0}" != 0 ] || rm -f "$starts_file"
starts=$(($(cat "$starts_file" 2>/dev/null || echo 0) + 1))
before=$(saved)
mkdir -p "$(dirname "$starts_file")"
echo $starts >"$starts_file"
)sh";

// Slurm ends and starts this very job again.
constexpr const char* kRequeue = R"sh(
if [ $rc = 0 ] && [ -z "$(saved)" ]; then
  echo "the launcher ended with 0, but there is nothing in $output" >&2
  rc=1
fi
if [ "$(saved)" != "$before" ]; then starts=0; fi
echo $starts >"$starts_file"
if [ $rc = 75 ] && [ -n "$SLURM_JOB_ID" ]; then
  if [ $starts -lt 3 ]; then
    scontrol requeue $SLURM_JOB_ID && sleep 60  # Slurm ends this script meanwhile: its own end would be the job's
  else
    echo "not requeued: 3 starts brought no update" >&2
  fi
elif [ $rc = 0 ]; then
  rm -f "$starts_file"
fi
)sh";

std::string filled(std::string text, const std::string& name, const std::string& value) {
  for (size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += value.size())
    text.replace(at, name.size(), value);
  return text;
}

std::string directives(const BatchJob& job) {
  const SubmitOptions& options = job.options;
  std::string text;
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) text += fmt::format("#SBATCH --{}={}\n", name, shell_quoted(value));
  };
  const auto add_number = [&](const char* name, const std::optional<int64_t>& value) {
    if (value) text += fmt::format("#SBATCH --{}={}\n", name, *value);
  };
  add("job-name", options.job_name);
  add_number("nodes", options.nodes);
  add_number("ntasks-per-node", options.ntasks_per_node);
  add_number("cpus-per-task", options.cpus_per_task);
  add_number("gpus-per-node", options.gpus_per_node);
  add("partition", options.partition);
  add("account", options.account);
  add("constraint", options.constraint);
  if (options.exclusive) text += "#SBATCH --exclusive\n";
  add("time", options.time);
  add("array", options.array);
  add("dependency", options.dependency);
  add("output", options.output);
  text += "#SBATCH --open-mode=append\n";
  add("chdir", job.folder.string());
  if (job.output.empty()) return text;
  return text + fmt::format("#SBATCH --requeue\n#SBATCH --signal={}USR1@{}\n",
                            job.pmix ? "" : "B:", options.save_seconds);
}

// With the array's number for %a.
std::string word(const BatchJob& job, const std::string& text) {
  if (job.options.array.empty()) return shell_quoted(text);
  return filled(shell_quoted(text), "%a", "'\"$SLURM_ARRAY_TASK_ID\"'");
}

std::string launch(const BatchJob& job) {
  const auto& cpus = job.options.cpus_per_task;
  std::string text = filled(job.pmix ? kWithSrun : kWithMpirun, "@CPUS@",
                            cpus ? fmt::format("--cpus-per-task={} --cpu-bind=cores ", *cpus) : "");
  return filled(text, "@RANKS@", std::to_string(job.options.nodes * job.options.ntasks_per_node));
}

}  // namespace

std::string shell_quoted(const std::string& text) {
  constexpr const char* kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=,./:@";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  return '\'' + filled(text, "'", "'\\''") + '\'';
}

std::string batch_script(const BatchJob& job) {
  std::string text = kOpen + directives(job) + kKeepAlive;
  text += "\ncommand=(" + shell_quoted(job.binary.string());
  for (const std::string& given : job.words) text += ' ' + word(job, given);
  text += ")\n" + launch(job);
  if (!job.output.empty()) text += filled(kStarts, "@OUTPUT@", word(job, job.output));
  const int64_t restarts = job.options.max_restarts;
  text += restarts ? filled(kRestarting, "@RESTARTS@", std::to_string(restarts)) : kOnce;
  if (!job.output.empty()) text += kRequeue;
  return text + "exit $rc\n";
}

}  // namespace rankwise
