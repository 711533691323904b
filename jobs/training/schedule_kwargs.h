// The keyword arguments of one schedule (--lr_scheduler_kwargs): looked up by name, checked for
// type. An absent name and a null are the same. Errors: kUsage, naming the schedule and the kwarg.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "peft/hub/json.h"

namespace rankwise {

class ScheduleKwargs {
 public:
  // Errors: kwargs is no object, or has a name that is not among `allowed`.
  ScheduleKwargs(std::string type, const Json& kwargs, const std::vector<std::string>& allowed);

  std::optional<double> number(const std::string& name) const;
  double number_or(const std::string& name, double fallback) const;
  double required_number(const std::string& name) const;
  std::string choice(const std::string& name, const std::string& fallback,
                     const std::vector<std::string>& choices) const;

  const std::string& type() const { return type_; }

 private:
  const Json* find(const std::string& name) const;

  std::string type_;
  Json kwargs_;
};

}  // namespace rankwise
