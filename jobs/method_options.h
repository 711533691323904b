// --peft_type and the options of every method.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jobs/setup.h"
#include "peft/methods/method.h"

namespace rankwise {

class MethodOptions {
 public:
  MethodOptions();
  void declare(Fields& fields);
  // The method of the adapter folder where there is one, else that of --peft_type with its options.
  // Errors: kUsage.
  std::unique_ptr<Method> take(const Setup& setup);

 private:
  std::string peft_type_ = "LORA";
  std::vector<std::unique_ptr<Method>> methods_;  // as in methods()
};

}  // namespace rankwise
