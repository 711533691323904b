// Between tensors and their bytes in files.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "distributed/memory/mapping.h"
#include "peft/hub/tensor_file.h"

namespace rankwise {

at::ScalarType scalar_type(const TensorEntry& entry);  // errors: kModel: not a floating-point type
// Whether the bytes in the file are those of the numbers as `type`. Errors: as scalar_type.
bool is_verbatim(const TensorEntry& entry, at::ScalarType type);
Descriptor open_file(const std::filesystem::path& file);  // errors: kModel
// Reads a tensor's bytes and drops them: the system's cache has them now. Errors: kModel.
void read_through(int file, const TensorEntry& entry);
// Reads a tensor from its open file into memory that holds its numbers as `type` (float32, bfloat16
// or float16): blocks are unpacked, and what GGUF did to it is undone. Errors: kModel.
void read_tensor(int file, const TensorEntry& entry, at::ScalarType type, void* to);
// The same as a tensor of its own, float32. Opens the file.
at::Tensor read_tensor(const TensorEntry& entry);
// Reads a matrix of blocks as it is; only the order of its rows is put right. Errors: kModel.
void read_blocks(int file, const TensorEntry& entry, void* to);
// `value`, converted to `type` (float32, bfloat16 or float16), under a name.
TensorBytes tensor_bytes(std::string name, const at::Tensor& value, at::ScalarType type);

}  // namespace rankwise
