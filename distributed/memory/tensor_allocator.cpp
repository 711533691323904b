// Asks for some bytes more than wanted, and aligns within them.
#include "distributed/memory/tensor_allocator.h"

#include <c10/core/CPUAllocator.h>
#include <malloc.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace rankwise {
namespace {

constexpr uintptr_t kAlignment = 64;  // LibTorch's

// The C library's own pointer lies before the tensor's memory.
void give_back(void* data) {
  if (data) std::free(static_cast<void**>(data)[-1]);
}

class TensorAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* data = bytes > 0 ? aligned(std::malloc(bytes + kAlignment)) : nullptr;
    return {data, data, &give_back, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

 private:
  // malloc's alignment, 16, leaves room for a pointer.
  static void* aligned(void* whole) {
    if (!whole) throw std::bad_alloc();
    const uintptr_t past = reinterpret_cast<uintptr_t>(whole) % kAlignment;
    void* data = static_cast<std::byte*>(whole) + (kAlignment - past);
    static_cast<void**>(data)[-1] = whole;
    return data;
  }
};

}  // namespace

void use_tensor_allocator() {
  constexpr int kMapped = 32 << 20, kKept = 256 << 20;  // the first is the most that mallopt takes
  mallopt(M_MMAP_THRESHOLD, kMapped);
  mallopt(M_TRIM_THRESHOLD, kKept);
  static TensorAllocator allocator;
  constexpr uint8_t kAboveDefault = 1;
  c10::SetCPUAllocator(&allocator, kAboveDefault);
}

}  // namespace rankwise
