// Which type of a file is which of LibTorch's.
#include "peft/model/file_tensors.h"

#include "distributed/core/error.h"

namespace rankwise {

at::ScalarType scalar_type(const TensorEntry& entry) {
  switch (entry.dtype) {
    case Dtype::kFloat32:
      return at::kFloat;
    case Dtype::kFloat16:
      return at::kHalf;
    case Dtype::kBFloat16:
      return at::kBFloat16;
    case Dtype::kFloat64:
      return at::kDouble;
    default:
      throw model_error("{}: tensor '{}' is {}, not a floating-point type", entry.file.string(),
                        entry.name, safetensors_name(entry.dtype));
  }
}

TensorBytes tensor_bytes(std::string name, const at::Tensor& value, at::ScalarType type) {
  const at::Tensor held = value.detach().to(type).contiguous();
  const Dtype dtype = type == at::kBFloat16 ? Dtype::kBFloat16
                      : type == at::kHalf   ? Dtype::kFloat16
                                            : Dtype::kFloat32;
  return {std::move(name), dtype, held.sizes().vec(),
          std::string(static_cast<const char*>(held.const_data_ptr()), held.nbytes())};
}

}  // namespace rankwise
