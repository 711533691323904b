// flock and patience.
#include "distributed/checkpoint/folder_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(50);

Error in_use(const std::filesystem::path& folder, int fd) {
  char holder[300] = {};
  if (pread(fd, holder, sizeof holder - 1, 0) <= 0) std::strcpy(holder, "an unknown host");
  return Error(ErrorKind::kUsage,
               fmt::format("{} is in use by another job on {}", folder.string(), holder),
               "wait for it, stop it, or choose another --output_dir");
}

void write_holder(int fd) {
  char host[256] = "an unknown host";
  gethostname(host, sizeof host - 1);
  const std::string holder = fmt::format("host {} (process {})", host, getpid());
  // Only a help for others: a full disk must not keep anybody from the lock.
  if (ftruncate(fd, 0) != 0 || pwrite(fd, holder.data(), holder.size(), 0) < 0) return;
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder, double patience_seconds) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw machine_error("cannot make {}: {}", folder.string(), error.message());
  const std::filesystem::path file = folder / ".lock";
  fd_ = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) throw machine_error("cannot write {}: {}", file.string(), std::strerror(errno));
  const auto patience = std::chrono::duration<double>(patience_seconds);
  const auto give_up = std::chrono::steady_clock::now() + patience;
  while (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    const int problem = errno;
    const bool held = problem == EWOULDBLOCK || problem == EINTR;
    if (held && std::chrono::steady_clock::now() < give_up) {
      std::this_thread::sleep_for(kPollInterval);
      continue;
    }
    Error reason = held
                       ? in_use(folder, fd_)
                       : machine_error("cannot lock {}: {}", file.string(), std::strerror(problem));
    close(fd_);
    throw reason;
  }
  write_holder(fd_);
}

FolderLock::~FolderLock() { close(fd_); }

}  // namespace rankwise
