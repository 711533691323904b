// Decides which rank speaks, and whether the others need to be stopped.
#include "launcher/failure.h"

#include <chrono>
#include <thread>

#include "distributed/comm/agree.h"

namespace rankwise {

std::string failure_text(const Error& error) {
  std::string hint = error.hint();
  if (hint.empty() && error.kind() == ErrorKind::kInternal) {
    hint = "this is a bug of Rankwise: please report it with the command and this message";
  }
  const std::string text = fmt::format("error: {}\n", error.what());
  return hint.empty() ? text : text + fmt::format("hint: {}\n", hint);
}

int report_failure(const Error& error, int rank, Communicator* communicator, std::ostream& err) {
  const bool alone = communicator && communicator->world().ranks > 1 && !error.agreed();
  if (!alone) {
    if (rank == 0) err << failure_text(error) << std::flush;
    return error.exit_code();
  }
  const World& world = communicator->world();
  // Where all ranks failed alike after all, rank 0 is heard first and ends the others meanwhile.
  if (world.rank != 0) std::this_thread::sleep_for(std::chrono::seconds(3));
  const std::string& host = world.hosts[world.rank];
  std::string message = error.what();
  if (message.find(host) == std::string::npos) {
    message += fmt::format(" (rank {} on host {})", world.rank, host);
  }
  const Error located(error.kind(), message, error.hint());
  err << failure_text(located) << std::flush;
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
