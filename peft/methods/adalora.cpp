// AdaLoRA: low-rank updates in the form of a singular value decomposition, of which the values that
// matter least are masked step by step until a budget of ranks is reached (Zhang et al., 2023;
// peft's tuners/adalora, with update_and_allocate() behind every update).
#include <ATen/ATen.h>

#include <algorithm>
#include <deque>

#include "peft/base/draw.h"
#include "peft/base/ops/ops.h"
#include "peft/methods/lora_config.h"
#include "peft/methods/rank_allocator.h"
#include "peft/methods/target_settings.h"
#include "peft/methods/trained_base.h"

namespace rankwise {
namespace {

struct AdaLoraAdapter : LinearAdapter {
  at::Tensor a, b, e;  // [R, in], [out, R], [R, 1]; trained
  double scale = 1;
  DropoutSite dropout;

  at::Tensor forward(const Linear& linear, const at::Tensor& x, const Pass& pass) const override {
    const at::Tensor small = at::linear(rankwise::dropout(x, pass, dropout), a * e);
    return rankwise::linear(x, linear.frozen(), linear.bias) + at::linear(small, b) * scale;
  }

  at::Tensor merged(const Linear& linear) const {
    const at::Tensor update = at::mm(b.to(at::kDouble), (a * e).to(at::kDouble)).mul_(scale);
    return linear.frozen().unpacked() + update.to(at::kFloat);
  }
};

class AdaLora : public Method {
 public:
  void declare(Fields& fields) override;
  void read_config(const Json& config) override;
  Json config() const override;
  void attach(Sites& sites, const AttachOptions& options) override;
  std::vector<Trainable>& trainables() override { return trainables_; }
  std::vector<Trainable> exported() const override;
  std::vector<Target> targets() const override {
    std::vector<Target> list;
    for (size_t i = 0; i < adapted_.size(); ++i) {
      const AdaLoraAdapter& adapter = adapters_[i];
      list.push_back(
          {adapted_[i]->path, adapter.a.numel() + adapter.b.numel() + adapter.e.numel()});
    }
    return list;
  }
  void merge_into(Sites&) override { fold(adapted_, adapters_); }

  void begin(int64_t updates_in_all) override { allocator_.begin(ranks_, updates_in_all); }
  at::Tensor penalty() const override;
  void after_step(int64_t number, at::Tensor& values, const at::Tensor& gradient,
                  double clip) override {
    allocator_.after_step(ranks_, number, values, gradient, clip);
  }
  std::map<std::string, at::Tensor> state() const override { return allocator_.state(); }

 private:
  void adapt(Linear& linear, Sites& sites, uint64_t seed);
  std::vector<bool> pattern(size_t matrix) const;

  int64_t init_r_ = 12;
  double orthogonality_ = 0.5, alpha_ = 8, dropout_ = 0;
  RankSettings ranks_;
  std::string bias_ = "none";
  bool init_ = true;
  TargetSettings targets_;
  Json original_, rank_pattern_;  // the adapter_config.json that was read, and its field
  std::vector<Linear*> adapted_;
  std::deque<AdaLoraAdapter> adapters_;
  std::vector<std::vector<bool>> patterns_;  // of each matrix's ranks in a folder; empty: none
  std::vector<Trainable> trainables_;        // first A, B, E of each matrix
  RankAllocator allocator_;
};

void AdaLora::declare(Fields& fields) {
  fields.group("AdaLoRA");
  fields.add("init_r", init_r_, "ranks of each matrix at the beginning")
      .at_least(1)
      .changes_result();
  fields.add("target_r", ranks_.target_r, "ranks of each matrix at the end, on average")
      .at_least(1)
      .changes_result();
  fields.add("tinit", ranks_.tinit, "updates before ranks are taken away")
      .at_least(0)
      .changes_result();
  fields.add("tfinal", ranks_.tfinal, "updates after the last rank is taken away")
      .at_least(0)
      .changes_result();
  fields.add("deltaT", ranks_.delta_t, "updates from one allocation of ranks to the next")
      .at_least(1)
      .changes_result();
  fields.add("beta1", ranks_.beta1, "of the moving average of importances")
      .more_than(0)
      .less_than(1)
      .changes_result();
  fields.add("beta2", ranks_.beta2, "of that of their uncertainty")
      .more_than(0)
      .less_than(1)
      .changes_result();
  fields.add("orth_reg_weight", orthogonality_, "weight of the penalty on A and B")
      .at_least(0)
      .changes_result();
  fields.add("total_step", ranks_.total_step, "updates that the schedule of ranks reckons with")
      .at_least(1)
      .default_text("the run's")
      .changes_result();
  fields.add("lora_alpha", alpha_, "the update is scaled by lora_alpha / init_r").changes_result();
  fields.add("lora_dropout", dropout_, "dropout on its input")
      .at_least(0)
      .less_than(1)
      .changes_result();
  fields.add("bias", bias_, "biases that train")
      .one_of({"none", "all", "lora_only"})
      .changes_result();
  fields.add("init_lora_weights", init_, "begin with an update of zero").changes_result();
  targets_.declare(fields);
  targets_.declare_excluded(fields);
  targets_.declare_layers(fields);
}

void AdaLora::attach(Sites& sites, const AttachOptions& options) {
  adapted_ = targets_.choose(sites, options, &DefaultTargets::adalora);
  for (Linear* linear : adapted_) adapt(*linear, sites, options.seed);
  std::vector<RankAllocator::Matrix> matrices;
  for (size_t i = 0; i < adapted_.size(); ++i)
    matrices.push_back({adapters_[i].e.size(0), adapted_[i]->in(), adapted_[i]->out()});
  allocator_.start(matrices);
  train_modules(sites, targets_.saved_modules(), trainables_);
  train_biases(sites, bias_, adapted_, trainables_);
}

void AdaLora::adapt(Linear& linear, Sites& sites, uint64_t seed) {
  AdaLoraAdapter& adapter = adapters_.emplace_back();
  std::vector<bool>& pattern = patterns_.emplace_back();
  int64_t rank = init_r_;
  const std::string key = linear.path + ".lora_E";
  if (rank_pattern_.contains(key)) {
    pattern = rank_pattern_[key].get<std::vector<bool>>();
    rank = std::count(pattern.begin(), pattern.end(), true);
  }
  adapter.scale =
      (alpha_ > 0 ? alpha_ : static_cast<double>(init_r_)) / (static_cast<double>(init_r_) + 1e-5);
  adapter.dropout = {sites.dropout_sites++, dropout_};
  const std::string name = "base_model.model." + linear.path + ".lora_";
  const double deviation = init_ ? 0.02 : 1;
  adapter.a = draw_normal({rank, linear.in()}, deviation, seed, name + "A");
  adapter.b = draw_normal({linear.out(), rank}, deviation, seed, name + "B");
  adapter.e = init_ ? at::zeros({rank, 1}) : draw_normal({rank, 1}, 1, seed, name + "E");
  for (const auto& [letter, tensor] :
       {std::pair{"A", &adapter.a}, {"B", &adapter.b}, {"E", &adapter.e}}) {
    tensor->set_requires_grad(true);
    trainables_.push_back({name + letter, *tensor});
  }
  linear.adapter = &adapter;
}

// Mean over all A and B of ‖A Aᵀ − I‖ and ‖Bᵀ B − I‖.
at::Tensor AdaLora::penalty() const {
  if (orthogonality_ == 0) return {};
  at::Tensor sum;
  const auto add = [&](const at::Tensor& product) {
    const at::Tensor off = (product - at::eye(product.size(0), product.options())).norm();
    sum = sum.defined() ? sum + off : off;
  };
  for (const AdaLoraAdapter& adapter : adapters_) {
    add(at::mm(adapter.a, adapter.a.t()));
    add(at::mm(adapter.b.t(), adapter.b));
  }
  return sum * (orthogonality_ / (2.0 * static_cast<double>(adapters_.size())));
}

std::vector<bool> AdaLora::pattern(size_t matrix) const {
  const at::Tensor ranks = allocator_.kept(matrix);
  const uint8_t* kept = ranks.const_data_ptr<uint8_t>();
  std::vector<bool> pattern = patterns_[matrix];
  if (pattern.empty()) pattern.assign(static_cast<size_t>(ranks.numel()), true);
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i]) pattern[i] = *kept++ != 0;
  }
  return pattern;
}

std::vector<Trainable> AdaLora::exported() const {
  at::NoGradGuard no_grad;
  std::vector<Trainable> exported = trainables_;
  for (size_t i = 0; i < adapters_.size(); ++i) {
    const at::Tensor index = at::nonzero(allocator_.kept(i)).view(-1);
    for (const size_t which : {3 * i, 3 * i + 1, 3 * i + 2}) {
      at::Tensor& value = exported[which].value;
      value = value.index_select(which % 3 == 1 ? 1 : 0, index.to(value.device()));
    }
  }
  return exported;
}

void AdaLora::read_config(const Json& config) {
  original_ = config;
  targets_.read(config);
  refuse_unsupported_lora(config);
  if (config.value("lora_bias", Json()) == true ||
      !config.value("trainable_token_indices", Json()).is_null())
    throw model_error("adapter_config.json: lora_bias and trainable_token_indices are LoRA's only");
  try {
    init_r_ = config.value("init_r", init_r_);
    ranks_.target_r = config.value("target_r", ranks_.target_r);
    ranks_.tinit = config.value("tinit", ranks_.tinit);
    ranks_.tfinal = config.value("tfinal", ranks_.tfinal);
    ranks_.delta_t = config.value("deltaT", ranks_.delta_t);
    ranks_.beta1 = config.value("beta1", ranks_.beta1);
    ranks_.beta2 = config.value("beta2", ranks_.beta2);
    orthogonality_ = config.value("orth_reg_weight", orthogonality_);
    if (const Json total = config.value("total_step", Json()); total.is_number())
      ranks_.total_step = total.get<int64_t>();
    alpha_ = config.value("lora_alpha", alpha_);
    dropout_ = config.value("lora_dropout", dropout_);
    bias_ = config.value("bias", bias_);
    init_ = config.value("init_lora_weights", init_);
    rank_pattern_ = config.value("rank_pattern", Json());
    for (const Json& ranks : rank_pattern_) (void)ranks.get<std::vector<bool>>();
  } catch (const nlohmann::json::exception& error) {
    throw model_error("adapter_config.json: {}", error.what());
  }
}

Json AdaLora::config() const {
  Json config = original_;
  if (!original_.is_object()) {
    config = lora_config_defaults();
    config.update({{"peft_type", "ADALORA"},
                   {"bias", bias_},
                   {"beta1", ranks_.beta1},
                   {"beta2", ranks_.beta2},
                   {"deltaT", ranks_.delta_t},
                   {"fan_in_fan_out", !adapted_.empty() && adapted_.front()->in_by_out},
                   {"init_lora_weights", init_},
                   {"init_r", init_r_},
                   {"layers_to_transform", targets_.layers()},
                   {"lora_alpha", whole(alpha_)},
                   {"lora_dropout", dropout_},
                   {"orth_reg_weight", orthogonality_},
                   {"rank_pattern", nullptr},
                   {"target_r", ranks_.target_r},
                   {"tfinal", ranks_.tfinal},
                   {"tinit", ranks_.tinit},
                   {"total_step", ranks_.total_step ? Json(*ranks_.total_step) : Json()}});
    config.update(targets_.config());
  }
  if (!allocator_.pruned()) return config;
  config["rank_pattern"] = Json::object();
  for (size_t i = 0; i < adapters_.size(); ++i)
    config["rank_pattern"][adapted_[i]->path + ".lora_E"] = pattern(i);
  return config;
}

}  // namespace

std::unique_ptr<Method> make_adalora() { return std::make_unique<AdaLora>(); }

}  // namespace rankwise
