// memfd: the leader fills a writable mapping, drops it and seals the file; then every rank of the
// node, leader too, maps it. Each step that can fail on one rank only is agreed on, so
// nobody waits for a rank that has given up.
#include "distributed/memory/node_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "distributed/comm/agree.h"

namespace rankwise {
namespace {

// What the machine can still give without swapping out or killing anybody; a cgroup's limit may be
// lower.
size_t available_bytes() {
  std::ifstream meminfo("/proc/meminfo");
  size_t kib = 0;
  for (std::string name, rest; meminfo >> name >> kib; std::getline(meminfo, rest)) {
    if (name == "MemAvailable:") return kib * 1024;
  }
  throw machine_error("/proc/meminfo does not tell MemAvailable");
}

// A sealed memfd with what `fill` wrote. Its pages come into being as they are touched, where a
// lack of memory means the kernel's killer, and not only for us: hence the look at what is
// available first.
Descriptor make_filled(size_t size, int seals,
                       const std::function<void(std::span<std::byte>)>& fill) {
  if (const size_t available = available_bytes(); size > available) {
    throw machine_error("the node's shared memory needs {} MiB, {} MiB are available", size >> 20,
                        available >> 20);
  }
  Descriptor memory(memfd_create("rankwise", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (memory.get() < 0 || ftruncate(memory.get(), static_cast<off_t>(size)) != 0) {
    throw machine_error("cannot make {} bytes of node memory: {}", size, std::strerror(errno));
  }
  {
    const Mapping writable(memory, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED);
    fill(writable.bytes());
  }
  if (fcntl(memory.get(), F_ADD_SEALS, seals)) {
    throw machine_error("cannot seal node memory: {}", std::strerror(errno));
  }
  return memory;
}

// Opens anew: what is opened read-only can never be made writable, and kernels before 6.7 map a
// sealed file so only.
Mapping map_from(const std::string& path, size_t size, bool writable) {
  const Descriptor memory(open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC));
  if (memory.get() < 0) {
    throw Error(
        ErrorKind::kMachine,
        fmt::format("cannot open {}, the node's shared memory: {}", path, std::strerror(errno)),
        "ranks of a node must see each other in /proc: same user, same container");
  }
  return {memory, 0, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED};
}

}  // namespace

NodeMemory::NodeMemory(Communicator& communicator, size_t bytes,
                       const std::function<void(std::span<std::byte>)>& fill)
    : NodeMemory(communicator, bytes, Access::kReadOnly, fill) {}

NodeMemory::NodeMemory(Communicator& communicator, size_t bytes, Access access,
                       const std::function<void(std::span<std::byte>)>& fill)
    : access_(access) {
  constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  const bool writable = access == Access::kWritable;
  const World& world = communicator.world();
  Descriptor memory;
  std::string path;
  together(communicator, "filling the node's shared memory", [&] {
    if (!world.leads_node()) return;
    if (bytes == 0) return fill({});
    memory = make_filled(bytes, writable ? kSizeSeals : kSizeSeals | F_SEAL_WRITE, fill);
    path = fmt::format("/proc/{}/fd/{}", getpid(), memory.get());
  });
  const std::vector<std::string> paths = gather_texts(communicator, path);
  const auto leader = std::find(world.node_of.begin(), world.node_of.end(), world.node);
  together(communicator, "mapping the node's shared memory", [&] {
    if (bytes > 0) mapping_ = map_from(paths[leader - world.node_of.begin()], bytes, writable);
  });
}

std::shared_ptr<NodeMemory> NodeMemory::writable(Communicator& communicator, size_t bytes) {
  return std::shared_ptr<NodeMemory>(
      new NodeMemory(communicator, bytes, Access::kWritable, [](std::span<std::byte>) {}));
}

std::span<std::byte> NodeMemory::writable_bytes() {
  if (access_ != Access::kWritable) throw internal_error("this node memory is read-only");
  return mapping_.bytes();
}

}  // namespace rankwise
