// mmap takes whole pages: the mapping begins with the page that its first byte is in.
#include "distributed/memory/mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

size_t in_page(uint64_t address) {
  return static_cast<size_t>(address % static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

Mapping::Mapping(const Descriptor& file, uint64_t offset, size_t size, int protection, int flags)
    : size_(size) {
  const size_t before = in_page(offset);
  void* first = mmap(nullptr, before + size, protection, flags, file.get(),
                     static_cast<off_t>(offset - before));
  if (first == MAP_FAILED)
    throw machine_error("cannot map {} bytes of a file: {}", size, std::strerror(errno));
  data_ = static_cast<std::byte*>(first) + before;
}

Mapping::~Mapping() {
  if (!data_) return;
  const size_t before = in_page(reinterpret_cast<uintptr_t>(data_));
  munmap(data_ - before, before + size_);
}

}  // namespace rankwise
