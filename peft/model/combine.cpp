// Arithmetic on the tensors of adapters, module by module.
#include "peft/model/combine.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "peft/base/draw.h"
#include "peft/methods/lora_config.h"
#include "peft/model/file_tensors.h"

namespace rankwise {
namespace {

const std::string kModulePrefix = "base_model.model.", kEndOfA = ".lora_A.weight",
                  kEndOfB = ".lora_B.weight";

struct WeightedPair {
  at::Tensor a, b;    // [R, in], [out, R]
  double scale = 1;   // of B A
  double weight = 1;  // of the adapter
};
using WeightedPairs = std::vector<WeightedPair>;

struct Parts {
  std::map<std::string, WeightedPairs> modules;  // by the module's name
  std::map<std::string, at::Tensor> others;      // heads and biases, the same in all adapters
};

void check_adapter(const AdapterFolder& adapter) {
  const auto refuse = [&](const char* key) {
    throw model_error("{}: '{}' is {}: such adapters cannot be combined",
                      (adapter.folder / "adapter_config.json").string(), key,
                      adapter.config.value(key, Json()).dump());
  };
  if (adapter.config.at("peft_type") != "LORA") refuse("peft_type");
  if (adapter.config.value("use_dora", false)) refuse("use_dora");
  if (adapter.config.value("lora_bias", false)) refuse("lora_bias");
  if (takes_from_weight(adapter.config.value("init_lora_weights", Json())))
    refuse("init_lora_weights");
}

void add_adapter(Parts& parts, const AdapterFolder& adapter, double weight) {
  check_adapter(adapter);
  std::map<std::string, WeightedPair> pairs;
  for (const TensorEntry& entry : adapter.tensors) {
    const std::string& name = entry.name;
    if (name.starts_with(kModulePrefix) && (name.ends_with(kEndOfA) || name.ends_with(kEndOfB))) {
      WeightedPair& pair = pairs[name.substr(kModulePrefix.size(),
                                             name.size() - kModulePrefix.size() - kEndOfA.size())];
      (name.ends_with(kEndOfA) ? pair.a : pair.b) = read_tensor(entry);
      continue;
    }
    const at::Tensor value = read_tensor(entry);
    const auto [known, added] = parts.others.emplace(name, value);
    if (!added && !at::equal(known->second, value))
      throw model_error("{}: '{}' differs between the adapters, and only pairs can be combined",
                        adapter.folder.string(), name);
  }
  for (auto& [module, pair] : pairs) {
    if (!pair.a.defined() || !pair.b.defined() || pair.a.size(0) != pair.b.size(1))
      throw model_error("{}: the pair of '{}' is not whole", adapter.folder.string(), module);
    pair.scale = lora_scale(adapter.config, module, pair.a.size(0));
    pair.weight = weight;
    parts.modules[module].push_back(pair);
  }
}

// The task tensors of one module, combined: [N, ..], weights [N].
class Arithmetic {
 public:
  Arithmetic(const Combination& combination, std::string kind)
      : combination_(combination), kind_(std::move(kind)) {}

  at::Tensor operator()(std::vector<at::Tensor> tensors, const std::vector<double>& weights,
                        const std::string& name) const {
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (kind_ == "ties" || kind_ == "magnitude_prune") tensors[i] = largest(tensors[i]);
      if (kind_.starts_with("dare_")) tensors[i] = some(tensors[i], fmt::format("{}.{}", name, i));
    }
    const at::Tensor stacked = at::stack(tensors);
    std::vector<int64_t> shape(static_cast<size_t>(stacked.dim()), 1);
    shape[0] = stacked.size(0);
    const at::Tensor weighted =
        stacked * at::tensor(weights, at::TensorOptions().dtype(at::kFloat)).view(shape);
    if (!kind_.ends_with("ties")) return weighted.sum(0);
    const at::Tensor agreeing = stacked.sign() == majority_sign(stacked);
    return (weighted * agreeing).sum(0) / agreeing.sum(0).clamp_min(1);
  }

 private:
  at::Tensor largest(const at::Tensor& tensor) const {
    if (*combination_.density >= 1) return tensor;
    const auto count =
        static_cast<int64_t>(*combination_.density * static_cast<double>(tensor.numel()));
    const at::Tensor flat = tensor.reshape(-1);
    at::Tensor mask = at::zeros_like(flat);
    mask.index_fill_(0, std::get<1>(at::topk(flat.abs(), count)), 1);
    return tensor * mask.view(tensor.sizes());
  }

  at::Tensor some(const at::Tensor& tensor, const std::string& name) const {
    if (*combination_.density >= 1) return tensor;
    const at::Tensor drawn =
        draw_uniform(tensor.sizes(), 0.5, static_cast<uint64_t>(combination_.seed), name) + 0.5;
    return tensor * (drawn < *combination_.density) / *combination_.density;
  }

  at::Tensor majority_sign(const at::Tensor& stacked) const {
    const at::Tensor sum =
        (combination_.majority_sign_method == "total" ? stacked : stacked.sign()).sum(0);
    return at::where(sum >= 0, at::ones_like(sum), -at::ones_like(sum));
  }

  const Combination& combination_;
  std::string kind_;  // without "_svd"
};

WeightedPair concatenated(const WeightedPairs& pairs) {
  std::vector<at::Tensor> a, b;
  for (const WeightedPair& pair : pairs) {
    a.push_back(pair.a * (pair.weight * pair.scale));
    b.push_back(pair.b);
  }
  return {at::cat(a, 0), at::cat(b, 1)};
}

WeightedPair added(const WeightedPairs& pairs, const Arithmetic& arithmetic,
                   const std::string& module) {
  std::vector<at::Tensor> a, b;
  std::vector<double> of_a, of_b;
  for (const WeightedPair& pair : pairs) {
    const double factor = pair.weight * pair.scale, root = std::sqrt(std::abs(factor));
    a.push_back(pair.a);
    b.push_back(pair.b);
    of_a.push_back(factor < 0 ? -root : root);  // the sign on one side only
    of_b.push_back(root);
  }
  return {arithmetic(a, of_a, module + kEndOfA), arithmetic(b, of_b, module + kEndOfB)};
}

WeightedPair decomposed(const WeightedPairs& pairs, const Arithmetic& arithmetic,
                        const std::string& module, int64_t rank, std::optional<double> clamp) {
  std::vector<at::Tensor> updates;
  std::vector<double> weights;
  for (const WeightedPair& pair : pairs) {
    updates.push_back(at::mm(pair.b, pair.a) * pair.scale);
    weights.push_back(pair.weight);
  }
  const at::Tensor update = arithmetic(updates, weights, module);
  const int64_t kept = std::min(rank, std::min(update.size(0), update.size(1)));
  const auto [left, values, right] = at::linalg_svd(update, false);
  WeightedPair pair{right.narrow(0, 0, kept), left.narrow(1, 0, kept) * values.narrow(0, 0, kept)};
  if (clamp) {
    const double bound =
        at::quantile(at::cat({pair.b.flatten(), pair.a.flatten()}), *clamp).item<double>();
    pair.a = pair.a.clamp(-bound, bound);
    pair.b = pair.b.clamp(-bound, bound);
  }
  return pair;
}

// Rows of A and columns of B up to `rank`, the new ones zeros.
WeightedPair filled(const WeightedPair& pair, int64_t rank) {
  const int64_t missing = rank - pair.a.size(0);
  if (missing <= 0) return pair;
  return {at::cat({pair.a, at::zeros({missing, pair.a.size(1)})}, 0),
          at::cat({pair.b, at::zeros({pair.b.size(0), missing})}, 1)};
}

int64_t rank_of(const AdapterFolder& adapter) {
  int64_t rank = adapter.config.at("r").get<int64_t>();
  for (const Json& value : adapter.config.value("rank_pattern", Json::object()))
    rank = std::max(rank, value.get<int64_t>());
  return rank;
}

int64_t new_rank(const std::vector<AdapterFolder>& adapters, const Combination& combination) {
  int64_t largest = 0, sum = 0;
  for (const AdapterFolder& adapter : adapters) {
    largest = std::max(largest, rank_of(adapter));
    sum += rank_of(adapter);
  }
  if (combination.type == "cat") return sum;
  if (combination.type.ends_with("svd")) return combination.svd_rank.value_or(largest);
  for (const AdapterFolder& adapter : adapters) {
    if (rank_of(adapter) != largest)
      throw usage_error(
          "--combination_type {}: the ranks differ ({} and {}); cat and the svd forms can do that",
          combination.type, largest, rank_of(adapter));
  }
  return largest;
}

void check(const std::vector<AdapterFolder>& adapters, const Combination& combination) {
  if (combination.weights.size() != adapters.size())
    throw usage_error("--weights has {} numbers for {} adapters", combination.weights.size(),
                      adapters.size());
  const std::string& type = combination.type;
  const bool prunes =
      type.starts_with("ties") || type.starts_with("dare") || type.starts_with("magnitude");
  if (prunes && !combination.density)
    throw usage_error("--combination_type {} needs --density", type);
}

Json config_of(const std::vector<AdapterFolder>& adapters, int64_t rank) {
  Json config = adapters.front().config;
  std::set<std::string> targets;
  bool names = true;
  for (const AdapterFolder& adapter : adapters) {
    const Json target = adapter.config.value("target_modules", Json());
    names &= target.is_array();
    if (target.is_array()) targets.merge(target.get<std::set<std::string>>());
  }
  if (names) {
    config["target_modules"] = targets;
  } else {
    for (const AdapterFolder& adapter : adapters) {
      if (adapter.config.value("target_modules", Json()) != config["target_modules"])
        throw usage_error("adapters whose target_modules are expressions must have the same one");
    }
  }
  config.update({{"r", rank},
                 {"lora_alpha", rank},
                 {"use_rslora", false},
                 {"rank_pattern", Json::object()},
                 {"alpha_pattern", Json::object()}});
  return config;
}

}  // namespace

const std::vector<std::string>& Combination::types() {
  static const std::vector<std::string> list = {"svd",
                                                "linear",
                                                "cat",
                                                "ties",
                                                "ties_svd",
                                                "dare_ties",
                                                "dare_linear",
                                                "dare_ties_svd",
                                                "dare_linear_svd",
                                                "magnitude_prune",
                                                "magnitude_prune_svd"};
  return list;
}

std::map<std::string, std::string> combined_adapter(const std::vector<AdapterFolder>& adapters,
                                                    const Combination& combination) {
  check(adapters, combination);
  Parts parts;
  for (size_t i = 0; i < adapters.size(); ++i)
    add_adapter(parts, adapters[i], combination.weights[i]);
  const int64_t rank = new_rank(adapters, combination);
  const std::string& type = combination.type;
  const bool decomposes = type.ends_with("svd");
  const std::string kind = type == "svd" ? "linear"
                           : decomposes  ? type.substr(0, type.size() - 4)
                                         : type;
  const Arithmetic arithmetic(combination, kind);
  std::vector<TensorBytes> tensors;
  for (const auto& [module, pairs] : parts.modules) {
    WeightedPair pair = type == "cat" ? concatenated(pairs)
                        : decomposes
                            ? decomposed(pairs, arithmetic, module, rank, combination.svd_clamp)
                            : added(pairs, arithmetic, module);
    pair = filled(pair, rank);
    tensors.push_back(tensor_bytes(kModulePrefix + module + kEndOfA, pair.a, at::kFloat));
    tensors.push_back(tensor_bytes(kModulePrefix + module + kEndOfB, pair.b, at::kFloat));
  }
  for (const auto& [name, value] : parts.others)
    tensors.push_back(tensor_bytes(name, value, at::kFloat));
  return adapter_files(config_of(adapters, rank), std::move(tensors), adapters.front().labels);
}

}  // namespace rankwise
