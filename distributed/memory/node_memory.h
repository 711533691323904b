// One block of memory a node, shared by its ranks: a memfd that the node's first rank makes and the
// others map through /proc/<pid>/fd. Needs no /dev/shm and is gone with its last user.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "distributed/comm/communicator.h"
#include "distributed/memory/mapping.h"

namespace rankwise {

class NodeMemory {
 public:
  // Collective. The node's first rank makes `bytes` of zeroed memory and lets `fill` write it;
  // afterwards every rank of the node sees the same pages read-only. Errors: kMachine (no memory,
  // no /proc), or whatever fill throws, on all ranks.
  NodeMemory(Communicator& communicator, size_t bytes,
             const std::function<void(std::span<std::byte>)>& fill);
  // Collective. Zeroed memory that every rank of the node may write, 4096-byte aligned.
  static std::shared_ptr<NodeMemory> writable(Communicator& communicator, size_t bytes);
  NodeMemory(const NodeMemory&) = delete;
  NodeMemory& operator=(const NodeMemory&) = delete;

  std::span<const std::byte> bytes() const { return mapping_.bytes(); }  // 4096-byte aligned
  std::span<std::byte> writable_bytes();                                 // of writable() only

 private:
  enum class Access { kReadOnly, kWritable };
  NodeMemory(Communicator& communicator, size_t bytes, Access access,
             const std::function<void(std::span<std::byte>)>& fill);

  Mapping mapping_;
  Access access_;
};

}  // namespace rankwise
