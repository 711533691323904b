// The layers that families are built of: structs of weights with their paths, no behaviour of a
// family. Places where a method may act ("sites") are collected while a model is built.
#pragma once

#include <ATen/core/Tensor.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "peft/base/ops/ops.h"
#include "peft/base/pass.h"

namespace rankwise {

struct Linear;

// What a method does at a linear; one object per adapted linear.
class LinearAdapter {
 public:
  virtual ~LinearAdapter() = default;
  // x [T, in] → [T, out], the frozen product included.
  virtual at::Tensor forward(const Linear& linear, const at::Tensor& x, const Pass& pass) const = 0;
};

struct Linear {
  std::string path;   // Hugging Face's module name: "bert.encoder.layer.0.attention.self.query"
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out] or undefined
  const LinearAdapter* adapter = nullptr;

  int64_t in() const { return weight.size(1); }
  int64_t out() const { return weight.size(0); }
  at::Tensor operator()(const at::Tensor& x, const Pass& pass) const;
};

struct LayerNorm {
  at::Tensor weight, bias;  // [C]
  double eps = 1e-12;
  // norm(residual + dropout(x)); residual may be undefined.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& residual, const Pass& pass,
                        const DropoutSite& dropout = {}) const {
    return add_layer_norm(x, residual, weight, bias, eps, pass, dropout);
  }
};

struct NamedTensor {
  std::string path;  // Hugging Face's parameter name
  at::Tensor* tensor;
};

// Everything of a built model that a method can act on or take over. Pointers stay valid as long as
// the model.
struct Sites {
  std::vector<Linear*> linears;      // in the order of the model
  std::vector<NamedTensor> tensors;  // every parameter, linears' included
  // The last path parts of the modules that a new head consists of, as peft lists them in
  // modules_to_save; and the module that "all-linear" leaves out.
  std::vector<std::string> head_modules;
  uint32_t dropout_sites = 0;

  at::Tensor* find(const std::string& path) const;
};

// What a weight is for decides the type in which the node holds it.
enum class Use { kProduct, kOther };

// Where a model under construction gets its weights from.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual at::Tensor get(const std::string& path, at::IntArrayRef shape, Use use) = 0;
  // A head's weight: drawn from N(0, deviation) (0: zeros) where the file has none.
  virtual at::Tensor get_or_draw(const std::string& path, at::IntArrayRef shape,
                                 double deviation) = 0;
};

// Fills layers and registers their sites. The layers must not move afterwards.
class ModelBuilder {
 public:
  ModelBuilder(WeightSource& source, Sites& sites) : source_(source), sites_(sites) {}
  void linear(Linear& layer, const std::string& path, int64_t in, int64_t out, bool bias = true);
  void head(Linear& layer, const std::string& path, int64_t in, int64_t out, double deviation,
            bool bias = true);
  void layer_norm(LayerNorm& layer, const std::string& path, int64_t size, double eps);
  void embedding(at::Tensor& table, const std::string& path, int64_t rows, int64_t size);
  DropoutSite dropout(double p) { return {sites_.dropout_sites++, p}; }

 private:
  void add(at::Tensor& tensor, const std::string& path, at::IntArrayRef shape, Use use);
  WeightSource& source_;
  Sites& sites_;
};

}  // namespace rankwise
