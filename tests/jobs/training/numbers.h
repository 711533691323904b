// Numbers of golden files as tensors.
#pragma once

#include <ATen/ops/empty.h>

#include "peft/hub/json.h"

namespace rankwise {

inline at::Tensor floats(const Json& values) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kFloat);
  for (size_t i = 0; i < values.size(); ++i)
    tensor.mutable_data_ptr<float>()[i] = values[i].get<float>();
  return tensor;
}

}  // namespace rankwise
