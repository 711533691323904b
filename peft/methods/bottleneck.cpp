// Bottleneck adapters: down, activation, up, behind a block or beside it (Houlsby et al., 2019;
// Pfeiffer et al., 2020; He et al., 2021; the library `adapters`: methods/modeling.py).
#include <ATen/ATen.h>

#include <cmath>
#include <deque>

#include "peft/base/draw.h"
#include "peft/base/family.h"
#include "peft/base/ops/ops.h"
#include "peft/methods/bottleneck_settings.h"
#include "peft/methods/method.h"
#include "peft/methods/trained_base.h"

namespace rankwise {
namespace {

constexpr double kNormEps = 1e-5;  // torch's LayerNorm

struct Bottleneck : BlockAdapter {
  const BottleneckSettings* settings = nullptr;
  const Activation* activation = nullptr;
  at::Tensor down, down_bias, up, up_bias;  // [B, C], [B], [C, B], [C]
  LayerNorm norm_before, norm_after;        // undefined: none
  at::Tensor scaling;                       // [1] or [C]; undefined: settings->scaling
  at::Tensor gate, gate_bias;               // [1, C], [1]; undefined: none
  DropoutSite dropout;

  at::Tensor forward(const BlockOutput& block, const at::Tensor& outcome,
                     const at::Tensor& residual, const Pass& pass) const override {
    const BottleneckSettings& s = *settings;
    at::Tensor after;
    if (s.parallel) {
      after = outcome + normed(bent(residual, pass), pass);
    } else {
      const at::Tensor read =
          s.original_ln_before ? block.normed_sum(outcome, residual, pass) : outcome;
      const at::Tensor kept = kept_beside(outcome, residual, read);
      const at::Tensor made = bent(read, pass);
      after = s.residual_before_ln_after ? normed(made + kept, pass) : normed(made, pass) + kept;
    }
    return s.original_ln_after ? block.joined(after, residual, pass) : after;
  }

 private:
  // What the adapter's outcome is added to, where it stands behind the block.
  at::Tensor kept_beside(const at::Tensor& outcome, const at::Tensor& residual,
                         const at::Tensor& read) const {
    switch (settings->residual) {
      case BottleneckSettings::Residual::kSum:
        return outcome + residual;
      case BottleneckSettings::Residual::kNormedSum:
        return read;
      default:
        return outcome;
    }
  }

  at::Tensor normed(const at::Tensor& x, const Pass& pass) const {
    return norm_after.weight.defined() ? norm_after(x, {}, pass) : x;
  }

  // x [T, C] through the bottleneck, scaled, dropped and gated.
  at::Tensor bent(const at::Tensor& x, const Pass& pass) const {
    const at::Tensor read = norm_before.weight.defined() ? norm_before(x, {}, pass) : x;
    const at::Tensor inner = (*activation)(at::linear(read, down, down_bias));
    const at::Tensor outer = at::linear(inner, up, up_bias);
    const at::Tensor scaled = scaling.defined() ? outer * scaling : outer * settings->scaling;
    const at::Tensor dropped = rankwise::dropout(scaled, pass, dropout);
    return gate.defined() ? dropped * gates(x, pass) : dropped;
  }

  // One gate a row of text, the mean over its tokens: [T, 1]. `adapters` counts its pads too.
  at::Tensor gates(const at::Tensor& x, const Pass& pass) const {
    const at::Tensor open = at::sigmoid(at::linear(x, gate, gate_bias));
    const std::vector<int64_t>& bounds = pass.places().bounds;
    std::vector<at::Tensor> parts;
    for (size_t s = 0; s + 1 < bounds.size(); ++s) {
      const int64_t tokens = bounds[s + 1] - bounds[s];
      parts.push_back(open.narrow(0, bounds[s], tokens).mean(0, true).expand({tokens, 1}));
    }
    parts.push_back(open.narrow(0, bounds.back(), open.size(0) - bounds.back()));  // fillers
    return at::cat(parts);
  }
};

const Activation& activation_of(const BottleneckSettings& settings) {
  try {
    return activation(settings.non_linearity);
  } catch (const Error& error) {
    throw usage_error("--adapter_config: non_linearity: {}", error.what());
  }
}

class BottleneckAdapters : public Method {
 public:
  void declare(Fields& fields) override {
    fields.group("bottleneck adapters");
    fields
        .add("adapter_config", adapter_config_,
             "pfeiffer, houlsby, parallel or adapter_plus, with changes in brackets "
             "(\"pfeiffer[reduction_factor=8, non_linearity=gelu]\"), or a whole config as JSON")
        .changes_result();
  }

  void read_config(const Json& config) override {
    name_ = config.value("name", name_);
    settings_ = BottleneckSettings::from_json(config.value("config", Json()));
  }

  Json config() const override {
    return {{"peft_type", "BOTTLENECK"},   {"config", settings_->json()}, {"hidden_size", size_},
            {"model_class", model_class_}, {"model_type", model_type_},   {"name", name_}};
  }

  void attach(Sites& sites, const AttachOptions& options) override;
  std::vector<Trainable>& trainables() override { return trainables_; }
  std::vector<Trainable> exported() const override;
  std::vector<Trainable> copied() const override {
    if (!output_embedding_.value.defined()) return {};
    return {output_embedding_};
  }
  bool ignores(const std::string& name) const override {
    const bool again = settings_->ln_before && name.find(".adapter_down.0.") != std::string::npos;
    return again || name == output_embedding_.name;
  }
  std::vector<Target> targets() const override { return targets_; }
  void merge_into(Sites&) override {
    throw usage_error("BOTTLENECK cannot be merged: it adds layers, not weights");
  }

 private:
  void adapt(BlockOutput& block, Sites& sites, uint64_t seed);
  at::Tensor drawn(at::IntArrayRef shape, const std::string& name, uint64_t seed, bool up) const;

  std::string adapter_config_ = "pfeiffer", name_ = "default", model_class_, model_type_;
  std::optional<BottleneckSettings> settings_;
  int64_t size_ = 0;
  std::deque<Bottleneck> adapters_;
  std::vector<Target> targets_;
  std::vector<Trainable> trainables_;
  // Of a language model, which does not train but is in the folders of `adapters`.
  Trainable output_embedding_;
};

void BottleneckAdapters::attach(Sites& sites, const AttachOptions& options) {
  if (!settings_) settings_ = BottleneckSettings::parse(adapter_config_);
  model_class_ = options.model_class;
  model_type_ = options.model_type;
  size_ = sites.blocks.front()->size;
  sites.whole_rows = settings_->gating;
  for (BlockOutput* block : sites.blocks) {
    if (settings_->acts_at(*block)) adapt(*block, sites, options.seed);
  }
  if (targets_.empty())
    throw usage_error("--adapter_config: the model has no block where these settings act");
  train_modules(sites, sites.head_modules, trainables_, "");
  if (sites.output_embedding.empty()) return;
  output_embedding_.name = sites.output_embedding + ".weight";
  if (const at::Tensor& numbers = *sites.find(output_embedding_.name); !numbers.is_meta())
    output_embedding_.value = numbers;
}

// "houlsby" draws from a normal distribution cut at two deviations.
at::Tensor BottleneckAdapters::drawn(at::IntArrayRef shape, const std::string& name, uint64_t seed,
                                     bool up) const {
  if (settings_->init_weights == "bert") return draw_normal(shape, 0.02, seed, name);
  if (settings_->init_weights == "houlsby") {
    const at::Tensor part = draw_uniform(shape, std::erf(std::sqrt(2.0)), seed, name);
    return at::erfinv(part).mul_(0.01 * std::sqrt(2.0));
  }
  if (up) return at::zeros(shape);
  return draw_uniform(shape, 1 / std::sqrt(static_cast<double>(shape[1])), seed, name);
}

void BottleneckAdapters::adapt(BlockOutput& block, Sites& sites, uint64_t seed) {
  const BottleneckSettings& s = *settings_;
  const std::string path = fmt::format("{}.adapters.{}.", block.path, name_);
  const int64_t outer = block.size, inner = s.bottleneck(block);
  Bottleneck& adapter = adapters_.emplace_back();
  int64_t parameters = 0;
  const auto train = [&](at::Tensor& tensor, const std::string& name, at::Tensor value,
                         bool decays = true) {
    tensor = std::move(value);
    tensor.set_requires_grad(true);
    parameters += tensor.numel();
    trainables_.push_back({path + name, tensor, decays});
  };
  const auto norm = [&](LayerNorm& layer, const std::string& name) {
    train(layer.weight, name + ".weight", at::ones({outer}), false);
    train(layer.bias, name + ".bias", at::zeros({outer}), false);
    layer.eps = kNormEps;
  };
  const uint64_t draw_seed = s.same_init_everywhere ? s.init_seed : seed;
  const auto draw = [&](at::IntArrayRef shape, const std::string& name, bool up) {
    return drawn(shape, s.same_init_everywhere ? name : path + name, draw_seed, up);
  };
  adapter.settings = &s;
  adapter.activation = &activation_of(s);
  adapter.dropout = {sites.dropout_sites++, s.dropout};
  if (s.ln_before) norm(adapter.norm_before, "adapter_norm_before");
  const std::string down = fmt::format("adapter_down.{}", s.ln_before ? 1 : 0);
  train(adapter.down, down + ".weight", draw({inner, outer}, "adapter_down", false));
  train(adapter.down_bias, down + ".bias", at::zeros({inner}), false);
  train(adapter.up, "adapter_up.weight", draw({outer, inner}, "adapter_up", true));
  train(adapter.up_bias, "adapter_up.bias", at::zeros({outer}), false);
  if (s.scaling_kind != BottleneckSettings::Scaling::kFixed) {
    const bool channel = s.scaling_kind == BottleneckSettings::Scaling::kChannel;
    train(adapter.scaling, "scaling", at::ones({channel ? outer : 1}));
  }
  if (s.ln_after) norm(adapter.norm_after, "adapter_norm_after");
  if (s.gating) {
    train(adapter.gate, "gate.weight", draw_normal({1, outer}, 0.02, draw_seed, path + "gate"));
    train(adapter.gate_bias, "gate.bias", at::zeros({1}), false);
  }
  block.adapter = &adapter;
  targets_.push_back({block.path, parameters});
}

// torch has the norm before the bottleneck under two names, and files hold both.
std::vector<Trainable> BottleneckAdapters::exported() const {
  std::vector<Trainable> exported = trainables_;
  const std::string norm = ".adapter_norm_before.";
  for (const Trainable& trainable : trainables_) {
    const size_t at = trainable.name.find(norm);
    if (at == std::string::npos) continue;
    exported.push_back(trainable);
    exported.back().name.replace(at, norm.size(), ".adapter_down.0.");
  }
  return exported;
}

}  // namespace

std::unique_ptr<Method> make_bottleneck() { return std::make_unique<BottleneckAdapters>(); }

}  // namespace rankwise
