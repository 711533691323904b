// The layers that families are built of: structs of weights with their paths, no behaviour of a
// family. Places where a method may act ("sites") are collected while a model is built.
#pragma once

#include <ATen/core/Tensor.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peft/base/attention_site.h"
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
  at::Tensor weight;  // [out, in]; where it stays in blocks: the shape alone
  at::Tensor bias;    // [out] or undefined
  const LinearAdapter* adapter = nullptr;
  bool in_by_out = false;  // the file holds it transposed (GPT-2's Conv1D)
  BlockMatrix blocks;      // --base_dtype keep

  FrozenWeight frozen() const { return {weight, blocks}; }
  int64_t in() const { return weight.size(1); }
  int64_t out() const { return weight.size(0); }
  at::Tensor operator()(const at::Tensor& x, const Pass& pass) const;
};

// What a method does to the word embeddings of a text (prompt tuning, LoRA).
class InputAdapter {
 public:
  virtual ~InputAdapter() = default;
  // words [T, C] of the text's tokens → [T, C].
  virtual at::Tensor put_in(const at::Tensor& words, const PackedText& text) const = 0;
};

// table [rows, C], index [T] on any device → [T, C]
at::Tensor looked_up(const at::Tensor& table, const at::Tensor& index);

struct Embedding {
  std::string path;  // Hugging Face's module name
  at::Tensor table;  // [rows, C]; where it stays in blocks: the shape alone
  BlockMatrix blocks;
  const InputAdapter* adapter = nullptr;
  int64_t padding = -1;  // the token whose row of an adapter gets no gradient; -1: none
  FrozenWeight frozen() const { return {table, blocks}; }
  at::Tensor rows(const at::Tensor& tokens) const;      // [T] → [T, C] float32
  at::Tensor operator()(const PackedText& text) const;  // the same of a text
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

struct RmsNorm {
  at::Tensor weight;  // [C]
  double eps = 1e-6;
  double offset = 0;  // x̂ · (offset + weight); 1 in Gemma
  at::Tensor operator()(const at::Tensor& x) const { return rms_norm(x, weight, eps, offset); }
};

struct BlockOutput;

// What a method does where a block ends (bottleneck adapters); one object per adapted block.
class BlockAdapter {
 public:
  virtual ~BlockAdapter() = default;
  // The block's outcome [T, C] and the residual [T, C] that it was made from → the new residual.
  virtual at::Tensor forward(const BlockOutput& block, const at::Tensor& outcome,
                             const at::Tensor& residual, const Pass& pass) const = 0;
};

enum class BlockKind { kAttention, kCrossAttention, kFeedForward };

// The end of a block of a layer, where its outcome joins the residual stream.
struct BlockOutput {
  std::string path;  // of the module in which the library `adapters` puts its own
  BlockKind kind = BlockKind::kFeedForward;
  int64_t layer = 0;  // an encoder's come first, then the decoder's
  int64_t size = 0;   // C
  DropoutSite dropout;
  const LayerNorm* norm = nullptr;        // of post-norm models: norm(residual + outcome)
  const RmsNorm* outcome_norm = nullptr;  // Gemma 2's: residual + outcome_norm(outcome)
  // What `adapters` norms a sum with in Gemma 2: the last layer's outcome_norm, in every layer.
  const RmsNorm* sum_norm = nullptr;
  const BlockAdapter* adapter = nullptr;

  at::Tensor operator()(const at::Tensor& outcome, const at::Tensor& residual,
                        const Pass& pass) const;
  // The same without dropout and adapter.
  at::Tensor joined(const at::Tensor& outcome, const at::Tensor& residual, const Pass& pass) const;
  // Their sum behind the block's norm where it has one.
  at::Tensor normed_sum(const at::Tensor& outcome, const at::Tensor& residual,
                        const Pass& pass) const;
};

struct NamedTensor {
  std::string path;  // Hugging Face's parameter name
  at::Tensor* tensor;
  bool transposed = false;        // in the file
  std::string tied_to;            // the path of the parameter that it is another use of
  BlockMatrix* blocks = nullptr;  // where it may stay in blocks
};

// Everything of a built model that a method can act on or take over. Pointers stay valid as long as
// the model.
struct Sites {
  std::vector<Linear*> linears;            // in the order of the model
  Embedding* words = nullptr;              // word embeddings
  std::vector<AttentionSite*> attentions;  // self-attentions: of the encoder, then of the decoder
  std::vector<BlockOutput*> blocks;        // in the order of the model
  std::vector<NamedTensor> tensors;        // every parameter, linears' included
  // The last path parts of the modules that a new head consists of, as peft lists them in
  // modules_to_save; and the module that "all-linear" leaves out.
  std::vector<std::string> head_modules;
  std::string output_embedding;  // the language model's head; empty where there is none
  uint32_t dropout_sites = 0;
  bool whole_rows = false;     // a method looks at all tokens of a row at each block
  int64_t first_position = 0;  // of each row's first token: behind a prefix
  int64_t prompt_tokens = 0;   // virtual tokens at the beginning of each row

  at::Tensor* find(const std::string& path) const;
  bool encoder_decoder() const { return !attentions.front()->causal && attentions.back()->causal; }
};

// What a weight is for decides in which type, and where, the node holds it.
enum class Use { kProduct, kLookup, kOther };

// One weight of a model under construction.
struct WeightRequest {
  std::string path;  // Hugging Face's parameter name
  std::vector<int64_t> shape;
  Use use = Use::kOther;
  bool transposed = false;      // the file holds [shape[1], shape[0]]
  std::string tied_to;          // the path of the parameter that it is another use of
  std::optional<double> drawn;  // a new head: where the file has none, from N(0, this) (0: zeros)
  bool may_stay_in_blocks = false;  // whoever asks can compute with them
};

// Where a model under construction gets its weights from.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual FrozenWeight get(const WeightRequest& request) = 0;
};

// Fills layers and registers their sites. The layers must not move afterwards.
class ModelBuilder {
 public:
  // body: "bert." where sites are named as in the bare model, which lacks it; else "".
  ModelBuilder(WeightSource& source, Sites& sites, std::string body = "")
      : source_(source), sites_(sites), body_(std::move(body)) {}
  void linear(Linear& layer, const std::string& path, int64_t in, int64_t out, bool bias = true);
  void conv1d(Linear& layer, const std::string& path, int64_t in, int64_t out);  // GPT-2's
  // A classifier on top, drawn from N(0, deviation) where the file has none.
  void head(Linear& layer, const std::string& path, int64_t in, int64_t out, double deviation,
            bool bias = true);
  // The language model's head; tied_to: the path of the embedding that it is, or "".
  void output_embedding(Linear& layer, const std::string& path, int64_t in, int64_t out,
                        const std::string& tied_to);
  void layer_norm(LayerNorm& layer, const std::string& path, int64_t size, double eps);
  void rms_norm(RmsNorm& layer, const std::string& path, int64_t size, double eps,
                double offset = 0);
  void embedding(Embedding& layer, const std::string& path, int64_t rows, int64_t size,
                 int64_t padding = -1);
  void embedding(at::Tensor& table, const std::string& path, int64_t rows, int64_t size);
  void attention(AttentionSite& site);
  // norm: of a post-norm model.
  void block(BlockOutput& block, BlockKind kind, const std::string& path, size_t layer,
             int64_t size, const DropoutSite& dropout = {}, const LayerNorm* norm = nullptr);
  DropoutSite dropout(double p) { return {sites_.dropout_sites++, p}; }

 private:
  void add(at::Tensor& tensor, WeightRequest request, BlockMatrix* blocks = nullptr);
  void linear(Linear& layer, WeightRequest weight, bool bias);
  std::string site_of(const std::string& path) const;
  WeightSource& source_;
  Sites& sites_;
  std::string body_;
};

}  // namespace rankwise
