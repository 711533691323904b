// Every method of the list declares its options; one of them is taken.
#include "jobs/method_options.h"

namespace rankwise {

MethodOptions::MethodOptions() {
  for (const MethodEntry& entry : methods()) methods_.push_back(entry.make());
}

void MethodOptions::declare(Fields& fields) {
  std::vector<std::string> names;
  for (const MethodEntry& entry : methods()) names.emplace_back(entry.peft_type);
  fields.group("method");
  fields.add("peft_type", peft_type_, "what is trained").one_of(names).changes_result();
  for (const std::unique_ptr<Method>& method : methods_) method->declare(fields);
}

std::unique_ptr<Method> MethodOptions::take(const Setup& setup) {
  if (setup.adapter) return method_of(setup.adapter);
  for (size_t i = 0; i < methods_.size(); ++i) {
    if (peft_type_ == methods()[i].peft_type) return std::move(methods_[i]);
  }
  return make_method(peft_type_);  // throws, naming the nearest
}

}  // namespace rankwise
