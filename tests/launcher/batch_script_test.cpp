// What `submit` writes is a script that bash understands, whatever the words.
#include "launcher/batch_script.h"

#include <gtest/gtest.h>

#include "launcher/command.h"

namespace rankwise {
namespace {

using namespace std::chrono_literals;

BatchJob training() {
  BatchJob job;
  job.words = {"finetune", "--train_file", "it's a \"file\" $HOME.tsv", "--output_dir", "out put"};
  job.binary = "/opt/rank wise";
  job.folder = "/work/me";
  job.output = "out put";
  job.pmix = true;
  return job;
}

CommandResult bash(const std::string& script, const std::vector<std::string>& options = {}) {
  std::vector<std::string> words = {"bash"};
  words.insert(words.end(), options.begin(), options.end());
  return run_command(words, 20s, script);
}

TEST(BatchScript, BashUnderstandsEachForm) {
  for (const bool pmix : {true, false})
    for (const int64_t restarts : {0, 2})
      for (const char* output : {"out put", ""}) {
        BatchJob job = training();
        job.pmix = pmix;
        job.output = output;
        job.options.max_restarts = restarts;
        const CommandResult checked = bash(batch_script(job), {"-n"});
        EXPECT_EQ(checked.code, 0) << checked.err << batch_script(job);
      }
}

TEST(BatchScript, WordsArriveAsTheyWere) {
  for (const std::string text : {"a b", "it's", "\"$HOME\" `id` \\ *", "", "x=1", "é\tü"}) {
    const CommandResult said = bash("printf %s " + shell_quoted(text));
    EXPECT_EQ(said.out, text);
  }
}

TEST(BatchScript, SaysWhatSlurmHasToKnow) {
  BatchJob job = training();
  job.options.nodes = 3;
  job.options.ntasks_per_node = 4;
  const std::string script = batch_script(job);
  for (const char* part :
       {"\n#SBATCH --nodes=3\n", "\n#SBATCH --ntasks-per-node=4\n", "\n#SBATCH --requeue\n",
        "--signal=USR1@", "srun --mpi=pmix --kill-on-bad-exit=1 ", "scontrol requeue $SLURM_JOB_ID",
        "OMPI_MCA_oob_tcp_keepalive_time="})
    EXPECT_NE(script.find(part), std::string::npos) << part << " is not in\n" << script;
  job.pmix = false;
  EXPECT_NE(batch_script(job).find("--signal=B:USR1@"), std::string::npos);
  EXPECT_NE(batch_script(job).find("costs the work since the last checkpoint"), std::string::npos);
}

// srun and scontrol are functions here; the ranks end with 75 and never save.
TEST(BatchScript, ThreeStartsWithoutAnUpdateAreTheLast) {
  BatchJob job = training();
  char folder[] = "/tmp/rankwise-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  job.folder = folder;
  job.output = std::string(folder) + "/out";
  const auto start = [&](int number, const std::string& rank_does) {
    return bash("srun() { " + rank_does +
                "; return 75; }\nscontrol() { echo \"asked: $*\"; }\nsleep() { exit 75; }\n" +
                "SLURM_JOB_ID=7\nSLURM_RESTART_COUNT=" + std::to_string(number) + "\n" +
                batch_script(job));
  };
  const std::string asked = "asked: requeue 7\n";
  EXPECT_EQ(start(0, "true").out, asked);
  EXPECT_EQ(start(1, "mkdir -p " + job.output + "/checkpoint-4").out, asked);
  EXPECT_EQ(start(2, "true").out, asked);
  EXPECT_EQ(start(3, "true").out, asked);
  const CommandResult last = start(4, "true");
  EXPECT_EQ(last.out, "");
  EXPECT_EQ(last.code, 75);
  EXPECT_NE(last.err.find("not requeued: 3 starts brought no update"), std::string::npos);
}

// As srun of Slurm 22.05 does where a step cannot be launched.
TEST(BatchScript, ALauncherThatDidNothingIsNoSuccess) {
  BatchJob job = training();
  char folder[] = "/tmp/rankwise-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  job.folder = folder;
  job.output = std::string(folder) + "/out";
  const auto start = [&](const std::string& srun) {
    return bash("srun() { " + srun + "; }\n" + batch_script(job)).code;
  };
  EXPECT_EQ(start("true"), 1);
  EXPECT_EQ(start("mkdir " + job.output + " && touch " + job.output + "/adapter_config.json"), 0);
  job.output = std::string(folder) + "/rows.h5.parts";  // of prepare
  EXPECT_EQ(start("true"), 1);
  EXPECT_EQ(start("mkdir " + job.output + " && touch " + job.output + "/000000.h5"), 0);
}

}  // namespace
}  // namespace rankwise
