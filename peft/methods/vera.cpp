// VeRA: one random pair of projections for all layers, and vectors that scale them in each
// (Kopiczko et al., 2024; peft's tuners/vera).
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <deque>

#include "peft/base/draw.h"
#include "peft/base/ops/ops.h"
#include "peft/methods/target_settings.h"
#include "peft/methods/trained_base.h"

namespace rankwise {
namespace {

// y = W x + b + λ_b · B (λ_d · A dropout(x)), with as much of A and B as the layer is wide.
struct VeraAdapter : LinearAdapter {
  const at::Tensor *a = nullptr, *b = nullptr;  // [R, widest in], [widest out, R]; frozen
  at::Tensor lambda_b, lambda_d;                // [out], [R]; trained
  DropoutSite dropout;

  at::Tensor forward(const Linear& linear, const at::Tensor& x, const Pass& pass) const override {
    const at::Tensor here_a = a->to(x.device()), here_b = b->to(x.device());
    const at::Tensor small =
        at::linear(rankwise::dropout(x, pass, dropout), here_a.narrow(1, 0, linear.in()));
    const at::Tensor wide = at::linear(small * lambda_d, here_b.narrow(0, 0, linear.out()));
    return rankwise::linear(x, linear.frozen(), linear.bias) + wide * lambda_b;
  }

  at::Tensor merged(const Linear& linear) const {
    const at::Tensor left = b->narrow(0, 0, linear.out()).to(at::kDouble) * lambda_b.unsqueeze(1);
    const at::Tensor right = a->narrow(1, 0, linear.in()).to(at::kDouble) * lambda_d.unsqueeze(1);
    return linear.frozen().unpacked() + at::mm(left, right).to(at::kFloat);
  }
};

class Vera : public Method {
 public:
  void declare(Fields& fields) override {
    fields.group("VeRA");
    fields.add("r", r_, "rank of the shared projections").at_least(1).changes_result();
    fields.add("vera_dropout", dropout_, "dropout on their input")
        .at_least(0)
        .less_than(1)
        .changes_result();
    fields.add("d_initial", d_initial_, "first value of the vectors behind A").changes_result();
    fields.add("projection_prng_key", key_, "seed of the projections").changes_result();
    fields.add("save_projection", save_projection_, "the folder holds the projections too")
        .changes_result();
    fields.add("bias", bias_, "biases that train")
        .one_of({"none", "all", "vera_only"})
        .changes_result();
    fields.add("init_weights", init_, "begin with vectors that change nothing; else at random")
        .changes_result();
    targets_.declare(fields);
    targets_.declare_layers(fields);
  }

  void read_config(const Json& config) override;
  Json config() const override;
  void attach(Sites& sites, const AttachOptions& options) override;
  std::vector<Trainable>& trainables() override { return trainables_; }
  std::vector<Trainable> constants() const override {
    if (!save_projection_) return {};
    return {{"base_model.vera_A", a_}, {"base_model.vera_B", b_}};
  }
  std::vector<Trainable> exported() const override {
    std::vector<Trainable> exported = constants();
    exported.insert(exported.end(), trainables_.begin(), trainables_.end());
    return exported;
  }
  std::vector<Target> targets() const override {
    std::vector<Target> list;
    for (const Linear* linear : adapted_) list.push_back({linear->path, linear->out() + r_});
    return list;
  }
  void merge_into(Sites&) override { fold(adapted_, adapters_); }

 private:
  void draw_projections();
  void adapt(Linear& linear, Sites& sites, uint64_t seed);

  int64_t r_ = 256, key_ = 0;
  double dropout_ = 0, d_initial_ = 0.1;
  bool save_projection_ = true, init_ = true;
  std::string bias_ = "none";
  TargetSettings targets_;
  Json original_;  // the adapter_config.json that was read
  at::Tensor a_, b_;
  std::vector<Linear*> adapted_;
  std::deque<VeraAdapter> adapters_;
  std::vector<Trainable> trainables_;
};

void Vera::attach(Sites& sites, const AttachOptions& options) {
  adapted_ = targets_.choose(sites, options, &DefaultTargets::lora);
  draw_projections();
  for (Linear* linear : adapted_) adapt(*linear, sites, options.seed);
  train_modules(sites, targets_.saved_modules(), trainables_);
  train_biases(sites, bias_, adapted_, trainables_);
}

// From torch's own generator, A before B, so that a folder without them means the same in peft.
void Vera::draw_projections() {
  int64_t in = 0, out = 0;
  for (const Linear* linear : adapted_) {
    in = std::max(in, linear->in());
    out = std::max(out, linear->out());
  }
  at::Generator generator = at::detail::createCPUGenerator(static_cast<uint64_t>(key_));
  const auto draw = [&](int64_t rows, int64_t columns) {
    const double bound = std::sqrt(6 / static_cast<double>(columns));
    return at::empty({rows, columns}).uniform_(-bound, bound, generator);
  };
  a_ = draw(r_, in);
  b_ = draw(out, r_);
}

void Vera::adapt(Linear& linear, Sites& sites, uint64_t seed) {
  VeraAdapter& adapter = adapters_.emplace_back();
  adapter.a = &a_;
  adapter.b = &b_;
  adapter.dropout = {sites.dropout_sites++, dropout_};
  adapter.lambda_b = init_ ? at::zeros({linear.out()}) : at::ones({linear.out()});
  const std::string name = "base_model.model." + linear.path + ".vera_lambda_";
  adapter.lambda_d = init_ ? at::full({r_}, d_initial_) : draw_normal({r_}, 1, seed, name + "d");
  for (const auto& [letter, vector] :
       {std::pair{"b", &adapter.lambda_b}, {"d", &adapter.lambda_d}}) {
    vector->set_requires_grad(true);
    trainables_.push_back({name + letter, *vector});
  }
  linear.adapter = &adapter;
}

void Vera::read_config(const Json& config) {
  original_ = config;
  targets_.read(config);
  if (!config.value("layers_pattern", Json()).is_null())
    throw model_error("adapter_config.json: 'layers_pattern' is not supported");
  try {
    r_ = config.value("r", r_);
    key_ = config.value("projection_prng_key", key_);
    dropout_ = config.value("vera_dropout", dropout_);
    d_initial_ = config.value("d_initial", d_initial_);
    save_projection_ = config.value("save_projection", save_projection_);
    bias_ = config.value("bias", bias_);
    init_ = config.value("init_weights", init_);
  } catch (const nlohmann::json::exception& error) {
    throw model_error("adapter_config.json: {}", error.what());
  }
}

Json Vera::config() const {
  if (original_.is_object()) return original_;
  Json config = {{"peft_type", "VERA"},
                 {"bias", bias_},
                 {"d_initial", d_initial_},
                 {"fan_in_fan_out", !adapted_.empty() && adapted_.front()->in_by_out},
                 {"init_weights", init_},
                 {"layers_pattern", nullptr},
                 {"layers_to_transform", targets_.layers()},
                 {"projection_prng_key", key_},
                 {"r", r_},
                 {"save_projection", save_projection_},
                 {"vera_dropout", dropout_}};
  config.update(targets_.config());
  config.erase("exclude_modules");
  return config;
}

}  // namespace

std::unique_ptr<Method> make_vera() { return std::make_unique<Vera>(); }

}  // namespace rankwise
