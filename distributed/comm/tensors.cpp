// What every backend asks of the tensors it is given, so that all backends refuse the same things.
#include "distributed/comm/tensors.h"

#include <ATen/ops/empty.h>

#include "distributed/core/error.h"

namespace rankwise {

void check_contiguous(const at::Tensor& values, const char* collective) {
  if (!values.defined()) throw internal_error("{}: undefined tensor", collective);
  if (!values.is_contiguous()) throw internal_error("{}: the tensor is not contiguous", collective);
}

void check_on_cpu(const at::Tensor& values, const char* collective) {
  if (!values.is_cpu()) {
    throw internal_error("{}: the tensor is on {}, this backend takes CPU tensors", collective,
                         values.device().str());
  }
}

void check_summable(const at::Tensor& values) {
  check_contiguous(values, "sum");
  switch (values.scalar_type()) {
    case at::kLong:
    case at::kInt:
    case at::kFloat:
    case at::kDouble:
      return;
    default:
      throw internal_error("sum: {} is not summed (int64, int32, float32, float64 are)",
                           at::toString(values.scalar_type()));
  }
}

void check_source(int from, int ranks) {
  if (from < 0 || from >= ranks) {
    throw internal_error("broadcast: there is no rank {} among {}", from, ranks);
  }
}

at::Tensor empty_gathered(const at::Tensor& mine, int ranks) {
  std::vector<int64_t> sizes = mine.sizes().vec();
  sizes.insert(sizes.begin(), ranks);
  return at::empty(sizes, mine.options());
}

}  // namespace rankwise
