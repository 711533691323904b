// Names, defaults and kinds of the fields.
#include "peft/methods/bottleneck_settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "distributed/core/field.h"

namespace rankwise {
namespace {

const Json& defaults() {
  static const Json values = {{"adapter_residual_before_ln", false},
                              {"cross_adapter", false},
                              {"dropout", 0.0},
                              {"factorized_phm_W", true},
                              {"factorized_phm_rule", false},
                              {"hypercomplex_nonlinearity", "glorot-uniform"},
                              {"init_weights", "bert"},
                              {"init_weights_seed", nullptr},
                              {"inv_adapter", nullptr},
                              {"inv_adapter_reduction_factor", nullptr},
                              {"is_parallel", false},
                              {"learn_phm", true},
                              {"leave_out", Json::array()},
                              {"ln_after", false},
                              {"ln_before", false},
                              {"mh_adapter", false},
                              {"non_linearity", "relu"},
                              {"original_ln_after", true},
                              {"original_ln_before", false},
                              {"output_adapter", true},
                              {"phm_bias", true},
                              {"phm_c_init", "normal"},
                              {"phm_dim", 4},
                              {"phm_init_range", 0.0001},
                              {"phm_layer", false},
                              {"phm_rank", 1},
                              {"reduction_factor", 16},
                              {"residual_before_ln", true},
                              {"scaling", 1.0},
                              {"shared_W_phm", false},
                              {"shared_phm_rule", true},
                              {"stochastic_depth", 0.0},
                              {"use_gating", false}};
  return values;
}

struct Preset {
  std::vector<std::string> names;
  Json changes;
};

const std::vector<Preset>& presets() {
  static const std::vector<Preset> list = {
      {{"pfeiffer", "seq_bn"}, {{"original_ln_before", true}}},  // Pfeiffer et al., 2020
      {{"houlsby", "double_seq_bn"},                             // Houlsby et al., 2019
       {{"mh_adapter", true}, {"non_linearity", "swish"}}},
      {{"parallel", "scaled_parallel", "par_bn"},  // He et al., 2021
       {{"init_weights", "mam_adapter"},
        {"is_parallel", true},
        {"reduction_factor", 2},
        {"scaling", 4.0}}},
      {{"adapter_plus"},  // Steitz & Roth, 2024, whose stochastic depth is for images
       {{"original_ln_before", true},
        {"original_ln_after", false},
        {"residual_before_ln", false},
        {"init_weights", "houlsby"},
        {"scaling", "channel"},
        {"reduction_factor", 96},
        {"non_linearity", "gelu"},
        {"stochastic_depth", 0.1}}},
  };
  return list;
}

[[noreturn]] void refuse(ErrorKind kind, const std::string& what, const std::string& hint = "") {
  const char* where = kind == ErrorKind::kUsage ? "--adapter_config" : "adapter_config.json";
  throw Error(kind, fmt::format("{}: {}", where, what), hint);
}

std::string trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \"'");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \"'") - begin + 1));
}

Json value_of(const std::string& text) {
  if (text == "true" || text == "True") return true;
  if (text == "false" || text == "False") return false;
  if (text == "null" || text == "None") return nullptr;
  const Json value = Json::parse(text, nullptr, false);
  return value.is_discarded() ? Json(text) : value;
}

// "a=1, b=[1, 2]": cut at commas outside brackets.
Json changes_of(std::string_view list) {
  Json changes = Json::object();
  int depth = 0;
  for (size_t begin = 0, at = 0; at <= list.size(); ++at) {
    if (at < list.size()) {
      depth += (list[at] == '[' || list[at] == '{') - (list[at] == ']' || list[at] == '}');
      if (list[at] != ',' || depth > 0) continue;
    }
    const std::string_view change = list.substr(begin, at - begin);
    begin = at + 1;
    if (trimmed(change).empty()) continue;
    const size_t equals = change.find('=');
    if (equals == std::string_view::npos)
      refuse(ErrorKind::kUsage, fmt::format("'{}' has no '='", trimmed(change)));
    changes[trimmed(change.substr(0, equals))] = value_of(trimmed(change.substr(equals + 1)));
  }
  return changes;
}

Json preset(const std::string& name) {
  std::vector<std::string> known;
  for (const Preset& one : presets()) {
    if (std::find(one.names.begin(), one.names.end(), name) != one.names.end()) return one.changes;
    known.insert(known.end(), one.names.begin(), one.names.end());
  }
  const std::string near = nearest_name(name, known);
  refuse(ErrorKind::kUsage, fmt::format("'{}' is not a config that is supported", name),
         near.empty() ? fmt::format("supported: {}", fmt::join(known, ", "))
                      : fmt::format("did you mean {}?", near));
}

Json completed(const Json& changes, ErrorKind kind) {
  Json all = defaults();
  for (const auto& [name, value] : changes.items()) {
    if (!all.contains(name)) {
      std::vector<std::string> known;
      for (const auto& [field, unused] : all.items()) known.push_back(field);
      if (kind == ErrorKind::kModel) continue;  // as `adapters` passes over what it does not know
      const std::string near = nearest_name(name, known);
      refuse(kind, fmt::format("no field '{}'", name),
             near.empty() ? "" : fmt::format("did you mean {}?", near));
    }
    all[name] = value;
  }
  return all;
}

}  // namespace

BottleneckSettings BottleneckSettings::parse(const std::string& text) {
  const ErrorKind kind = ErrorKind::kUsage;
  if (trimmed(text).starts_with('{'))
    return {completed(parse_json(text, "--adapter_config", kind), kind), kind};
  const size_t bracket = text.find('[');
  Json changes = preset(trimmed(text.substr(0, bracket)));
  if (bracket != std::string::npos) {
    if (!text.ends_with(']')) refuse(kind, fmt::format("'{}' has no ']' at its end", text));
    changes.update(
        changes_of(std::string_view(text).substr(bracket + 1, text.size() - bracket - 2)));
  }
  return {completed(changes, kind), kind};
}

BottleneckSettings BottleneckSettings::from_json(const Json& config) {
  if (!config.is_object()) refuse(ErrorKind::kModel, "'config' is not an object");
  return {completed(config, ErrorKind::kModel), ErrorKind::kModel};
}

void BottleneckSettings::check_supported(ErrorKind kind) const {
  if (!json_["inv_adapter"].is_null())
    refuse(kind, "invertible adapters (inv_adapter) are not supported");
  if (json_["phm_layer"] == true)
    refuse(kind, "hypercomplex layers (phm_layer, Compacter) are not supported");
  if (json_["stochastic_depth"] != 0.0)
    refuse(kind, "stochastic_depth is not supported", "set it to 0");
  const Json& factor = json_["reduction_factor"];
  const auto positive = [](const Json& value) { return value.is_number() && value > 0; };
  const bool fits =
      factor.is_object() ? std::all_of(factor.begin(), factor.end(), positive) : positive(factor);
  if (!fits) refuse(kind, fmt::format("reduction_factor is {}, must be above 0", factor.dump()));
  if (dropout < 0 || dropout >= 1)
    refuse(kind, fmt::format("dropout is {}, must be at least 0 and less than 1", dropout));
  if (kinds_.empty())
    refuse(kind, "mh_adapter, output_adapter and cross_adapter are all false: nothing would train");
}

BottleneckSettings::BottleneckSettings(Json json, ErrorKind kind) : json_(std::move(json)) {
  const auto flag = [&](const char* name) { return json_.at(name).get<bool>(); };
  try {
    if (flag("mh_adapter")) kinds_.insert(BlockKind::kAttention);
    if (flag("output_adapter")) kinds_.insert(BlockKind::kFeedForward);
    if (flag("cross_adapter")) kinds_.insert(BlockKind::kCrossAttention);
    left_out_ = json_.at("leave_out").get<std::set<int64_t>>();
    parallel = flag("is_parallel");
    original_ln_before = flag("original_ln_before");
    original_ln_after = flag("original_ln_after");
    const Json& before = json_.at("residual_before_ln");
    if (before == "post_add" && original_ln_before) {
      residual = Residual::kSum;
    } else if (before == false) {
      residual = Residual::kNormedSum;
    } else if (before != true) {
      refuse(kind, fmt::format("residual_before_ln is {}", before.dump()));
    }
    ln_before = flag("ln_before");
    ln_after = flag("ln_after");
    residual_before_ln_after = flag("adapter_residual_before_ln");
    non_linearity = json_.at("non_linearity").get<std::string>();
    std::transform(non_linearity.begin(), non_linearity.end(), non_linearity.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    const Json& scale = json_.at("scaling");
    if (scale == "learned" || scale == "channel") {
      scaling_kind = scale == "learned" ? Scaling::kLearned : Scaling::kChannel;
    } else {
      scaling = scale.get<double>();
    }
    gating = flag("use_gating");
    dropout = json_.at("dropout").get<double>();
    init_weights = json_.at("init_weights").get<std::string>();
    if (const Json& seed = json_.at("init_weights_seed"); !seed.is_null()) {
      same_init_everywhere = true;
      init_seed = seed.get<uint64_t>();
    }
  } catch (const nlohmann::json::exception& error) {
    refuse(kind, error.what());
  }
  if (init_weights != "bert" && init_weights != "mam_adapter" && init_weights != "houlsby")
    refuse(kind,
           fmt::format("init_weights is '{}'; there are bert, mam_adapter, houlsby", init_weights));
  check_supported(kind);
}

bool BottleneckSettings::acts_at(const BlockOutput& block) const {
  return kinds_.contains(block.kind) && !left_out_.contains(block.layer);
}

int64_t BottleneckSettings::bottleneck(const BlockOutput& block) const {
  Json factor = json_["reduction_factor"];
  if (factor.is_object()) {
    const std::string layer = std::to_string(block.layer);
    if (!factor.contains(layer) && !factor.contains("default"))
      throw usage_error("reduction_factor has neither layer {} nor a default", layer);
    factor = Json(factor.contains(layer) ? factor[layer] : factor["default"]);
  }
  const auto size =
      static_cast<int64_t>(std::floor(static_cast<double>(block.size) / factor.get<double>()));
  return std::max<int64_t>(size, 1);
}

}  // namespace rankwise
