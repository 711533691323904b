// Learning rate schedules: every lr_scheduler_type of transformers 4.57.6 (optimization.py), same
// factors to 1e-16.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "peft/hub/json.h"

namespace rankwise {

class Schedule {
 public:
  virtual ~Schedule() = default;
  virtual double factor(
      int64_t step) const = 0;  // times the learning rate, for update `step` (from 0)
  // reduce_lr_on_plateau alone depends on evaluations; it has state, the others have none.
  virtual void evaluated(double metric) {}
  virtual bool needs_evaluation() const { return false; }
  virtual Json state() const { return Json::object(); }
  virtual void restore(const Json& state) {}
};

// kwargs: an object of the type's own keyword arguments, or null for none.
// Errors: kUsage: an unknown type (nearest name), an unknown, missing or mistyped kwarg (named),
// lr_end not below the rate. The types without kwargs refuse them too, where Hugging Face's would
// ignore them.
std::unique_ptr<Schedule> make_schedule(const std::string& type, double learning_rate,
                                        int64_t warmup_steps, int64_t total_steps,
                                        const Json& kwargs);
std::vector<std::string> schedule_names();

}  // namespace rankwise
