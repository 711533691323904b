// Knows the variables of Open MPI, MPICH, PMIx, Slurm and Hugging Face.
#include "launcher/surroundings.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <optional>
#include <string_view>

namespace rankwise {
namespace {

class Variables {
 public:
  explicit Variables(const GetVariable& get) : get_(get) {}

  std::optional<std::string> text(const char* name) const {
    const char* value = get_(name);
    if (!value || !*value) return std::nullopt;
    return std::string(value);
  }

  // The first of these that holds a number.
  std::optional<int> number(std::initializer_list<const char*> names) const {
    for (const char* name : names) {
      const std::string value = text(name).value_or("");
      int parsed = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
      if (error == std::errc() && end == value.data() + value.size()) return parsed;
    }
    return std::nullopt;
  }

  std::optional<std::chrono::seconds> seconds(const char* name) const {
    const std::string value = text(name).value_or("");
    int64_t parsed = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
    if (value.empty() || error != std::errc() || end != value.data() + value.size())
      return std::nullopt;
    return std::chrono::seconds(parsed);
  }

 private:
  const GetVariable& get_;
};

std::filesystem::path hub_cache(const Variables& variables) {
  if (const auto cache = variables.text("HF_HUB_CACHE")) return *cache;
  if (const auto home = variables.text("HF_HOME")) return std::filesystem::path(*home) / "hub";
  std::filesystem::path cache = variables.text("HOME").value_or("") + "/.cache";
  if (const auto xdg = variables.text("XDG_CACHE_HOME")) cache = *xdg;
  return cache / "huggingface" / "hub";
}

// The first address of "4066.0;tcp://10.1.0.4,10.2.0.4:35001".
std::string first_tcp_address(const std::string& uri) {
  const std::string scheme = "tcp://";
  const size_t begin = uri.find(scheme), port = uri.rfind(':');
  if (begin == std::string::npos || port < begin + scheme.size()) return "";
  const size_t host = begin + scheme.size();
  return uri.substr(host, std::min(uri.find(',', host), port) - host) + uri.substr(port);
}

// Tasks of the Slurm step that this process is in. A batch script and a shell under salloc are in
// none: they see the allocation's SLURM_NTASKS but were started once.
int slurm_tasks(const Variables& variables) {
  if (const auto tasks = variables.number({"SLURM_STEP_NUM_TASKS"})) return *tasks;
  if (!variables.text("SLURM_STEP_ID")) return 1;
  return variables.number({"SLURM_NTASKS"}).value_or(1);
}

}  // namespace

Surroundings read_surroundings(const GetVariable& get) {
  const Variables variables(get);
  Surroundings found;
  found.hub_cache = hub_cache(variables);
  found.job_end = variables.seconds("SLURM_JOB_END_TIME");
  found.launcher_address = first_tcp_address(variables.text("OMPI_MCA_orte_hnp_uri").value_or(""));
  found.slurm_job = variables.text("SLURM_JOB_ID").value_or("");
  found.under_srun = variables.text("SLURM_STEP_ID") && !variables.text("OMPI_COMM_WORLD_RANK");
  found.columns = variables.number({"COLUMNS"}).value_or(0);
  const auto mpi_rank = variables.number({"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"});
  const auto mpi_ranks = variables.number({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"});
  if (mpi_rank || mpi_ranks) {
    found.launcher = Launcher::kMpi;
    found.rank = mpi_rank.value_or(0);
    found.ranks = mpi_ranks.value_or(slurm_tasks(variables));
  } else if (slurm_tasks(variables) > 1) {
    found.launcher = Launcher::kSlurmWithoutPmix;
    found.rank = variables.number({"SLURM_PROCID"}).value_or(0);
    found.ranks = slurm_tasks(variables);
  }
  return found;
}

}  // namespace rankwise
