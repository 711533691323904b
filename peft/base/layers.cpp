// Layers ask a source for their weights by path and register themselves as sites.
#include "peft/base/layers.h"

namespace rankwise {

at::Tensor Linear::operator()(const at::Tensor& x, const Pass& pass) const {
  if (adapter) return adapter->forward(*this, x, pass);
  return linear(x, weight, bias);
}

at::Tensor* Sites::find(const std::string& path) const {
  for (const NamedTensor& entry : tensors) {
    if (entry.path == path) return entry.tensor;
  }
  return nullptr;
}

void ModelBuilder::add(at::Tensor& tensor, const std::string& path, at::IntArrayRef shape,
                       Use use) {
  tensor = source_.get(path, shape, use);
  sites_.tensors.push_back({path, &tensor});
}

void ModelBuilder::linear(Linear& layer, const std::string& path, int64_t in, int64_t out,
                          bool bias) {
  layer.path = path;
  add(layer.weight, path + ".weight", {out, in}, Use::kProduct);
  if (bias) add(layer.bias, path + ".bias", {out}, Use::kOther);
  sites_.linears.push_back(&layer);
}

void ModelBuilder::head(Linear& layer, const std::string& path, int64_t in, int64_t out,
                        double deviation, bool bias) {
  layer.path = path;
  layer.weight = source_.get_or_draw(path + ".weight", {out, in}, deviation);
  sites_.tensors.push_back({path + ".weight", &layer.weight});
  if (bias) {
    layer.bias = source_.get_or_draw(path + ".bias", {out}, 0);
    sites_.tensors.push_back({path + ".bias", &layer.bias});
  }
  sites_.linears.push_back(&layer);
}

void ModelBuilder::layer_norm(LayerNorm& layer, const std::string& path, int64_t size, double eps) {
  add(layer.weight, path + ".weight", {size}, Use::kOther);
  add(layer.bias, path + ".bias", {size}, Use::kOther);
  layer.eps = eps;
}

void ModelBuilder::embedding(at::Tensor& table, const std::string& path, int64_t rows,
                             int64_t size) {
  add(table, path + ".weight", {rows, size}, Use::kOther);
}

}  // namespace rankwise
