// Ranks are told what is left, not the time of day, on which hosts need not agree.
#include "launcher/deadline.h"

#include <algorithm>

#include "distributed/comm/agree.h"
#include "launcher/slurm.h"

namespace rankwise {

JobEnd ask_job_end(const Surroundings& surroundings) {
  if (surroundings.job_end) return {surroundings.job_end};
  if (surroundings.rank != 0 || surroundings.slurm_job.empty()) return {};
  try {
    return {slurm_job_end(surroundings.slurm_job)};
  } catch (const Error& error) {
    return {{}, error.what()};
  }
}

std::optional<std::chrono::steady_clock::time_point> common_deadline(Communicator& communicator,
                                                                     const JobEnd& end) {
  using namespace std::chrono;
  std::string text;
  if (end.time) {
    const duration<double> left = *end.time - system_clock::now().time_since_epoch();
    text = fmt::format("{}", (left - std::min<duration<double>>(minutes(1), left / 10)).count());
  }
  text = broadcast_text(communicator, text);
  if (text.empty()) return std::nullopt;
  return steady_clock::now() +
         duration_cast<steady_clock::duration>(duration<double>(std::stod(text)));
}

}  // namespace rankwise
