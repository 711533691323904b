// Which modules a method acts on: peft's target_modules, exclude_modules, layers_to_transform and
// the *_pattern maps (peft/tuners/tuners_utils.py: check_target_module_exists).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peft/base/layers.h"
#include "peft/hub/json.h"

namespace rankwise {

// A list of names (each matches a module that is it, or ends with "." + it), one regular expression
// (must match a whole module name), or "all-linear".
class ModulePattern {
 public:
  ModulePattern() = default;  // matches nothing
  explicit ModulePattern(std::vector<std::string> names) : names_(std::move(names)) {}
  static ModulePattern parse(
      const std::string& text);  // from the command line. Errors: kUsage: a bad expression
  static ModulePattern from_json(
      const Json& value);  // null, a string (an expression or "all-linear"), or a list

  bool matches(const std::string& module) const;
  bool all_linear() const { return expression_ == "all-linear"; }
  bool empty() const { return names_.empty() && expression_.empty(); }
  const std::vector<std::string>& names() const { return names_; }
  Json json() const;

 private:
  std::vector<std::string> names_;
  std::string expression_;
};

struct TargetOptions {
  ModulePattern target, exclude;
  std::vector<int64_t> layers;               // layers_to_transform; empty: all
  std::vector<std::string> modules_to_save;  // never matched
  bool allow_missing = false;
  bool embeddings = false;  // the word embeddings can be meant too
};

// Whether the word embeddings are meant.
bool matches_words(const Sites& sites, const TargetOptions& options);

// The linears to act on, in the order of the model. Errors: kUsage: nothing matches, nor the word
// embeddings where they can; a list entry that matches nothing (with the nearest module name),
// unless allow_missing.
std::vector<Linear*> matching_linears(const Sites& sites, const TargetOptions& options);

// The shortest list of names that matches exactly `chosen` among all linears.
std::vector<std::string> shortest_names(const Sites& sites, const std::vector<Linear*>& chosen);

// rank_pattern, alpha_pattern: the value of the first key that matches the end of the module's
// name, or `otherwise`.
double pattern_value(const Json& pattern, const std::string& module, double otherwise);

bool is_saved_module(const std::vector<std::string>& modules_to_save, const std::string& module);

}  // namespace rankwise
