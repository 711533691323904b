// Every method of the list declares its options; one of them is taken.
#include "jobs/method_options.h"

#include <algorithm>

namespace rankwise {

MethodOptions::MethodOptions() {
  for (const MethodEntry& entry : methods()) {
    Candidate& candidate = candidates_.emplace_back(entry.peft_type, entry.make());
    candidate.method->declare(candidate.fields);
  }
}

void MethodOptions::declare(Fields& fields) {
  std::vector<std::string> names;
  for (const Candidate& candidate : candidates_) names.push_back(candidate.peft_type);
  fields.group("method");
  fields.add("peft_type", peft_type_, "what is trained").one_of(names).changes_result();
  for (const Candidate& candidate : candidates_) {
    for (const Field& field : candidate.fields.all()) {
      if (!fields.find(field.name())) fields.add(field);
    }
  }
}

std::unique_ptr<Method> MethodOptions::take(const Setup& setup, Fields& fields) {
  if (setup.adapter) return method_of(setup.adapter);
  const auto chosen = std::find_if(candidates_.begin(), candidates_.end(),
                                   [&](const Candidate& c) { return c.peft_type == peft_type_; });
  if (chosen == candidates_.end()) return make_method(peft_type_);  // throws, naming the nearest
  for (const Candidate& candidate : candidates_) {
    for (const Field& field : candidate.fields.all()) {
      if (chosen->fields.find(field.name())) continue;
      if (fields.given(field.name()))
        throw usage_error("--{} does not apply to --peft_type {}", field.name(), peft_type_);
      fields.remove(field.name());
    }
  }
  for (const Field& field : chosen->fields.all()) fields.at(field.name()).become(field);
  return std::move(chosen->method);
}

}  // namespace rankwise
