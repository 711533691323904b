// An open file, and bytes of a file in this process's memory: both are let go with their object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace rankwise {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// Pages are the kernel's own copy of the file, one a node however many processes map it, and are
// taken into memory as they are touched. What is mapped must stay: a page that the file no longer
// has, or the disk no longer gives, ends the process (SIGBUS). A file that another one takes the
// place of (rename), or that is deleted on this machine, stays until the last mapping goes.
class Mapping {
 public:
  Mapping() = default;
  // Bytes [offset, offset + size) of the file; protection and flags are mmap's. Errors: kMachine.
  Mapping(const Descriptor& file, uint64_t offset, size_t size, int protection, int flags);
  ~Mapping();
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace rankwise
