// Initial values are those of torch's nn.Linear and nn.LSTM.
#include "peft/methods/prompt_encoder.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

namespace rankwise {
namespace {

double bound_of(int64_t size) { return 1 / std::sqrt(static_cast<double>(size)); }

class Mlp : public PromptEncoder {
 public:
  // sizes: of the input and of each layer's output; a ReLU between layers.
  Mlp(const std::vector<int64_t>& sizes, const MakeParameter& make) {
    for (size_t i = 0; i + 1 < sizes.size(); ++i) {
      const std::string name = fmt::format("mlp_head.{}", 2 * i);
      const int64_t in = sizes[i], out = sizes[i + 1];
      layers_.push_back({make(name + ".weight", {out, in}, bound_of(in)),
                         make(name + ".bias", {out}, bound_of(in))});
    }
  }
  at::Tensor operator()(const at::Tensor& embeddings) const override {
    at::Tensor x = embeddings;
    for (size_t i = 0; i < layers_.size(); ++i)
      x = at::linear(i > 0 ? at::relu(x) : x, layers_[i].weight, layers_[i].bias);
    return x;
  }

 private:
  struct Layer {
    at::Tensor weight, bias;
  };
  std::vector<Layer> layers_;
};

// Bidirectional, with an MLP behind it.
class Lstm : public PromptEncoder {
 public:
  Lstm(const PromptEncoderShape& shape, const MakeParameter& make)
      : shape_(shape), head_({2 * shape.hidden, 2 * shape.hidden, shape.size}, make) {
    const int64_t gates = 4 * shape.hidden;
    const double bound = bound_of(shape.hidden);
    for (int64_t layer = 0; layer < shape.layers; ++layer) {
      const int64_t in = layer == 0 ? shape.size : 2 * shape.hidden;
      for (const char* direction : {"", "_reverse"}) {
        const auto add = [&](const char* name, const std::vector<int64_t>& size) {
          weights_.push_back(
              make(fmt::format("lstm_head.{}_l{}{}", name, layer, direction), size, bound));
        };
        add("weight_ih", {gates, in});
        add("weight_hh", {gates, shape.hidden});
        add("bias_ih", {gates});
        add("bias_hh", {gates});
      }
    }
  }
  at::Tensor operator()(const at::Tensor& embeddings) const override {
    const at::Tensor zeros = at::zeros({2 * shape_.layers, 1, shape_.hidden}, embeddings.options());
    const auto [out, hidden, cell] =
        at::lstm(embeddings.unsqueeze(0), {zeros, zeros}, weights_, /*has_biases=*/true,
                 shape_.layers, /*dropout=*/0, /*train=*/true, /*bidirectional=*/true,
                 /*batch_first=*/true);
    return head_(out.squeeze(0));
  }

 private:
  PromptEncoderShape shape_;
  std::vector<at::Tensor> weights_;  // of each layer and direction, in nn.LSTM's order
  Mlp head_;
};

}  // namespace

std::unique_ptr<PromptEncoder> make_prompt_encoder(const std::string& kind,
                                                   const PromptEncoderShape& shape,
                                                   const MakeParameter& make) {
  if (kind == "LSTM") return std::make_unique<Lstm>(shape, make);
  return std::make_unique<Mlp>(
      std::vector<int64_t>{shape.size, shape.hidden, shape.hidden, shape.size}, make);
}

}  // namespace rankwise
