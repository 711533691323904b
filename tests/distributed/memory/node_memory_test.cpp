// One read-only copy a node: checked by what the kernel says of the mappings (/proc/self/smaps).
#include "distributed/memory/node_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>

#include "distributed/comm/agree.h"

namespace rankwise {
namespace {

// What /proc/self/smaps says of the mapping that starts at `start`.
struct Region {
  std::string permissions, name, inode;
  int64_t size_kib = 0, private_kib = 0;
};

Region region_at(const void* start) {
  std::ifstream smaps("/proc/self/smaps");
  Region region;
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    std::istringstream words(line);
    std::string first, permissions, offset, device, inode, name;
    words >> first >> permissions;
    if (first.back() != ':') {  // a header: from-to permissions offset device inode name
      inside = std::stoull(first, nullptr, 16) == reinterpret_cast<uintptr_t>(start);
      if (!inside) continue;
      words >> offset >> device >> inode >> name;
      region.permissions = permissions;
      region.inode = inode;
      region.name = name;
    } else if (inside) {
      const int64_t kib = std::atoll(permissions.c_str());
      if (first == "Size:") region.size_kib = kib;
      if (first == "Private_Dirty:") region.private_kib += kib;
    }
  }
  return region;
}

void fill_with(std::span<std::byte> memory, int value) {
  std::memset(memory.data(), value, memory.size());
}

TEST(NodeMemory, EveryRankSeesItsNodesOneCopy) {
  constexpr size_t kBytes = 3 * 4096 + 100;
  std::atomic<int> fills = 0;
  std::mutex mutex;
  std::set<std::pair<int, std::string>> inodes;  // node, inode
  run_as_threads(
      4,
      [&](Communicator& communicator) {
        const int node = communicator.world().node;
        NodeMemory memory(communicator, kBytes, [&](std::span<std::byte> bytes) {
          EXPECT_EQ(bytes.size(), kBytes);
          EXPECT_TRUE(communicator.world().leads_node());
          for (const std::byte byte : bytes) ASSERT_EQ(byte, std::byte{0});
          ++fills;
          fill_with(bytes, 10 + node);
        });
        ASSERT_EQ(memory.bytes().size(), kBytes);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.bytes().data()) % 4096, 0u);
        for (const std::byte byte : memory.bytes()) {
          ASSERT_EQ(byte, static_cast<std::byte>(10 + node));
        }
        communicator.barrier();  // all four mappings exist
        const Region region = region_at(memory.bytes().data());
        std::lock_guard lock(mutex);
        inodes.emplace(node, region.inode);
      },
      2);
  EXPECT_EQ(fills, 2);
  EXPECT_EQ(inodes.size(), 2u) << "one file a node, whatever the number of its ranks";
}

TEST(NodeMemory, IsSharedReadOnlyAndHasNoPrivatePages) {
  const auto communicator = single_rank();
  NodeMemory memory(*communicator, 1 << 20,
                    [](std::span<std::byte> bytes) { fill_with(bytes, 7); });
  const Region region = region_at(memory.bytes().data());
  EXPECT_EQ(region.permissions, "r--s");
  EXPECT_EQ(region.name, "/memfd:rankwise");
  EXPECT_GE(region.size_kib, 1024);
  int sum = 0;
  for (size_t i = 0; i < memory.bytes().size(); i += 4096)
    sum += static_cast<int>(memory.bytes()[i]);
  EXPECT_EQ(sum, 256 * 7);
  void* start = const_cast<std::byte*>(memory.bytes().data());
  EXPECT_NE(mprotect(start, 4096, PROT_READ | PROT_WRITE), 0);
  EXPECT_EQ(errno, EACCES);
}

// A page that only one process maps counts as private in smaps; what base weights must not have is
// pages that each process has for itself. So: two processes, and both say that nothing is private.
TEST(NodeMemory, TwoProcessesHaveNoPagesOfTheirOwn) {
  constexpr size_t kBytes = 1 << 20;
  const auto communicator = single_rank();
  NodeMemory memory(*communicator, kBytes, [](std::span<std::byte> bytes) { fill_with(bytes, 7); });
  int down[2], up[2];
  ASSERT_EQ(pipe(down), 0);
  ASSERT_EQ(pipe(up), 0);
  const auto touch = [&] {
    volatile int sum = 0;
    for (size_t i = 0; i < kBytes; i += 4096) sum = sum + static_cast<int>(memory.bytes()[i]);
  };
  const pid_t child = fork();
  char byte = 0;
  if (child == 0) {
    touch();
    byte = write(up[1], "t", 1) == 1 && read(down[0], &byte, 1) == 1 ? 0 : 2;
    _exit(byte == 0 && region_at(memory.bytes().data()).private_kib == 0 ? 0 : 1);
  }
  touch();
  ASSERT_EQ(read(up[0], &byte, 1), 1);  // the child has touched every page
  EXPECT_EQ(region_at(memory.bytes().data()).private_kib, 0);
  ASSERT_EQ(write(down[1], "g", 1), 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  for (const int fd : {down[0], down[1], up[0], up[1]}) close(fd);
}

TEST(NodeMemory, IsGoneWithItsLastUser) {
  const auto communicator = single_rank();
  const auto memfds = [] {
    std::ifstream maps("/proc/self/maps");
    int count = 0;
    for (std::string line; std::getline(maps, line);) {
      count += line.find("memfd:rankwise") != line.npos;
    }
    return count;
  };
  {
    NodeMemory memory(*communicator, 4096, [](std::span<std::byte>) {});
    EXPECT_EQ(memfds(), 1);
  }
  EXPECT_EQ(memfds(), 0);
}

TEST(NodeMemory, NoBytesIsFine) {
  int fills = 0;
  const auto communicator = single_rank();
  NodeMemory memory(*communicator, 0, [&](std::span<std::byte> bytes) { fills += bytes.empty(); });
  EXPECT_TRUE(memory.bytes().empty());
  EXPECT_EQ(fills, 1);
}

TEST(NodeMemory, ALeadersErrorReachesAllRanks) {
  std::atomic<int> told = 0;
  run_as_threads(
      4,
      [&](Communicator& communicator) {
        try {
          NodeMemory memory(communicator, 4096, [&](std::span<std::byte>) {
            if (communicator.world().node == 1) throw model_error("model.safetensors: ends early");
          });
        } catch (const Error& error) {
          EXPECT_EQ(error.kind(), ErrorKind::kModel);
          EXPECT_NE(std::string(error.what()).find("ends early"), std::string::npos);
          ++told;
        }
      },
      2);
  EXPECT_EQ(told, 4);
}

// Safe even where the check fails: nothing is reserved ahead, and `fill` touches no page.
TEST(NodeMemory, MoreThanTheMachineHasIsAnErrorOnAllRanks) {
  const size_t machine = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * 4096;
  for (const size_t bytes : {machine + 4096, size_t{1} << 62}) {
    std::atomic<int> told = 0, fills = 0;
    run_as_threads(2, [&](Communicator& communicator) {
      try {
        NodeMemory memory(communicator, bytes, [&](std::span<std::byte>) { ++fills; });
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kMachine);
        EXPECT_NE(std::string(error.what()).find("MiB are available"), std::string::npos);
        ++told;
      }
    });
    EXPECT_EQ(told, 2);
    EXPECT_EQ(fills, 0);
  }
}

}  // namespace
}  // namespace rankwise
