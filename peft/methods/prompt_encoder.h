// The networks that make P-tuning's virtual tokens from embeddings of their own (peft's
// tuners/p_tuning/model.py: PromptEncoder), under peft's names.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rankwise {

struct PromptEncoderShape {
  int64_t size = 0, hidden = 0;  // of embeddings, of the network
  int64_t layers = 2;            // of the LSTM
};

class PromptEncoder {
 public:
  virtual ~PromptEncoder() = default;
  virtual at::Tensor operator()(const at::Tensor& embeddings) const = 0;  // [n, C] → [n, C]
};

// Makes a parameter that trains, drawn from U(−bound, bound).
using MakeParameter = std::function<at::Tensor(const std::string& name,
                                               const std::vector<int64_t>& shape, double bound)>;

// kind: "MLP" or "LSTM".
std::unique_ptr<PromptEncoder> make_prompt_encoder(const std::string& kind,
                                                   const PromptEncoderShape& shape,
                                                   const MakeParameter& make);

}  // namespace rankwise
