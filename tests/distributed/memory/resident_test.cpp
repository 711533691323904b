// The peak is seen after what made it is gone; a page that two processes map counts half.
#include "distributed/memory/resident.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace rankwise {
namespace {

constexpr size_t kBytes = size_t{64} << 20;

// Mapped and touched.
void* pages(int sharing) {
  void* const memory =
      mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
  EXPECT_NE(memory, MAP_FAILED);
  std::memset(memory, 1, kBytes);
  return memory;
}

TEST(Resident, APeakThatIsOverIsSeenUntilReset) {
  reset_resident_peak();
  const int64_t before = resident_peak_bytes();
  munmap(pages(MAP_PRIVATE), kBytes);
  EXPECT_GE(resident_peak_bytes(), before + int64_t{kBytes} * 9 / 10);
  reset_resident_peak();
  EXPECT_LE(resident_peak_bytes(), before + int64_t{kBytes} / 2);
}

TEST(Resident, SharedPagesCountOnce) {
  void* const shared = pages(MAP_SHARED);
  reset_resident_peak();
  const int64_t alone = resident_peak_bytes();
  std::array<int, 2> ready{}, done{};
  ASSERT_EQ(pipe(ready.data()), 0);
  ASSERT_EQ(pipe(done.data()), 0);
  const pid_t child = fork();
  char byte = 0;
  if (child == 0) {
    std::memset(shared, 2, kBytes);
    if (write(ready[1], &byte, 1) == 1 && read(done[0], &byte, 1) == 1) _exit(0);
    _exit(1);
  }
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_LE(resident_peak_bytes(), alone - int64_t{kBytes} * 4 / 10);
  ASSERT_EQ(write(done[1], &byte, 1), 1);
  int status = 1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  munmap(shared, kBytes);
}

}  // namespace
}  // namespace rankwise
