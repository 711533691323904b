// LoRA: y = W x + b + s · B A dropout(x) (Hu et al., 2021; peft's tuners/lora), its options and
// files. The products are in lora_linear.cpp.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <utility>

#include "peft/base/draw.h"
#include "peft/methods/lora_config.h"
#include "peft/methods/lora_embedding.h"
#include "peft/methods/lora_linear.h"
#include "peft/methods/target_settings.h"
#include "peft/methods/trained_base.h"
#include "peft/methods/trained_tokens.h"

namespace rankwise {
namespace {

class Lora : public Method {
 public:
  void declare(Fields& fields) override {
    fields.group("LoRA");
    fields.add("r", r_, "rank of the low-rank pair").at_least(1).changes_result();
    fields.add("lora_alpha", alpha_, "the pair is scaled by lora_alpha / r").changes_result();
    fields.add("lora_dropout", dropout_, "dropout on the pair's input")
        .at_least(0)
        .less_than(1)
        .changes_result();
    targets_.declare(fields);
    targets_.declare_excluded(fields);
    targets_.declare_layers(fields);
    fields.add("rank_pattern", rank_pattern_, "JSON: module name or expression → r")
        .changes_result();
    fields.add("alpha_pattern", alpha_pattern_, "JSON: module name or expression → lora_alpha")
        .changes_result();
    fields.add("use_rslora", rslora_, "scale by lora_alpha / √r").changes_result();
    fields.add("bias", bias_, "biases that train")
        .one_of({"none", "all", "lora_only"})
        .changes_result();
    fields
        .add("init_lora_weights", init_,
             "true: B is 0; false: neither is; gaussian: A is normal; pissa, olora: the largest "
             "part of the weight, which is taken out of it")
        .one_of({"true", "false", "gaussian", "pissa", "olora"})
        .changes_result();
    fields
        .add("trainable_token_indices", token_ids_,
             "ids of tokens whose rows of the word embeddings train")
        .default_text("none")
        .changes_result();
    fields.add("lora_bias", lora_bias_, "a bias of B's own").changes_result();
    fields.add("use_dora", dora_, "magnitudes of their own for the rows of W + s · B A")
        .changes_result();
  }

  void read_config(const Json& config) override;
  void read_init(const Json& init);
  Json config() const override;
  void attach(Sites& sites, const AttachOptions& options) override;
  std::vector<Trainable>& trainables() override { return trainables_; }
  std::vector<Trainable> exported() const override { return trainables_; }
  std::vector<Target> targets() const override;
  void merge_into(Sites& sites) override;
  std::string why_alone() const override;
  bool ignores(const std::string& name) const override {
    if (words_ && name.ends_with(".base_layer.weight")) return true;  // as it was
    return bias_ == "all" && (name.find(".modules_to_save.") != std::string::npos ||
                              name.find(".original_module.") != std::string::npos);
  }

 private:
  struct Size {
    int64_t rank;
    double scale;
  };
  Size size_of(const std::string& module) const;  // errors: kUsage
  void read_token_ids(const Json& ids);           // errors: kModel
  void adapt(Linear& linear, Sites& sites, const AttachOptions& options);
  void adapt_words(Sites& sites, uint64_t seed);
  void check_start(const Linear& linear, int64_t rank) const;
  void initialize(LoraAdapter& adapter, const Linear& linear, int64_t rank, uint64_t seed) const;

  int64_t r_ = 8;
  double alpha_ = 8, dropout_ = 0;
  std::string rank_pattern_ = "{}", alpha_pattern_ = "{}", bias_ = "none", init_ = "true";
  bool rslora_ = false, dora_ = false, lora_bias_ = false;
  TargetSettings targets_;
  Json original_;  // the adapter_config.json that was read: settings that are kept as they came
  std::vector<int64_t> token_ids_;
  TrainedTokens tokens_;
  std::deque<LoraAdapter> adapters_;
  LoraEmbedding embedding_;
  Embedding* words_ = nullptr;  // null: not adapted
  std::vector<Linear*> adapted_;
  std::vector<Trainable> trainables_;
};

void Lora::attach(Sites& sites, const AttachOptions& options) {
  adapted_ = targets_.choose(sites, options, &DefaultTargets::lora, true);
  for (Linear* linear : adapted_) adapt(*linear, sites, options);
  if (targets_.words_chosen()) adapt_words(sites, options.seed);
  train_modules(sites, targets_.saved_modules(), trainables_);
  if (!token_ids_.empty()) tokens_.attach(sites, token_ids_, trainables_);
  train_biases(sites, bias_, adapted_, trainables_);
}

Lora::Size Lora::size_of(const std::string& module) const {
  const double rank = pattern_value(parse_json(rank_pattern_, "--rank_pattern", ErrorKind::kUsage),
                                    module, static_cast<double>(r_));
  const double alpha = pattern_value(
      parse_json(alpha_pattern_, "--alpha_pattern", ErrorKind::kUsage), module, alpha_);
  if (rank < 1)
    throw usage_error("--rank_pattern: the rank of '{}' is {}, must be at least 1", module, rank);
  const auto whole_rank = static_cast<int64_t>(rank);
  return {whole_rank, lora_scale(alpha, whole_rank, rslora_)};
}

void Lora::adapt_words(Sites& sites, uint64_t seed) {
  Embedding& words = *sites.words;
  if (dora_ || lora_bias_ || takes_from_weight(init_))
    throw usage_error("'{}': embeddings are adapted by plain LoRA only", words.path);
  if (sites.encoder_decoder())
    throw usage_error("'{}': an encoder and a decoder share it; peft would adapt neither's use",
                      words.path);
  const auto [rank, scale] = size_of(words.path);
  words_ = &words;
  embedding_.scale = scale;
  embedding_.padding = words.padding;
  const std::string name = "base_model.model." + words.path + ".lora_embedding_";
  const int64_t vocabulary = words.table.size(0), size = words.table.size(1);
  embedding_.a = init_ == "false" ? draw_normal({rank, vocabulary}, 1, seed, name + "A")
                                  : at::zeros({rank, vocabulary});
  embedding_.b = draw_normal({size, rank}, 1, seed, name + "B");
  for (const auto& [letter, tensor] : {std::pair{"A", &embedding_.a}, {"B", &embedding_.b}}) {
    tensor->set_requires_grad(true);
    trainables_.push_back({name + letter, *tensor});
  }
  embedding_.beneath = std::exchange(words.adapter, &embedding_);
}

void Lora::adapt(Linear& linear, Sites& sites, const AttachOptions& options) {
  const auto [rank, scale] = size_of(linear.path);
  LoraAdapter& adapter = adapters_.emplace_back();
  adapter.scale = scale;
  adapter.dropout = dropout_;
  adapter.site = sites.dropout_sites++;
  check_start(linear, rank);
  initialize(adapter, linear, rank, options.seed);
  adapter.beneath = std::exchange(linear.adapter, &adapter);
  const std::string name = "base_model.model." + linear.path;
  trainables_.push_back({name + ".lora_A.weight", adapter.a});
  trainables_.push_back({name + ".lora_B.weight", adapter.b});
  if (lora_bias_) trainables_.push_back({name + ".lora_B.bias", adapter.b_bias, false});
  if (!dora_) return;
  adapter.add_magnitude(linear);
  trainables_.push_back({name + ".lora_magnitude_vector", adapter.magnitude});
}

void Lora::check_start(const Linear& linear, int64_t rank) const {
  if (lora_bias_ && (dora_ || (init_ != "true" && init_ != "false")))
    throw usage_error("--lora_bias: not together with {}",
                      dora_ ? "--use_dora" : "--init_lora_weights " + init_);
  if (!takes_from_weight(init_)) return;
  if (dora_) throw usage_error("--init_lora_weights {}: not together with --use_dora", init_);
  if (rank > std::min(linear.in(), linear.out()))
    throw usage_error("--init_lora_weights {}: the rank {} is above the smaller side of '{}', {}",
                      init_, rank, linear.path, std::min(linear.in(), linear.out()));
}

void Lora::initialize(LoraAdapter& adapter, const Linear& linear, int64_t rank,
                      uint64_t seed) const {
  if (takes_from_weight(init_) && !linear.frozen().shape_only()) {
    if (init_ == "pissa") adapter.take_principal_part(linear, rank);
    if (init_ == "olora") adapter.take_first_columns(linear, rank);
    adapter.a.set_requires_grad(true);
    adapter.b.set_requires_grad(true);
    return;
  }
  const double bound_in = 1 / std::sqrt(static_cast<double>(linear.in()));
  const std::string name_a = linear.path + ".lora_A", name_b = linear.path + ".lora_B";
  adapter.a = init_ == "gaussian"
                  ? draw_normal({rank, linear.in()}, 1.0 / static_cast<double>(rank), seed, name_a)
                  : draw_uniform({rank, linear.in()}, bound_in, seed, name_a);
  adapter.b = init_ == "false"
                  ? draw_uniform({linear.out(), rank}, 1 / std::sqrt(static_cast<double>(rank)),
                                 seed, name_b)
                  : at::zeros({linear.out(), rank});
  adapter.a.set_requires_grad(true);
  adapter.b.set_requires_grad(true);
  if (!lora_bias_) return;
  const double bound = 1 / std::sqrt(static_cast<double>(rank));
  adapter.b_bias = init_ == "false" ? draw_uniform({linear.out()}, bound, seed, name_b + ".bias")
                                    : at::zeros({linear.out()});
  adapter.b_bias.set_requires_grad(true);
}

std::vector<Method::Target> Lora::targets() const {
  std::vector<Target> list;
  for (size_t i = 0; i < adapted_.size(); ++i) {
    const LoraAdapter& adapter = adapters_[i];
    int64_t parameters = adapter.a.numel() + adapter.b.numel();
    if (dora_) parameters += adapter.magnitude.numel();
    if (lora_bias_) parameters += adapter.b_bias.numel();
    list.push_back({adapted_[i]->path, parameters});
  }
  if (words_) list.push_back({words_->path, embedding_.a.numel() + embedding_.b.numel()});
  if (!token_ids_.empty()) list.push_back({"trained tokens", tokens_.parameters()});
  return list;
}

void Lora::merge_into(Sites&) {
  at::NoGradGuard no_grad;
  for (size_t i = 0; lora_bias_ && i < adapted_.size(); ++i) {
    Linear& linear = *adapted_[i];
    if (!linear.bias.defined())
      throw usage_error("lora_bias cannot be merged: '{}' has no bias", linear.path);
    linear.bias = linear.bias + adapters_[i].b_bias * adapters_[i].scale;
  }
  fold(adapted_, adapters_);
  if (!token_ids_.empty()) tokens_.merge();
  if (!words_) return;
  words_->table = embedding_.merged(*words_);
  words_->blocks = {};
  words_->adapter = nullptr;
}

std::string Lora::why_alone() const {
  if (dora_) return "DoRA's magnitudes hold for one adapter";
  if (bias_ != "none") return "it trained the base's biases";
  if (!token_ids_.empty()) return "it trained rows of the word embeddings";
  if (takes_from_weight(init_)) return "it takes a part out of the frozen weights";
  return "";
}

void Lora::read_config(const Json& config) {
  original_ = config;
  targets_.read(config);
  refuse_unsupported_lora(config);
  try {
    r_ = config.value("r", r_);
    alpha_ = config.value("lora_alpha", alpha_);
    dropout_ = config.value("lora_dropout", dropout_);
    rslora_ = config.value("use_rslora", false);
    dora_ = config.value("use_dora", false);
    lora_bias_ = config.value("lora_bias", false);
    bias_ = config.value("bias", bias_);
    read_init(config.value("init_lora_weights", Json(true)));
    read_token_ids(config.value("trainable_token_indices", Json()));
    rank_pattern_ = config.value("rank_pattern", Json::object()).dump();
    alpha_pattern_ = config.value("alpha_pattern", Json::object()).dump();
  } catch (const nlohmann::json::exception& error) {
    throw model_error("adapter_config.json: {}", error.what());
  }
}

// Of the ways to begin, only those that change the frozen weight matter to a folder.
void Lora::read_init(const Json& init) {
  if (takes_from_weight(init)) init_ = init.get<std::string>();
  if (init.is_string() && init.get<std::string>().starts_with("pissa_niter_"))
    throw Error(ErrorKind::kModel,
                fmt::format("adapter_config.json: 'init_lora_weights' is {}, which takes a random "
                            "approximation out of the weights",
                            init.dump()),
                "save it in peft with path_initial_model_for_weight_conversion");
}

// A list, or an object with one list under the name of the embeddings.
void Lora::read_token_ids(const Json& ids) {
  if (ids.is_null()) return;
  if (ids.is_object() && ids.size() == 1) return read_token_ids(ids.front());
  if (!ids.is_array())
    throw model_error("adapter_config.json: 'trainable_token_indices' is {}", ids.dump());
  token_ids_ = ids.get<std::vector<int64_t>>();
}

Json Lora::config() const {
  if (original_.is_object()) return original_;
  const Json init = init_ == "true" || init_ == "false" ? Json(init_ == "true") : Json(init_);
  Json config = lora_config_defaults();
  config.update(
      {{"peft_type", "LORA"},
       {"r", r_},
       {"lora_alpha", whole(alpha_)},
       {"lora_dropout", dropout_},
       {"layers_to_transform", targets_.layers()},
       {"rank_pattern", parse_json(rank_pattern_, "--rank_pattern", ErrorKind::kUsage)},
       {"alpha_pattern", parse_json(alpha_pattern_, "--alpha_pattern", ErrorKind::kUsage)},
       {"use_rslora", rslora_},
       {"bias", bias_},
       {"init_lora_weights", init},
       {"fan_in_fan_out", !adapted_.empty() && adapted_.front()->in_by_out},
       {"lora_bias", lora_bias_},
       {"use_dora", dora_}});
  if (!token_ids_.empty()) config["trainable_token_indices"] = token_ids_;
  config.update(targets_.config());
  return config;
}

}  // namespace

std::unique_ptr<Method> make_lora() { return std::make_unique<Lora>(); }

}  // namespace rankwise
