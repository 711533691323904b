// ReduceLROnPlateau: counts evaluations without improvement, and lowers the rate after more than
// `patience` of them.
#include "jobs/training/reduce_on_plateau.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

class ReduceOnPlateau : public Schedule {
 public:
  ReduceOnPlateau(double learning_rate, const ScheduleKwargs& kwargs)
      : initial_rate_(learning_rate),
        minimizes_(kwargs.choice("mode", "min", {"min", "max"}) == "min"),
        factor_(kwargs.number_or("factor", 0.1)),
        patience_(kwargs.number_or("patience", 10)),
        threshold_(kwargs.number_or("threshold", 1e-4)),
        relative_(kwargs.choice("threshold_mode", "rel", {"rel", "abs"}) == "rel"),
        cooldown_(kwargs.number_or("cooldown", 0)),
        min_rate_(kwargs.number_or("min_lr", 0)),
        eps_(kwargs.number_or("eps", 1e-8)),
        rate_(learning_rate),
        best_(worst()) {
    if (factor_ >= 1) {
      throw usage_error("lr_scheduler_kwargs: {}: 'factor' must be below 1, got {}", kwargs.type(),
                        factor_);
    }
  }

  double factor(int64_t) const override {
    return rate_ == initial_rate_ ? 1 : rate_ / initial_rate_;
  }
  bool needs_evaluation() const override { return true; }

  void evaluated(double metric) override {
    if (better_than_best(metric)) {
      best_ = metric;
      bad_evaluations_ = 0;
    } else {
      ++bad_evaluations_;
    }
    if (cooldown_left_ > 0) {
      --cooldown_left_;
      bad_evaluations_ = 0;
    }
    if (bad_evaluations_ > patience_) {
      const double lower = std::max(rate_ * factor_, min_rate_);
      if (rate_ - lower > eps_) rate_ = lower;
      cooldown_left_ = cooldown_;
      bad_evaluations_ = 0;
    }
  }

  Json state() const override {
    return {{"learning_rate", rate_},
            {"best", std::isfinite(best_) ? Json(best_) : Json()},  // JSON has no infinity
            {"cooldown_counter", cooldown_left_},
            {"num_bad_epochs", bad_evaluations_}};
  }

  void restore(const Json& state) override {
    rate_ = state.at("learning_rate");
    best_ = state.at("best").is_null() ? worst() : state.at("best").get<double>();
    cooldown_left_ = state.at("cooldown_counter");
    bad_evaluations_ = state.at("num_bad_epochs");
  }

 private:
  double worst() const {
    const double infinity = std::numeric_limits<double>::infinity();
    return minimizes_ ? infinity : -infinity;
  }

  bool better_than_best(double metric) const {  // false for NaN
    if (minimizes_) return metric < (relative_ ? best_ * (1 - threshold_) : best_ - threshold_);
    return metric > (relative_ ? best_ * (threshold_ + 1) : best_ + threshold_);
  }

  const double initial_rate_;
  const bool minimizes_;
  const double factor_, patience_, threshold_;
  const bool relative_;
  const double cooldown_, min_rate_, eps_;

  double rate_, best_;
  double cooldown_left_ = 0;
  int64_t bad_evaluations_ = 0;
};

}  // namespace

std::unique_ptr<Schedule> reduce_on_plateau(double learning_rate, const ScheduleKwargs& kwargs) {
  return std::make_unique<ReduceOnPlateau>(learning_rate, kwargs);
}

}  // namespace rankwise
