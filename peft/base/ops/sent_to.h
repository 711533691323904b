// Small tensors on their way to a GPU.
#pragma once

#include <ATen/ATen.h>

namespace rankwise {

// A tensor of the CPU where the model computes. Nobody waits: from pinned memory the copy takes its
// place among what the GPU has to do, while one from ordinary memory would wait for all before it.
inline at::Tensor sent_to(const at::Device& device, const at::Tensor& tensor) {
  if (device.is_cpu()) return tensor;
  return tensor.pin_memory().to(device, tensor.scalar_type(), /*non_blocking=*/true);
}

}  // namespace rankwise
