// How LibTorch gets the memory of tensors on the CPU.
#pragma once

namespace rankwise {

// From here on, tensors of this process lie in memory that the C library can give out again as it
// was. LibTorch's own way asks for aligned memory, and the GNU library (2.36) fits no such request
// into the hole that one of the same size has left: a third of a large model's activations was
// holes. Alignment stays: 64 bytes. Free memory at the heap's end, up to 256 MiB, is kept for the
// next unit, which would otherwise wait for the system to give it again, page by page. A failed
// request is std::bad_alloc.
void use_tensor_allocator();

}  // namespace rankwise
