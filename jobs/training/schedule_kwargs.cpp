// Looks up and checks the keyword arguments of a schedule. What they mean is in schedule.cpp and
// reduce_on_plateau.cpp.
#include "jobs/training/schedule_kwargs.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "distributed/core/error.h"
#include "distributed/core/field.h"

namespace rankwise {
namespace {

std::string allowed_text(const std::string& name, const std::vector<std::string>& allowed) {
  if (allowed.empty()) return "it takes none";
  const std::string nearest = nearest_name(name, allowed);
  if (!nearest.empty()) return fmt::format("did you mean '{}'?", nearest);
  return fmt::format("it takes {}", fmt::join(allowed, ", "));
}

}  // namespace

ScheduleKwargs::ScheduleKwargs(std::string type, const Json& kwargs,
                               const std::vector<std::string>& allowed)
    : type_(std::move(type)), kwargs_(kwargs.is_null() ? Json::object() : kwargs) {
  if (!kwargs_.is_object()) {
    throw usage_error("lr_scheduler_kwargs: expected a JSON object, got {}", kwargs_.dump());
  }
  for (const auto& [name, value] : kwargs_.items()) {
    if (std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
      throw usage_error("lr_scheduler_kwargs: {} has no kwarg '{}' ({})", type_, name,
                        allowed_text(name, allowed));
    }
  }
}

const Json* ScheduleKwargs::find(const std::string& name) const {
  const auto found = kwargs_.find(name);
  return found == kwargs_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<double> ScheduleKwargs::number(const std::string& name) const {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  if (!value->is_number()) {
    throw usage_error("lr_scheduler_kwargs: {}: '{}' must be a number, got {}", type_, name,
                      value->dump());
  }
  return value->get<double>();
}

double ScheduleKwargs::number_or(const std::string& name, double fallback) const {
  return number(name).value_or(fallback);
}

double ScheduleKwargs::required_number(const std::string& name) const {
  const std::optional<double> value = number(name);
  if (!value) throw usage_error("lr_scheduler_kwargs: {} needs '{}'", type_, name);
  return *value;
}

std::string ScheduleKwargs::choice(const std::string& name, const std::string& fallback,
                                   const std::vector<std::string>& choices) const {
  const Json* value = find(name);
  if (!value) return fallback;
  const std::string text = value->is_string() ? value->get<std::string>() : value->dump();
  if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
    throw usage_error("lr_scheduler_kwargs: {}: '{}' must be one of {}, got {}", type_, name,
                      fmt::join(choices, ", "), value->dump());
  }
  return text;
}

}  // namespace rankwise
