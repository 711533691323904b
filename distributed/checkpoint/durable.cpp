// POSIX calls with their errors told.
#include "distributed/checkpoint/durable.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

Error failed(const char* doing, const fs::path& path, int error) {
  return machine_error("cannot {} {}: {}", doing, path.string(), std::strerror(error));
}

class OpenFile {
 public:
  OpenFile(const fs::path& path, int flags) : path_(path), fd_(open(path.c_str(), flags, 0666)) {
    if (fd_ < 0) throw failed("open", path, errno);
  }
  ~OpenFile() {
    if (fd_ >= 0) close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  void write_all(const std::string& bytes) {
    for (size_t at = 0; at < bytes.size();) {
      const ssize_t written = write(fd_, bytes.data() + at, bytes.size() - at);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) throw failed("write", path_, written < 0 ? errno : ENOSPC);
      at += static_cast<size_t>(written);
    }
  }
  void sync() {
    if (fsync(fd_) != 0) throw failed("sync", path_, errno);
  }
  void close_checked() {  // network disks tell some errors only here
    if (close(std::exchange(fd_, -1)) != 0) throw failed("close", path_, errno);
  }

 private:
  fs::path path_;
  int fd_;
};

}  // namespace

void write_synced(const fs::path& file, const std::string& bytes) {
  OpenFile out(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
  out.write_all(bytes);
  out.sync();
  out.close_checked();
}

void sync_file(const fs::path& file) { OpenFile(file, O_RDONLY | O_CLOEXEC).sync(); }

void sync_folder(const fs::path& folder) {
  OpenFile(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC).sync();
}

void rename_over(const fs::path& from, const fs::path& to) {
  if (rename(from.c_str(), to.c_str()) == 0) return;
  if (errno != ENOTEMPTY && errno != EEXIST) throw failed("rename to", to, errno);
  // A folder that is there already: swap the two at once, or, where the file system cannot, in two
  // steps.
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return;
  const fs::path aside = from.string() + ".replaced.partial";
  if (rename(to.c_str(), aside.c_str()) != 0 || rename(from.c_str(), to.c_str()) != 0 ||
      rename(aside.c_str(), from.c_str()) != 0) {
    throw failed("rename to", to, errno);
  }
}

}  // namespace rankwise
