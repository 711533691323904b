// Base parameters that train beside a method: the task's new head and modules_to_save (copies), and
// biases.
#pragma once

#include <c10/core/GradMode.h>

#include <string>
#include <vector>

#include "peft/methods/method.h"

namespace rankwise {

// Puts a float32 copy that trains in the place of every parameter of the modules whose name ends
// with one of `modules`; their names in files begin with `prefix`. Errors: kUsage: a module of
// `asked_for` that matches nothing.
void train_modules(Sites& sites, const std::vector<std::string>& modules,
                   std::vector<Trainable>& trainables,
                   const std::string& prefix = "base_model.model.");
void check_modules(const Sites& sites, const std::vector<std::string>& asked_for);

// bias "all": every bias that does not train yet; "none"; else those of `adapted`. Names get
// ".base_layer" in `adapted`.
void train_biases(Sites& sites, const std::string& which, const std::vector<Linear*>& adapted,
                  std::vector<Trainable>& trainables);

// Each linear's weight becomes adapter.merged(linear), float32, and nothing acts on it any more.
template <class Adapters>
void fold(const std::vector<Linear*>& linears, const Adapters& adapters) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < linears.size(); ++i) {
    linears[i]->weight = adapters[i].merged(*linears[i]);
    linears[i]->adapter = nullptr;
  }
}

}  // namespace rankwise
