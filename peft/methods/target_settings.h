// The settings that methods on linears share: which modules they act on, and which train whole
// beside them.
#pragma once

#include <string>
#include <vector>

#include "peft/methods/default_targets.h"
#include "peft/methods/method.h"
#include "peft/methods/targets.h"

namespace rankwise {

class TargetSettings {
 public:
  void declare(Fields& fields);
  void declare_excluded(Fields& fields);  // exclude_modules and layers_to_transform, which not
  void declare_layers(Fields& fields);    // every method has
  void read(const Json& config);          // Errors: kModel

  // The linears to act on; the default ones where none are named. Errors: kUsage.
  std::vector<Linear*> choose(const Sites& sites, const AttachOptions& options,
                              std::vector<std::string> DefaultTargets::*defaults,
                              bool embeddings = false);
  // Of choose(): whether the word embeddings are among the targets, which they can be if it said
  // so.
  bool words_chosen() const { return words_chosen_; }
  // Of choose(): the heads of the task and modules_to_save.
  const std::vector<std::string>& saved_modules() const { return saved_modules_; }
  // Of choose(): target_modules, exclude_modules, modules_to_save as peft's config has them.
  Json config() const;
  Json layers() const;  // layers_to_transform

 private:
  std::string target_, exclude_;
  std::vector<int64_t> layers_;
  std::vector<std::string> modules_to_save_;
  ModulePattern target_read_, exclude_read_;  // of a file, where a text may be a list or a pattern
  std::vector<std::string> saved_modules_;
  bool words_chosen_ = false;
  Json targets_;
};

}  // namespace rankwise
