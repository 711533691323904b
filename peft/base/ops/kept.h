// Helpers of autograd functions: a C++ value kept in a node, rows shared among threads, and dropout
// at a site as a value.
#pragma once

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <memory>
#include <optional>
#include <utility>

#include "peft/base/ops/ops.h"

namespace rankwise {

template <class T>
struct Kept : torch::CustomClassHolder {
  explicit Kept(T kept) : value(std::move(kept)) {}
  T value;
};

// An undefined tensor cannot be an argument of an autograd function; a missing one can.
inline std::optional<at::Tensor> optional(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional(tensor) : std::nullopt;
}

template <class T>
void keep(torch::autograd::AutogradContext* context, T value) {
  context->saved_data["kept"] =
      c10::IValue::make_capsule(c10::make_intrusive<Kept<T>>(std::move(value)));
}

template <class T>
T& kept(torch::autograd::AutogradContext* context) {
  return static_cast<Kept<T>*>(context->saved_data["kept"].toCapsule().get())->value;
}

// body(kernels, first, last) for stretches of the `rows` rows of x: on all threads, or on x's GPU.
template <class Body>
void over_rows(const at::Tensor& x, int64_t rows, const Body& body) {
  constexpr int64_t kFewest = 16;  // that are worth a thread
  if (x.is_cuda()) {
    body(kernels::kCudaRows, 0, rows);
    return;
  }
  at::parallel_for(0, rows, kFewest,
                   [&](int64_t first, int64_t last) { body(kernels::kCpuRows, first, last); });
}

// Dropout of the rows of one pass at one site, to be applied again in the backward pass. Not
// differentiable by itself.
class DropoutCall {
 public:
  DropoutCall(const Pass& pass, const DropoutSite& site)
      : rows(pass.dropout(site.site, site.p)), places_(pass.shared_places()) {}
  bool active() const { return rows.rate.active(); }
  at::Tensor operator()(const at::Tensor& x) const;         // dropout(x); x itself when inactive
  void add_to(at::Tensor& sum, const at::Tensor& x) const;  // sum += dropout(x), in place

  kernels::RowDropout rows;

 private:
  std::shared_ptr<const TokenPlaces> places_;  // what the pointers of `rows` point into
};

}  // namespace rankwise
