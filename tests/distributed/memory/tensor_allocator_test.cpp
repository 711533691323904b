// Memory of tensors: aligned, and given out again as it was.
#include "distributed/memory/tensor_allocator.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <new>
#include <vector>

namespace rankwise {
namespace {

TEST(TensorAllocator, AlignsTensorsOfAnySize) {
  use_tensor_allocator();
  std::vector<at::Tensor> held;
  for (int64_t size = 1; size < 5000; size += 37) {
    held.push_back(at::zeros({size}, at::kByte));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(held.back().data_ptr()) % 64, 0) << size;
  }
  EXPECT_EQ(at::empty({0}).numel(), 0);
}

TEST(TensorAllocator, AHoleTakesTheNextTensorOfItsSize) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer's malloc gives out nothing twice";
#endif
  use_tensor_allocator();
  constexpr int64_t kNumbers = 25000;  // below what is mapped by itself
  std::vector<at::Tensor> held;
  for (int i = 0; i < 9; ++i) held.push_back(at::empty({kNumbers}));
  const void* place = held[4].data_ptr();
  held[4] = at::Tensor();
  EXPECT_EQ(at::empty({kNumbers}).data_ptr(), place);
}

TEST(TensorAllocator, GivesMemoryThatIsNoTensors) {
  use_tensor_allocator();
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{100000}}) {
    void* data = c10::GetCPUAllocator()->raw_allocate(bytes);
    EXPECT_EQ(data == nullptr, bytes == 0);
    c10::GetCPUAllocator()->raw_deallocate(data);
  }
}

TEST(TensorAllocator, MoreThanThereIsIsBadAlloc) {
  use_tensor_allocator();
  EXPECT_THROW(c10::GetCPUAllocator()->allocate(size_t{1} << 62), std::bad_alloc);
}

}  // namespace
}  // namespace rankwise
