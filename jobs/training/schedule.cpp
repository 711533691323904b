// The table of schedules and those that are pure functions of the step. Formulas keep the order of
// operations of transformers' optimization.py, so that factors agree to the last bit. s: step, W:
// warmup steps, T: total steps.
#include "jobs/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "distributed/core/error.h"
#include "distributed/core/field.h"
#include "jobs/training/reduce_on_plateau.h"
#include "jobs/training/schedule_kwargs.h"

namespace rankwise {
namespace {

using std::numbers::pi;
using SchedulePtr = std::unique_ptr<Schedule>;
using Factor = std::function<double(double s)>;

struct Setup {
  double rate, W, T;
  ScheduleKwargs kwargs;
};

class PureSchedule : public Schedule {
 public:
  explicit PureSchedule(Factor factor) : factor_(std::move(factor)) {}
  double factor(int64_t step) const override { return factor_(static_cast<double>(step)); }

 private:
  Factor factor_;
};

SchedulePtr pure(Factor factor) { return std::make_unique<PureSchedule>(std::move(factor)); }

// A linear climb from 0, then `after`.
SchedulePtr warmed_up(double W, Factor after) {
  return pure([W, after](double s) { return s < W ? s / std::max(1.0, W) : after(s); });
}

Factor progress(const Setup& setup) {  // 0 at the end of the warmup, 1 at the end of the run
  return [W = setup.W, T = setup.T](double s) { return (s - W) / std::max(1.0, T - W); };
}

double cosine_wave(double cycles, double progress) {
  return 0.5 * (1 + std::cos(pi * cycles * 2 * progress));
}

double raised(double factor, double floor) { return std::max(0.0, factor * (1 - floor) + floor); }

SchedulePtr linear(const Setup& setup) {
  return warmed_up(setup.W, [W = setup.W, T = setup.T](double s) {
    return std::max(0.0, (T - s) / std::max(1.0, T - W));
  });
}

SchedulePtr cosine(const Setup& setup) {
  return warmed_up(
      setup.W, [p = progress(setup), cycles = setup.kwargs.number_or("num_cycles", 0.5)](double s) {
        return std::max(0.0, cosine_wave(cycles, p(s)));
      });
}

SchedulePtr cosine_with_restarts(const Setup& setup) {
  return warmed_up(
      setup.W, [p = progress(setup), cycles = setup.kwargs.number_or("num_cycles", 1)](double s) {
        if (p(s) >= 1) return 0.0;
        const double cycle = cycles * p(s);
        return std::max(0.0, 0.5 * (1 + std::cos(pi * (cycle - std::floor(cycle)))));
      });
}

SchedulePtr polynomial(const Setup& setup) {
  const double rate = setup.rate, power = setup.kwargs.number_or("power", 1);
  const double end = setup.kwargs.number_or("lr_end", 1e-7);
  if (!(rate > end)) {
    throw usage_error(
        "lr_scheduler_kwargs: polynomial: 'lr_end' ({}) must be below learning_rate ({})", end,
        rate);
  }
  return warmed_up(setup.W, [=, p = progress(setup), T = setup.T](double s) {
    if (s > T) return end / rate;
    return ((rate - end) * std::pow(1 - p(s), power) + end) / rate;
  });
}

SchedulePtr constant(const Setup&) {
  return pure([](double) { return 1.0; });
}

SchedulePtr constant_with_warmup(const Setup& setup) {
  return warmed_up(setup.W, [](double) { return 1.0; });
}

SchedulePtr inverse_sqrt(const Setup& setup) {
  const double timescale = setup.W > 0 ? setup.W : 10'000;
  return warmed_up(setup.W, [timescale, shift = timescale - setup.W](double s) {
    return 1 / std::sqrt((s + shift) / timescale);
  });
}

double min_rate_ratio(const Setup& setup) {
  const auto rate = setup.kwargs.number("min_lr"), ratio = setup.kwargs.number("min_lr_rate");
  if (rate.has_value() == ratio.has_value()) {
    throw usage_error("lr_scheduler_kwargs: {} needs exactly one of 'min_lr' and 'min_lr_rate'",
                      setup.kwargs.type());
  }
  if (rate && setup.rate == 0) {
    throw usage_error("lr_scheduler_kwargs: {}: 'min_lr' needs a learning_rate above 0",
                      setup.kwargs.type());
  }
  return rate ? *rate / setup.rate : *ratio;
}

SchedulePtr cosine_with_min_lr(const Setup& setup) {
  return warmed_up(setup.W,
                   [p = progress(setup), cycles = setup.kwargs.number_or("num_cycles", 0.5),
                    floor = min_rate_ratio(setup)](double s) {
                     return raised(cosine_wave(cycles, p(s)), floor);
                   });
}

// Counts steps from 1, so that the first update moves too.
SchedulePtr cosine_warmup_with_min_lr(const Setup& setup) {
  return pure([W = setup.W, p = progress(setup), cycles = setup.kwargs.number_or("num_cycles", 0.5),
               floor = min_rate_ratio(setup),
               start = setup.kwargs.number("warmup_lr_rate")](double s) {
    if (s >= W) return raised(cosine_wave(cycles, p(s + 1)), floor);
    return start ? *start + (1 - *start) * s / std::max(1.0, W - 1) : (s + 1) / std::max(1.0, W);
  });
}

using Shape = double (*)(double progress, double cycles);

Shape warmup_shape(const std::string& type) {
  if (type == "linear") return [](double p, double) { return p; };
  if (type == "cosine") return [](double p, double) { return 0.5 * (1 - std::cos(pi * p)); };
  return [](double p, double) { return 1 - std::sqrt(1 - p); };
}

Shape decay_shape(const std::string& type) {
  if (type == "linear") return [](double p, double) { return 1 - p; };
  if (type == "cosine") return [](double p, double cycles) { return cosine_wave(cycles, p); };
  return [](double p, double) { return 1 - std::sqrt(p); };
}

SchedulePtr warmup_stable_decay(const Setup& setup) {
  const std::vector<std::string> shapes = {"linear", "cosine", "1-sqrt"};
  const ScheduleKwargs& kwargs = setup.kwargs;
  const double W = setup.W, decay = kwargs.required_number("num_decay_steps");
  const double stable = kwargs.number_or("num_stable_steps", setup.T - W - decay);
  const double floor = kwargs.number_or("min_lr_ratio", 0),
               cycles = kwargs.number_or("num_cycles", 0.5);
  const Shape rise = warmup_shape(kwargs.choice("warmup_type", "linear", shapes));
  const Shape fall = decay_shape(kwargs.choice("decay_type", "cosine", shapes));
  return pure([=](double s) {
    if (s < W) return raised(rise(s / std::max(1.0, W), cycles), floor);
    if (s < W + stable) return 1.0;
    if (s < W + stable + decay)
      return raised(fall((s - W - stable) / std::max(1.0, decay), cycles), floor);
    return floor;
  });
}

SchedulePtr plateau(const Setup& setup) { return reduce_on_plateau(setup.rate, setup.kwargs); }

struct ScheduleType {
  std::string name;
  std::vector<std::string> kwargs;
  SchedulePtr (*make)(const Setup&);
};

const std::vector<ScheduleType>& schedule_types() {
  static const std::vector<ScheduleType> types = {
      {"linear", {}, linear},
      {"cosine", {"num_cycles"}, cosine},
      {"cosine_with_restarts", {"num_cycles"}, cosine_with_restarts},
      {"polynomial", {"lr_end", "power"}, polynomial},
      {"constant", {}, constant},
      {"constant_with_warmup", {}, constant_with_warmup},
      {"inverse_sqrt", {}, inverse_sqrt},
      {"reduce_lr_on_plateau",
       {"mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr", "eps"},
       plateau},
      {"cosine_with_min_lr", {"num_cycles", "min_lr", "min_lr_rate"}, cosine_with_min_lr},
      {"cosine_warmup_with_min_lr",
       {"num_cycles", "min_lr", "min_lr_rate", "warmup_lr_rate"},
       cosine_warmup_with_min_lr},
      {"warmup_stable_decay",
       {"num_decay_steps", "num_stable_steps", "warmup_type", "decay_type", "min_lr_ratio",
        "num_cycles"},
       warmup_stable_decay},
  };
  return types;
}

}  // namespace

std::unique_ptr<Schedule> make_schedule(const std::string& type, double learning_rate,
                                        int64_t warmup_steps, int64_t total_steps,
                                        const Json& kwargs) {
  for (const ScheduleType& known : schedule_types()) {
    if (known.name != type) continue;
    return known.make({learning_rate, static_cast<double>(warmup_steps),
                       static_cast<double>(total_steps),
                       ScheduleKwargs(type, kwargs, known.kwargs)});
  }
  const std::string nearest = nearest_name(type, schedule_names());
  throw usage_error("lr_scheduler_type: unknown type '{}'{}", type,
                    nearest.empty() ? "" : fmt::format(" (did you mean '{}'?)", nearest));
}

std::vector<std::string> schedule_names() {
  std::vector<std::string> names;
  for (const ScheduleType& type : schedule_types()) names.push_back(type.name);
  return names;
}

}  // namespace rankwise
