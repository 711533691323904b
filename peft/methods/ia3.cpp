// (IA)³: vectors that scale what linears give, or what feed-forward ones take (Liu et al., 2022;
// peft's tuners/ia3).
#include <ATen/ATen.h>

#include <algorithm>
#include <deque>

#include "peft/base/draw.h"
#include "peft/base/ops/ops.h"
#include "peft/methods/target_settings.h"
#include "peft/methods/trained_base.h"

namespace rankwise {
namespace {

struct Ia3Adapter : LinearAdapter {
  at::Tensor scale;  // [1, in] where `feedforward`, else [out, 1]; trained
  bool feedforward = false;

  at::Tensor forward(const Linear& linear, const at::Tensor& x, const Pass&) const override {
    if (feedforward) return rankwise::linear(x * scale, linear.frozen(), linear.bias);
    return rankwise::linear(x, linear.frozen(), linear.bias) * scale.t();
  }
};

class Ia3 : public Method {
 public:
  void declare(Fields& fields) override {
    fields.group("IA3");
    targets_.declare(fields);
    targets_.declare_excluded(fields);
    fields
        .add("feedforward_modules", feedforward_,
             "targets whose input is scaled: ends of names, or one regular expression")
        .default_text("by family")
        .changes_result();
    fields.add("init_ia3_weights", init_, "begin with ones, which change nothing; else at random")
        .changes_result();
  }

  void read_config(const Json& config) override {
    original_ = config;
    targets_.read(config);
    if (config.contains("feedforward_modules"))
      feedforward_read_ = ModulePattern::from_json(config["feedforward_modules"]);
    init_ = config.value("init_ia3_weights", true);
  }

  Json config() const override {
    if (original_.is_object()) return original_;
    Json config = {{"peft_type", "IA3"},
                   {"feedforward_modules", feedforward_pattern_.json()},
                   {"fan_in_fan_out", !adapted_.empty() && adapted_.front()->in_by_out},
                   {"init_ia3_weights", init_}};
    if (feedforward_pattern_.empty()) config["feedforward_modules"] = Json::array();
    config.update(targets_.config());
    return config;
  }

  void attach(Sites& sites, const AttachOptions& options) override;
  std::vector<Trainable>& trainables() override { return trainables_; }
  std::vector<Trainable> exported() const override { return trainables_; }

  std::vector<Target> targets() const override {
    std::vector<Target> list;
    for (size_t i = 0; i < adapted_.size(); ++i)
      list.push_back({adapted_[i]->path, adapters_[i].scale.numel()});
    return list;
  }

  void merge_into(Sites& sites) override;

 private:
  ModulePattern feedforward_of(const std::string& model_type) const;
  bool is_feedforward(const std::string& module) const;

  std::string feedforward_;
  bool init_ = true;
  TargetSettings targets_;
  std::optional<ModulePattern> feedforward_read_;
  ModulePattern feedforward_pattern_;
  Json original_;
  std::deque<Ia3Adapter> adapters_;
  std::vector<Linear*> adapted_;
  std::vector<Trainable> trainables_;
};

ModulePattern Ia3::feedforward_of(const std::string& model_type) const {
  if (feedforward_read_) return *feedforward_read_;
  if (!feedforward_.empty()) return ModulePattern::parse(feedforward_);
  return ModulePattern(default_feedforward(model_type));
}

// As peft: a name need not begin at a dot.
bool Ia3::is_feedforward(const std::string& module) const {
  const std::vector<std::string>& names = feedforward_pattern_.names();
  if (names.empty()) return feedforward_pattern_.matches(module);
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return module.ends_with(name); });
}

void Ia3::attach(Sites& sites, const AttachOptions& options) {
  adapted_ = targets_.choose(sites, options, &DefaultTargets::ia3);
  feedforward_pattern_ = feedforward_of(options.model_type);
  for (Linear* linear : adapted_) {
    Ia3Adapter& adapter = adapters_.emplace_back();
    adapter.feedforward = is_feedforward(linear->path);
    const std::vector<int64_t> shape = adapter.feedforward ? std::vector{int64_t{1}, linear->in()}
                                                           : std::vector{linear->out(), int64_t{1}};
    adapter.scale =
        init_ ? at::ones(shape) : draw_normal(shape, 1, options.seed, linear->path + ".ia3_l");
    adapter.scale.set_requires_grad(true);
    linear->adapter = &adapter;
    trainables_.push_back({"base_model.model." + linear->path + ".ia3_l", adapter.scale});
  }
  train_modules(sites, targets_.saved_modules(), trainables_);
}

void Ia3::merge_into(Sites&) {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < adapted_.size(); ++i) {
    Linear& linear = *adapted_[i];
    linear.weight = linear.frozen().unpacked() * adapters_[i].scale;
    if (!adapters_[i].feedforward && linear.bias.defined())
      linear.bias = linear.bias * adapters_[i].scale.view(-1);
    linear.adapter = nullptr;
  }
}

}  // namespace

std::unique_ptr<Method> make_ia3() { return std::make_unique<Ia3>(); }

}  // namespace rankwise
