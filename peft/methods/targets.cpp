// Matching follows peft's rules to the letter, but a name that matches nothing is an error.
#include "peft/methods/targets.h"

#include <algorithm>
#include <regex>
#include <set>

#include "distributed/core/field.h"

namespace rankwise {
namespace {

bool ends_with_part(const std::string& module, const std::string& name) {
  return module == name || module.ends_with("." + name);
}

std::regex compiled(const std::string& expression, const std::string& what) {
  try {
    return std::regex(expression);
  } catch (const std::regex_error& error) {
    throw usage_error("{} '{}': not a regular expression: {}", what, expression, error.what());
  }
}

// The number after the first ".<name>." as peft finds it; nothing where there is none.
std::optional<int64_t> layer_of(const std::string& module) {
  static const std::regex numbered(R"(.*?\.[^.]*\.(\d{1,9})\..*)");
  std::smatch found;
  if (!std::regex_match(module, found, numbered)) return std::nullopt;
  return std::stoll(found[1]);
}

bool in_chosen_layer(const TargetOptions& options, const std::string& module) {
  if (options.layers.empty()) return true;
  const std::optional<int64_t> layer = layer_of(module);
  return layer &&
         std::find(options.layers.begin(), options.layers.end(), *layer) != options.layers.end();
}

void check_every_name(const Sites& sites, const ModulePattern& target, bool embeddings) {
  std::set<std::string> parts;
  if (embeddings) parts.insert(sites.words->path.substr(sites.words->path.rfind('.') + 1));
  for (const Linear* linear : sites.linears)
    parts.insert(linear->path.substr(linear->path.rfind('.') + 1));
  for (const std::string& name : target.names()) {
    const bool found =
        std::any_of(sites.linears.begin(), sites.linears.end(),
                    [&](const Linear* linear) { return ends_with_part(linear->path, name); });
    if (found || (embeddings && ends_with_part(sites.words->path, name))) continue;
    const std::string near = nearest_name(name, {parts.begin(), parts.end()});
    throw Error(ErrorKind::kUsage,
                fmt::format("--target_modules: '{}' matches no linear of the model", name),
                near.empty() ? "`rankwise inspect --target_modules all-linear` lists them; "
                               "--allow_missing_targets passes over it"
                             : fmt::format("did you mean '{}'?", near));
  }
}

}  // namespace

ModulePattern ModulePattern::parse(const std::string& text) {
  ModulePattern pattern;
  if (text == "all-linear" || text.find_first_of("*+?()[]{}|^$\\") != std::string::npos) {
    pattern.expression_ = text;
    if (text != "all-linear") compiled(text, "target expression");
    return pattern;
  }
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) pattern.names_.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return pattern;
}

ModulePattern ModulePattern::from_json(const Json& value) {
  ModulePattern pattern;
  if (value.is_string()) pattern.expression_ = value.get<std::string>();
  if (value.is_array()) pattern.names_ = value.get<std::vector<std::string>>();
  return pattern;
}

bool ModulePattern::matches(const std::string& module) const {
  if (all_linear()) return true;
  if (!expression_.empty())
    return std::regex_match(module, compiled(expression_, "target expression"));
  return std::any_of(names_.begin(), names_.end(),
                     [&](const std::string& name) { return ends_with_part(module, name); });
}

Json ModulePattern::json() const {
  if (!expression_.empty()) return expression_;
  return names_.empty() ? Json(nullptr) : Json(names_);
}

bool is_saved_module(const std::vector<std::string>& modules_to_save, const std::string& module) {
  for (size_t end = module.size(); end != std::string::npos && end > 0;
       end = module.rfind('.', end - 1)) {
    const std::string_view holder = std::string_view(module).substr(0, end);
    for (const std::string& name : modules_to_save) {
      if (holder.ends_with(name)) return true;
    }
  }
  return false;
}

bool matches_words(const Sites& sites, const TargetOptions& options) {
  return options.embeddings && sites.words && !options.target.all_linear() &&
         options.layers.empty() && options.target.matches(sites.words->path) &&
         !options.exclude.matches(sites.words->path);
}

std::vector<Linear*> matching_linears(const Sites& sites, const TargetOptions& options) {
  std::vector<Linear*> chosen;
  for (Linear* linear : sites.linears) {
    if (is_saved_module(options.modules_to_save, linear->path) ||
        options.exclude.matches(linear->path))
      continue;
    if (options.target.all_linear() && linear->path == sites.output_embedding) continue;
    if (options.target.matches(linear->path) && in_chosen_layer(options, linear->path))
      chosen.push_back(linear);
  }
  if (!options.allow_missing) check_every_name(sites, options.target, options.embeddings);
  if (chosen.empty() && !matches_words(sites, options)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--target_modules {}: no module matched", options.target.json().dump()),
                "`rankwise inspect --target_modules all-linear` lists the modules of the model");
  }
  return chosen;
}

std::vector<std::string> shortest_names(const Sites& sites, const std::vector<Linear*>& chosen) {
  const std::set<const Linear*> wanted(chosen.begin(), chosen.end());
  std::set<std::string> names;
  for (const Linear* linear : chosen) {
    const std::string& path = linear->path;
    size_t begin = path.size();
    std::string name = path;
    while (begin > 0) {
      const size_t dot = path.rfind('.', begin - 1);
      begin = dot == std::string::npos ? 0 : dot;
      const std::string suffix = path.substr(begin == 0 ? 0 : begin + 1);
      const bool exact =
          std::none_of(sites.linears.begin(), sites.linears.end(), [&](const Linear* other) {
            return !wanted.contains(other) && ends_with_part(other->path, suffix);
          });
      if (exact) {
        name = suffix;
        break;
      }
    }
    names.insert(name);
  }
  return {names.begin(), names.end()};
}

double pattern_value(const Json& pattern, const std::string& module, double otherwise) {
  for (const auto& [key, value] : pattern.items()) {
    if (!value.is_number())
      throw usage_error("pattern for '{}': {} is not a number", key, value.dump());
    if (std::regex_match(module, compiled("(.*\\.)?(" + key + ")", "pattern")))
      return value.get<double>();
  }
  return otherwise;
}

}  // namespace rankwise
