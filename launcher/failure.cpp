// Decides which rank speaks, and whether the others need to be stopped.
#include "launcher/failure.h"

#include <chrono>
#include <thread>

#include "distributed/comm/agree.h"
#include "distributed/watch/roll_call.h"
#include "launcher/reachable.h"

namespace rankwise {

std::string failure_text(const Error& error) {
  std::string hint = error.hint();
  if (hint.empty() && error.kind() == ErrorKind::kInternal) {
    hint = "this is a bug of Rankwise: please report it with the command and this message";
  }
  if (error.kind() == ErrorKind::kStopped) return fmt::format("{}\n", error.what());
  const std::string text = fmt::format("error: {}\n", error.what());
  return hint.empty() ? text : text + fmt::format("hint: {}\n", hint);
}

namespace {

using namespace std::chrono_literals;

// The launcher notices by keepalives that a host is cut off, unless something is on its way there:
// then it may take a quarter of an hour, on both sides. So it gets this time before it is told to
// end the job, and where it can't be reached nothing is said to it before.
constexpr auto kForTheLauncher = 8000ms;

// After a roll call all who are present speak, and the first of them ends the job.
void end_after_roll_call(RollCall& roll_call, const std::string& text,
                         const Surroundings& surroundings, int rank, std::ostream& err) {
  constexpr auto kForOthersToSpeak = 500ms, kForTheFirst = 2500ms;
  const RollCall::Verdict& verdict = *roll_call.verdict();
  const std::string& launcher = surroundings.launcher_address;
  const bool will_notice = verdict.a_node_is_silent && !launcher.empty();
  if (will_notice && !is_reachable(launcher)) roll_call.stay_present(kForTheLauncher);
  err << text << std::flush;
  roll_call.stay_present(will_notice ? kForTheLauncher : kForOthersToSpeak);
  if (rank != verdict.first_present) roll_call.stay_present(kForTheFirst);
}

}  // namespace

int report_failure(const Error& error, const Surroundings& surroundings, Communicator* communicator,
                   std::ostream& err) {
  const bool alone = communicator && communicator->world().ranks > 1 && !error.agreed();
  if (!alone) {
    if (surroundings.rank == 0) err << failure_text(error) << std::flush;
    return error.exit_code();
  }
  const World& world = communicator->world();
  const std::string& host = world.hosts[world.rank];
  std::string message = error.what();
  if (message.find(host) == std::string::npos) {
    message += fmt::format(" (rank {} on host {})", world.rank, host);
  }
  const Error located(error.kind(), message, error.hint());
  const std::string text = failure_text(located);
  if (RollCall* roll_call = communicator->roll_call().get(); roll_call && roll_call->verdict()) {
    end_after_roll_call(*roll_call, text, surroundings, world.rank, err);
  } else {
    // Where all ranks failed alike after all, rank 0 is heard first and ends the others meanwhile.
    if (world.rank != 0) std::this_thread::sleep_for(3s);
    err << text << std::flush;
  }
  communicator->abort(error.exit_code());
  return error.exit_code();  // not reached
}

void check_written(Communicator& communicator, std::ostream& out) {
  together(communicator, "writing results", [&] {
    if (communicator.world().rank == 0 && !out.flush()) {
      throw machine_error("standard output cannot be written");
    }
  });
}

}  // namespace rankwise
