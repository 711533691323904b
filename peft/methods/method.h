// A parameter-efficient method: what it adds at the sites of a base, and how its files look. One
// file a method; the list is in methods.cpp. Methods know no family.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "distributed/core/field.h"
#include "peft/base/layers.h"
#include "peft/hub/json.h"

namespace rankwise {

// A tensor that trains. `value` is a leaf of the autograd graph, float32, contiguous.
struct Trainable {
  std::string name;  // as in adapter_model.safetensors
  at::Tensor value;
  bool decays = true;  // weight decay acts (not on biases and norms, as a Trainer has it)
  bool extra =
      true;  // false: it takes the place of a base parameter and adds nothing to "all params"
  at::ScalarType saved_as = at::kFloat;
};

// What every method is told when it is attached.
struct AttachOptions {
  uint64_t seed = 42;  // of initial values
  bool allow_missing_targets = false;
  std::vector<int64_t> text_ids = {};  // of initial_text()
  // Of the base; AdaptedModel knows them.
  std::string model_type = {}, model_class = {};
};

class Method {
 public:
  virtual ~Method() = default;
  virtual void declare(Fields& fields) = 0;          // options, by the names of peft's config
  virtual void read_config(const Json& config) = 0;  // from an adapter_config.json. Errors: kModel
  virtual Json config() const = 0;  // its own keys of adapter_config.json, after attach()

  // A text whose tokens attach() wants; "": none.
  virtual std::string initial_text() const { return ""; }
  // Acts at the base's sites from now on. Errors: kUsage: nothing matched, an entry that matches
  // nothing, bad settings.
  virtual void attach(Sites& sites, const AttachOptions& options) = 0;
  virtual std::vector<Trainable>& trainables() = 0;
  // What an adapter folder holds: the trainables, or what they make.
  virtual std::vector<Trainable> exported() const = 0;
  // What a folder holds of the frozen base beside them; the folder of a checkpoint goes without.
  virtual std::vector<Trainable> copied() const { return {}; }
  // What of it does not train but is read from a folder (VeRA's projections). They share their
  // memory with the method's own.
  virtual std::vector<Trainable> constants() const { return {}; }
  // What training does beside gradients (AdaLoRA). The run has so many updates.
  virtual void begin(int64_t updates_in_all) {}      // Errors: kUsage: settings that do not fit
  virtual at::Tensor penalty() const { return {}; }  // on every update's loss; undefined: none
  // Behind update `number`, from 1: values and gradient [P] of the trainables, end to end; the
  // gradient acted `clip` times. The values may be changed.
  virtual void after_step(int64_t number, at::Tensor& values, const at::Tensor& gradient,
                          double clip) {}
  // What of it a checkpoint keeps, by name: restored in place.
  virtual std::map<std::string, at::Tensor> state() const { return {}; }

  struct Target {
    std::string path;
    int64_t parameters;
  };
  virtual std::vector<Target> targets() const = 0;  // what inspect shows

  // Adds the adapters to the base's weights (float32 copies of those that change) and detaches from
  // the sites.
  virtual void merge_into(Sites& sites) = 0;
  // Why it cannot act together with another of its kind at the same sites; "": it can. After
  // read_config().
  virtual std::string why_alone() const { return "adapters of its method act alone"; }
  // Whether a tensor of an adapter file may be passed over, as peft does (duplicates that it
  // writes).
  virtual bool ignores(const std::string& name) const { return false; }
};

struct MethodEntry {
  const char* peft_type;
  std::unique_ptr<Method> (*make)();
};
const std::vector<MethodEntry>& methods();
std::unique_ptr<Method> make_method(
    const std::string& peft_type);  // Errors: kUsage with the nearest name

}  // namespace rankwise
