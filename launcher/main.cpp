// The way of a job: read options, bring ranks together, run the verb, end with an exit code.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>

#include "distributed/comm/agree.h"
#include "distributed/memory/tensor_allocator.h"
#include "launcher/backend.h"
#include "launcher/command_line.h"
#include "launcher/deadline.h"
#include "launcher/failure.h"
#include "launcher/help.h"
#include "launcher/processor.h"
#include "launcher/signals.h"
#include "launcher/start.h"
#include "launcher/submit.h"
#include "launcher/surroundings.h"
#include "launcher/terminal.h"

namespace rankwise {
namespace {

constexpr int kDone = 0;

struct Request {
  std::string text = {};  // to be printed instead of running anything
  int exit_code = kDone;

  std::unique_ptr<Job> job = {};
  Fields fields = {};
  std::filesystem::path config = {};
};

Request read_request(std::vector<std::string> words, int columns) {
  if (words.empty()) return {verbs_help(all_verbs(), columns), static_cast<int>(ErrorKind::kUsage)};
  if (words[0] == "--help" || words[0] == "-h") return {verbs_help(all_verbs(), columns)};
  if (words[0] == "--version") return {version_text()};
  const Verb& verb = find_verb(words[0], all_verbs());
  words.erase(words.begin());
  if (!verb.make) return {submit(words, columns)};
  Request request{.job = verb.make()};
  request.job->declare(request.fields);
  if (asks_for_help(words)) return {verb_help(verb, request.fields, columns)};
  request.config = read_arguments(words, request.fields);
  return request;
}

std::string text_of(const Fields& fields, const char* option) {
  const Field* field = fields.find(option);
  return field ? field->text() : "";
}

int64_t threads_of(const Fields& fields, int64_t default_threads) {
  const std::string text = text_of(fields, "threads");
  return text.empty() ? default_threads : std::stoll(text);
}

std::string how_to_stop(const Surroundings& surroundings) {
  if (surroundings.under_srun) return "scancel --signal=USR1 " + surroundings.slurm_job;
  return fmt::format("kill -USR1 {}", mpirun_of(getpid()).value_or(getpid()));
}

std::string counted(int64_t number, const char* what) {
  return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

int run(Request& request, std::unique_ptr<Communicator>& ranks, const Surroundings& surroundings,
        const JobEnd& job_end, std::chrono::steady_clock::time_point started) {
  check_ranks(*ranks);
  together(*ranks, "reading the config file", [&] {
    if (!request.config.empty()) read_config(request.config, request.fields);
  });
  const World world = ranks->world();
  const Placement placement = find_placement(*ranks);
  const int64_t threads = threads_of(request.fields, placement.default_threads);

  std::ostream nowhere(nullptr);
  const Screen screen = standard_error();
  const std::string no_bar = text_of(request.fields, "disable_tqdm");
  Terminal terminal(world.rank == 0 ? std::cerr : nowhere,
                    no_bar.empty() ? screen.is_terminal : no_bar == "false", screen.columns);
  if (request.job->saves_on_stop()) {
    terminal.info("rankwise {}: {} on {}, {} a rank\n{}", version(), counted(world.ranks, "rank"),
                  counted(world.nodes, "node"), counted(threads, "thread"), placement.table);
    terminal.info("to stop and save: {}", how_to_stop(surroundings));
    if (!job_end.unknown.empty())
      terminal.warn("when the scheduler ends the job is not known: {}", job_end.unknown);
  }
  const RankDevice device = with_device(*ranks, text_of(request.fields, "device"), terminal);
  ranks = with_backend(std::move(ranks), text_of(request.fields, "backend"), terminal);
  Communicator& communicator = *ranks;
  std::ostream& out = world.rank == 0 ? std::cout : nowhere;
  JobContext context{.communicator = communicator,
                     .stop = stop_request(),
                     .deadline = common_deadline(communicator, job_end),
                     .log = terminal,
                     .progress = terminal,
                     .out = out,
                     .out_is_terminal = standard_output().is_terminal,
                     .version = version(),
                     .hub_cache = surroundings.hub_cache,
                     .started = started,
                     .device = device.device,
                     .device_kind = device.kind,
                     .default_threads = placement.default_threads,
                     .processors = gather_texts(
                         communicator, device.kind == "cpu" ? processor_kind() : device.kind)};
  communicator.enter_phase("start of the job");
  const Outcome outcome = request.job->run(context, request.fields);
  terminal.finish();
  check_written(communicator, out);
  return outcome == Outcome::kStopped ? static_cast<int>(ErrorKind::kStopped) : kDone;
}

}  // namespace
}  // namespace rankwise

int main(int count, char** words) {
  using namespace rankwise;
  const auto started = std::chrono::steady_clock::now();
  use_tensor_allocator();
  const Surroundings surroundings = read_surroundings(std::getenv);
  std::unique_ptr<Communicator> communicator;  // ends MPI at the very end
  try {
    Request request = read_request({words + 1, words + count}, help_columns(surroundings.columns));
    if (!request.job) {
      if (surroundings.rank == 0) (request.exit_code ? std::cerr : std::cout) << request.text;
      return request.exit_code;
    }
    JobEnd job_end;
    if (request.job->saves_on_stop()) {
      watch_signals();
      job_end = ask_job_end(surroundings);
    }
    communicator = start_ranks(surroundings);
    return run(request, communicator, surroundings, job_end, started);
  } catch (...) {
    return report_failure(current_error(communicator ? communicator->phase() : "start"),
                          surroundings, communicator.get(), std::cerr);
  }
}
