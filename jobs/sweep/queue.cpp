// One empty file a claim.
#include "jobs/sweep/queue.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "distributed/comm/agree.h"

namespace rankwise {
namespace fs = std::filesystem;
namespace {

// Whether it was nobody's before.
bool claimed(const fs::path& file) {
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0 && errno == EEXIST) return false;
  if (fd < 0) throw machine_error("{}: cannot be made: {}", file.string(), std::strerror(errno));
  close(fd);
  return true;
}

}  // namespace

TrialQueue::TrialQueue(Communicator& all, fs::path folder, std::vector<size_t> order)
    : folder_(std::move(folder)), order_(std::move(order)) {
  together(all, "opening the queue of trainings", [&] {
    if (all.world().rank != 0) return;
    std::error_code failed;
    fs::remove_all(folder_, failed);  // of an earlier start
    fs::create_directories(folder_, failed);
    if (failed) throw machine_error("{}: cannot be made: {}", folder_.string(), failed.message());
  });
}

std::optional<size_t> TrialQueue::next(Communicator& group) {
  std::string mine;
  together(group, "taking the next training", [&] {
    if (group.world().rank != 0) return;
    while (mine.empty() && looked_at_ < order_.size()) {
      const std::string number = std::to_string(order_[looked_at_++]);
      if (claimed(folder_ / number)) mine = number;
    }
  });
  const std::string number = broadcast_text(group, mine);
  if (number.empty()) return std::nullopt;
  return std::stoull(number);
}

void TrialQueue::close(Communicator& all) {
  all.enter_phase("waiting for the other trainings");
  all.barrier();  // who is still busy will look for another
  together(all, "closing the queue of trainings", [&] {
    if (all.world().rank == 0) fs::remove_all(folder_);
  });
}

}  // namespace rankwise
