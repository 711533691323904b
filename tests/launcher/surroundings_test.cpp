// A table of environments, as each launcher makes them.
#include "launcher/surroundings.h"

#include <gtest/gtest.h>

#include <map>

namespace rankwise {
namespace {

using Environment = std::map<std::string, std::string>;

Surroundings read(const Environment& environment) {
  return read_surroundings([&](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

struct Case {
  const char* name;
  Environment environment;
  Launcher launcher;
  int rank, ranks;
};

class Environments : public testing::TestWithParam<Case> {};

TEST_P(Environments, TellTheLauncher) {
  const Surroundings found = read(GetParam().environment);
  EXPECT_EQ(found.launcher, GetParam().launcher);
  EXPECT_EQ(found.rank, GetParam().rank);
  EXPECT_EQ(found.ranks, GetParam().ranks);
}

TEST(Surroundings, TheAddressOfMpirunIsKnown) {
  const auto address = [](const char* uri) {
    return read({{"OMPI_MCA_orte_hnp_uri", uri}}).launcher_address;
  };
  EXPECT_EQ(address("4066.0;tcp://10.88.0.1:44397"), "10.88.0.1:44397");
  EXPECT_EQ(address("4066.0;tcp://10.88.0.1,192.168.0.7:44397"), "10.88.0.1:44397");
  EXPECT_EQ(address("4066.0;usock"), "");
  EXPECT_EQ(read({}).launcher_address, "");
}

TEST(Surroundings, TheEndOfASlurmJobIsKnown) {
  EXPECT_EQ(read({{"SLURM_JOB_END_TIME", "1790000000"}}).job_end, std::chrono::seconds(1790000000));
  EXPECT_FALSE(read({}).job_end);
  EXPECT_FALSE(read({{"SLURM_JOB_END_TIME", "soon"}}).job_end);
}

const Environment kAllocation = {{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "4"}};

Environment with(Environment environment, const Environment& more) {
  environment.insert(more.begin(), more.end());
  return environment;
}

INSTANTIATE_TEST_SUITE_P(
    Launchers, Environments,
    testing::Values(
        Case{"shell", {}, Launcher::kNone, 0, 1},
        Case{"mpirun",
             {{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}},
             Launcher::kMpi,
             3,
             4},
        Case{"mpirun_n_1",
             {{"OMPI_COMM_WORLD_SIZE", "1"}, {"OMPI_COMM_WORLD_RANK", "0"}},
             Launcher::kMpi,
             0,
             1},
        Case{"mpich", {{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}}, Launcher::kMpi, 1, 2},
        Case{"srun_pmix",
             with(kAllocation, {{"PMIX_RANK", "2"},
                                {"SLURM_PROCID", "2"},
                                {"SLURM_STEP_ID", "0"},
                                {"SLURM_STEP_NUM_TASKS", "4"}}),
             Launcher::kMpi, 2, 4},
        Case{"srun_without_pmix",
             with(kAllocation,
                  {{"SLURM_PROCID", "2"}, {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}}),
             Launcher::kSlurmWithoutPmix, 2, 4},
        Case{"srun_of_old", with(kAllocation, {{"SLURM_PROCID", "1"}, {"SLURM_STEP_ID", "0"}}),
             Launcher::kSlurmWithoutPmix, 1, 4},
        Case{"srun_n_1",
             with(kAllocation,
                  {{"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}}),
             Launcher::kNone, 0, 1},
        Case{"batch_script", with(kAllocation, {{"SLURM_PROCID", "0"}}), Launcher::kNone, 0, 1},
        Case{"salloc_shell", kAllocation, Launcher::kNone, 0, 1},
        Case{"mpirun_in_slurm",
             with(kAllocation, {{"SLURM_PROCID", "0"},
                                {"SLURM_STEP_ID", "1"},
                                {"SLURM_STEP_NUM_TASKS", "2"},
                                {"OMPI_COMM_WORLD_SIZE", "8"},
                                {"OMPI_COMM_WORLD_RANK", "5"}}),
             Launcher::kMpi, 5, 8},
        Case{"not_a_number", {{"OMPI_COMM_WORLD_SIZE", "four"}}, Launcher::kNone, 0, 1}),
    [](const auto& info) { return info.param.name; });

TEST(Surroundings, FindTheHubCacheAsHuggingFaceDoes) {
  EXPECT_EQ(read({{"HOME", "/home/a"}}).hub_cache, "/home/a/.cache/huggingface/hub");
  EXPECT_EQ(read({{"HOME", "/home/a"}, {"XDG_CACHE_HOME", "/c"}}).hub_cache, "/c/huggingface/hub");
  EXPECT_EQ(read({{"HOME", "/home/a"}, {"HF_HOME", "/hf"}}).hub_cache, "/hf/hub");
  EXPECT_EQ(read({{"HF_HOME", "/hf"}, {"HF_HUB_CACHE", "/hub"}}).hub_cache, "/hub");
}

TEST(Surroundings, TakeTheWidthOfTheTerminal) {
  EXPECT_EQ(read({{"COLUMNS", "132"}}).columns, 132);
  EXPECT_EQ(read({}).columns, 0);
}

}  // namespace
}  // namespace rankwise
