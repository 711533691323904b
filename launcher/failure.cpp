// Decides which rank speaks, and whether the others need to be stopped.
#include "launcher/failure.h"

#include <chrono>
#include <thread>

#include "distributed/comm/agree.h"
#include "distributed/watch/roll_call.h"

namespace rankwise {

std::string failure_text(const Error& error) {
  std::string hint = error.hint();
  if (hint.empty() && error.kind() == ErrorKind::kInternal) {
    hint = "this is a bug of Rankwise: please report it with the command and this message";
  }
  const std::string text = fmt::format("error: {}\n", error.what());
  return hint.empty() ? text : text + fmt::format("hint: {}\n", hint);
}

namespace {

// Ends the job. Where a roll call was held, all who are present speak, and the first of them ends
// it; else rank 0 is heard first, and ends the others meanwhile where all have failed alike.
void speak_and_abort(const std::string& text, int exit_code, Communicator& communicator,
                     std::ostream& err) {
  using namespace std::chrono_literals;
  constexpr auto kForOthersToSpeak = 500ms, kForOthersToEndIt = 3000ms;
  const int rank = communicator.world().rank;
  const RollCall* roll_call = communicator.roll_call().get();
  const std::optional<int> first = roll_call ? roll_call->first_present() : std::nullopt;
  if (!first && rank != 0) std::this_thread::sleep_for(kForOthersToEndIt);
  err << text << std::flush;
  if (first) std::this_thread::sleep_for(rank == *first ? kForOthersToSpeak : kForOthersToEndIt);
  communicator.abort(exit_code);
}

}  // namespace

int report_failure(const Error& error, int rank, Communicator* communicator, std::ostream& err) {
  const bool alone = communicator && communicator->world().ranks > 1 && !error.agreed();
  if (!alone) {
    if (rank == 0) err << failure_text(error) << std::flush;
    return error.exit_code();
  }
  const World& world = communicator->world();
  const std::string& host = world.hosts[world.rank];
  std::string message = error.what();
  if (message.find(host) == std::string::npos) {
    message += fmt::format(" (rank {} on host {})", world.rank, host);
  }
  const Error located(error.kind(), message, error.hint());
  speak_and_abort(failure_text(located), error.exit_code(), *communicator, err);
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
