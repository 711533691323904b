// Times are asked for in seconds since 1970, so that no time zone has to be known.
#include "launcher/slurm.h"

#include <charconv>
#include <sstream>

#include "distributed/core/error.h"
#include "launcher/command.h"

namespace rankwise {
namespace {

constexpr std::chrono::seconds kLimit{10};

// What a command prints. Errors: kMachine, with what it said.
std::string answer(const std::vector<std::string>& words, const std::string& input = {}) {
  const CommandResult result = run_command(words, kLimit, input, {"SLURM_TIME_FORMAT=%s"});
  if (result.code == 0) return result.out;
  throw machine_error("{} failed ({}): {}", words[0], result.code,
                      result.err.substr(0, result.err.find_last_not_of('\n') + 1));
}

std::optional<std::chrono::seconds> seconds_of(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return std::chrono::seconds(number);
}

}  // namespace

std::optional<std::chrono::seconds> slurm_job_end(const std::string& job) {
  return parse_job_end(answer({"scontrol", "-o", "show", "job", job}), job);
}

std::optional<std::chrono::seconds> parse_job_end(const std::string& text, const std::string& job) {
  std::istringstream records(text);
  for (std::string record; std::getline(records, record);) {
    if (!record.starts_with("JobId=" + job + ' ')) continue;
    constexpr std::string_view kName = "EndTime=";
    std::istringstream words(record);
    for (std::string word; words >> word;) {
      if (word.starts_with(kName)) return seconds_of(word.substr(kName.size()));
    }
  }
  return std::nullopt;
}

bool slurm_has_pmix() {
  CommandResult list;
  try {
    list = run_command({"srun", "--mpi=list"}, kLimit);
  } catch (const Error&) {
    return true;
  }
  return list.code != 0 || (list.out + list.err).find("pmix") != std::string::npos;
}

std::string send_to_slurm(const std::string& script, const std::string& after) {
  std::vector<std::string> words = {"sbatch", "--parsable"};
  if (!after.empty()) words.push_back("--dependency=afterany:" + after);
  const std::string number = answer(words, script);
  return number.substr(0, number.find_first_of(";\n"));  // number;cluster
}

}  // namespace rankwise
