// From options or an adapter_config.json to linears.
#include "peft/methods/target_settings.h"

#include <algorithm>

#include "peft/methods/trained_base.h"

namespace rankwise {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

void TargetSettings::declare(Fields& fields) {
  fields.add("target_modules", target_, "names, one regular expression, or all-linear")
      .default_text("by family")
      .changes_result();
  fields.add("modules_to_save", modules_to_save_, "further modules that train and are saved whole")
      .changes_result();
}

void TargetSettings::declare_excluded(Fields& fields) {
  fields.add("exclude_modules", exclude_, "names or one regular expression to leave out")
      .changes_result();
}

void TargetSettings::declare_layers(Fields& fields) {
  fields.add("layers_to_transform", layers_, "numbers of the layers to act on")
      .default_text("all")
      .changes_result();
}

void TargetSettings::read(const Json& config) {
  try {
    target_read_ = ModulePattern::from_json(config.value("target_modules", Json()));
    exclude_read_ = ModulePattern::from_json(config.value("exclude_modules", Json()));
    if (const Json layers = config.value("layers_to_transform", Json()); layers.is_array()) {
      for (const Json& layer : layers) layers_.push_back(layer.get<int64_t>());
    } else if (layers.is_number()) {
      layers_ = {layers.get<int64_t>()};
    }
    if (const Json saved = config.value("modules_to_save", Json()); saved.is_array())
      modules_to_save_ = saved.get<std::vector<std::string>>();
  } catch (const nlohmann::json::exception& error) {
    throw model_error("adapter_config.json: {}", error.what());
  }
}

std::vector<Linear*> TargetSettings::choose(const Sites& sites, const AttachOptions& options,
                                            std::vector<std::string> DefaultTargets::*defaults,
                                            bool embeddings) {
  saved_modules_ = sites.head_modules;
  std::vector<std::string> asked;
  for (const std::string& name : modules_to_save_) {
    if (!contains(sites.head_modules, name)) asked.push_back(name);
    if (!contains(saved_modules_, name)) saved_modules_.push_back(name);
  }
  check_modules(sites, asked);

  TargetOptions chosen;
  chosen.target = target_read_.empty() ? ModulePattern::parse(target_) : target_read_;
  if (chosen.target.empty())
    chosen.target = ModulePattern(default_targets(options.model_type, defaults));
  chosen.exclude = exclude_read_.empty() ? ModulePattern::parse(exclude_) : exclude_read_;
  chosen.layers = layers_;
  chosen.modules_to_save = saved_modules_;
  chosen.allow_missing = options.allow_missing_targets;
  chosen.embeddings = embeddings;
  words_chosen_ = matches_words(sites, chosen);
  const std::vector<Linear*> linears = matching_linears(sites, chosen);
  targets_ = chosen.target.all_linear() || !chosen.layers.empty()
                 ? Json(shortest_names(sites, linears))
                 : chosen.target.json();
  return linears;
}

Json TargetSettings::config() const {
  return {{"target_modules", targets_},
          {"exclude_modules", ModulePattern::parse(exclude_).json()},
          {"modules_to_save", saved_modules_.empty() ? Json() : Json(saved_modules_)}};
}

Json TargetSettings::layers() const { return layers_.empty() ? Json() : Json(layers_); }

}  // namespace rankwise
