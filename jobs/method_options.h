// --peft_type and the options of every method. An option that several methods have is declared by
// each of them, and is one option: the method that is taken says what it means.
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
  // The method of the adapter folder where there is one, else that of --peft_type with its options;
  // those of other methods leave `fields`. Errors: kUsage: an option of another method was given.
  std::unique_ptr<Method> take(const Setup& setup, Fields& fields);

 private:
  struct Candidate {
    std::string peft_type;
    std::unique_ptr<Method> method;
    Fields fields;
  };
  std::string peft_type_ = "LORA";
  std::vector<Candidate> candidates_;
};

}  // namespace rankwise
