// Layers ask a source for their weights by path and register themselves as sites.
#include "peft/base/layers.h"

#include "peft/base/ops/sent_to.h"

namespace rankwise {

at::Tensor Linear::operator()(const at::Tensor& x, const Pass& pass) const {
  if (adapter) return adapter->forward(*this, x, pass);
  return rankwise::linear(x, frozen(), bias);
}

at::Tensor looked_up(const at::Tensor& table, const at::Tensor& index) {
  return at::embedding(table, sent_to(table.device(), index));
}

at::Tensor Embedding::rows(const at::Tensor& tokens) const {
  return blocks.bytes.defined() ? unpacked_rows(blocks, tokens)
                                : looked_up(table, tokens).to(at::kFloat);
}

at::Tensor Embedding::operator()(const PackedText& text) const {
  const at::Tensor words = rows(text.tokens);
  return adapter ? adapter->put_in(words, text) : words;
}

at::Tensor BlockOutput::operator()(const at::Tensor& outcome, const at::Tensor& residual,
                                   const Pass& pass) const {
  if (norm && !adapter) return (*norm)(outcome, residual, pass, dropout);
  const at::Tensor dropped = rankwise::dropout(outcome, pass, dropout);
  return adapter ? adapter->forward(*this, dropped, residual, pass)
                 : joined(dropped, residual, pass);
}

at::Tensor BlockOutput::joined(const at::Tensor& outcome, const at::Tensor& residual,
                               const Pass& pass) const {
  if (norm) return (*norm)(outcome, residual, pass);
  return residual + (outcome_norm ? (*outcome_norm)(outcome) : outcome);
}

at::Tensor BlockOutput::normed_sum(const at::Tensor& outcome, const at::Tensor& residual,
                                   const Pass& pass) const {
  if (norm) return (*norm)(outcome, residual, pass);
  const at::Tensor sum = outcome + residual;
  return sum_norm ? (*sum_norm)(sum) : sum;
}

at::Tensor* Sites::find(const std::string& path) const {
  for (const NamedTensor& entry : tensors) {
    if (entry.path == path) return entry.tensor;
  }
  return nullptr;
}

std::string ModelBuilder::site_of(const std::string& path) const {
  return path.starts_with(body_) ? path.substr(body_.size()) : path;
}

void ModelBuilder::attention(AttentionSite& site) {
  site.path = site_of(site.path);
  sites_.attentions.push_back(&site);
}

void ModelBuilder::block(BlockOutput& block, BlockKind kind, const std::string& path, size_t layer,
                         int64_t size, const DropoutSite& dropout, const LayerNorm* norm) {
  block = {.path = site_of(path),
           .kind = kind,
           .layer = static_cast<int64_t>(layer),
           .size = size,
           .dropout = dropout,
           .norm = norm};
  sites_.blocks.push_back(&block);
}

void ModelBuilder::add(at::Tensor& tensor, WeightRequest request, BlockMatrix* blocks) {
  request.may_stay_in_blocks = blocks && !request.transposed;
  FrozenWeight held = source_.get(request);
  tensor = std::move(held.numbers);
  if (blocks) *blocks = std::move(held.blocks);
  sites_.tensors.push_back(
      {site_of(request.path), &tensor, request.transposed, std::move(request.tied_to), blocks});
}

void ModelBuilder::linear(Linear& layer, WeightRequest weight, bool bias) {
  const std::string path = weight.path;
  layer.path = site_of(path);
  const int64_t out = weight.shape[0];
  const std::optional<double> drawn = weight.drawn ? std::optional(0.0) : std::nullopt;
  weight.path += ".weight";
  add(layer.weight, std::move(weight), &layer.blocks);
  if (bias) add(layer.bias, {.path = path + ".bias", .shape = {out}, .drawn = drawn});
  sites_.linears.push_back(&layer);
}

void ModelBuilder::linear(Linear& layer, const std::string& path, int64_t in, int64_t out,
                          bool bias) {
  linear(layer, {.path = path, .shape = {out, in}, .use = Use::kProduct}, bias);
}

void ModelBuilder::conv1d(Linear& layer, const std::string& path, int64_t in, int64_t out) {
  layer.in_by_out = true;
  linear(layer, {.path = path, .shape = {out, in}, .use = Use::kProduct, .transposed = true}, true);
}

void ModelBuilder::head(Linear& layer, const std::string& path, int64_t in, int64_t out,
                        double deviation, bool bias) {
  linear(layer, {.path = path, .shape = {out, in}, .drawn = deviation}, bias);
}

void ModelBuilder::output_embedding(Linear& layer, const std::string& path, int64_t in, int64_t out,
                                    const std::string& tied_to) {
  sites_.output_embedding = path;
  linear(layer, {.path = path, .shape = {out, in}, .use = Use::kProduct, .tied_to = tied_to},
         false);
}

void ModelBuilder::layer_norm(LayerNorm& layer, const std::string& path, int64_t size, double eps) {
  add(layer.weight, {.path = path + ".weight", .shape = {size}});
  add(layer.bias, {.path = path + ".bias", .shape = {size}});
  layer.eps = eps;
}

void ModelBuilder::rms_norm(RmsNorm& layer, const std::string& path, int64_t size, double eps,
                            double offset) {
  add(layer.weight, {.path = path + ".weight", .shape = {size}});
  layer.eps = eps;
  layer.offset = offset;
}

void ModelBuilder::embedding(Embedding& layer, const std::string& path, int64_t rows, int64_t size,
                             int64_t padding) {
  layer.padding = padding;
  layer.path = site_of(path);
  add(layer.table, {.path = path + ".weight", .shape = {rows, size}, .use = Use::kLookup},
      &layer.blocks);
  sites_.words = &layer;
}

void ModelBuilder::embedding(at::Tensor& table, const std::string& path, int64_t rows,
                             int64_t size) {
  add(table, {.path = path + ".weight", .shape = {rows, size}, .use = Use::kLookup});
}

}  // namespace rankwise
