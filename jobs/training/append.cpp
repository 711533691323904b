// Appending through the system's own calls: streams of the standard library may split a write.
#include "jobs/training/append.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

// 0, or the reason why not all bytes were written; then none is left in the file.
int append(int descriptor, std::string_view bytes) {
  struct stat before {};
  if (::fstat(descriptor, &before) != 0) return errno;
  ssize_t written = -1;
  do {
    written = ::write(descriptor, bytes.data(), bytes.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(bytes.size())) return 0;
  const int reason =
      written < 0 ? errno : ENOSPC;  // a regular file takes less only when the disk is full
  if (::ftruncate(descriptor, before.st_size) != 0) return errno;
  return reason;
}

}  // namespace

void append_to_file(const std::filesystem::path& file, std::string_view bytes) {
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  int reason = descriptor < 0 ? errno : append(descriptor, bytes);
  if (descriptor >= 0 && ::close(descriptor) != 0 && reason == 0) reason = errno;
  if (reason != 0) {
    throw machine_error("{}: cannot append {} bytes: {}", file.string(), bytes.size(),
                        std::generic_category().message(reason));
  }
}

}  // namespace rankwise
