// Rounds units to fixed point and adds them as integers. Whoever calls decides what to do about
// votes; nothing here knows what a gradient is of.
#include "distributed/gradients/order_free_sum.h"

#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

constexpr int64_t kGrain = 1 << 15;            // elements a thread takes at least
constexpr int64_t kMostAddends = 1 << 22;      // fractions of the tail then stay below 2^61
constexpr double kTailFraction = 0x1p-40;      // quantum of the tail's fractions
constexpr int32_t kInfinityBits = 0x7f800000;  // of a float; a NaN without its sign is above

double first_quantum(double adam_epsilon) {
  const double ratio = std::max(adam_epsilon / 1e-8, 0x1p-40);
  return std::ldexp(0x1p-52, std::ilogb(ratio));
}

// The bits of the largest |value|: floats without their sign are ordered as their bits are, NaN
// last.
int32_t largest_bits(const float* values, int64_t count) {
  return at::parallel_reduce(
      0, count, kGrain, 0,
      [values](int64_t begin, int64_t end, int32_t largest) {
        for (int64_t i = begin; i < end; ++i) {
          largest = std::max(largest, std::bit_cast<int32_t>(values[i]) & 0x7fffffff);
        }
        return largest;
      },
      [](int32_t a, int32_t b) { return std::max(a, b); });
}

}  // namespace

OrderFreeSum::OrderFreeSum(int64_t elements, int64_t tail, int64_t votes, double adam_epsilon)
    : elements_(elements),
      tail_(tail),
      votes_(votes),
      first_quantum_(first_quantum(adam_epsilon)),
      quantum_(first_quantum_),
      wholes_at_(elements),
      fractions_at_(wholes_at_ + tail),
      votes_at_(fractions_at_ + tail),
      units_at_(votes_at_ + votes),
      not_finite_at_(units_at_ + 1),
      out_of_range_at_(units_at_ + 2),
      sum_(at::zeros({units_at_ + 3}, at::kLong)) {}

void OrderFreeSum::start(int64_t addends) {
  if (addends < 1 || addends > kMostAddends) {
    throw internal_error("an update of {} units: must be 1 to {}", addends, kMostAddends);
  }
  addends_ = addends;
  quantum_ = first_quantum_;
  tail_unit_ = 1;
  sum_.zero_();
}

void OrderFreeSum::coarser() {
  quantum_ *= 0x1p20;
  tail_unit_ *= 0x1p20;
  sum_.zero_();
}

// True where the unit may be added; else it is counted as what it is.
// No sum can overflow: a float below 2^63 / addends quanta rounds to at most that many, so all
// addends stay within 2^63 together (equal only if one was not below).
bool OrderFreeSum::judge(const at::Tensor& gradient, const std::vector<double>& tail) {
  const int32_t bits = largest_bits(gradient.const_data_ptr<float>(), elements_);
  double largest_tail = 0;
  bool finite = bits < kInfinityBits;
  for (const double number : tail) {
    finite = finite && std::isfinite(number);
    largest_tail = std::max(largest_tail, std::abs(number));
  }
  const double limit = quantum_ * 0x1p63 / static_cast<double>(addends_);
  const double tail_limit = tail_unit_ * 0x1p62 / static_cast<double>(addends_);
  ++*slots(units_at_);
  if (!finite) {
    ++*slots(not_finite_at_);
  } else if (std::bit_cast<float>(bits) >= limit || largest_tail >= tail_limit) {
    ++*slots(out_of_range_at_);
  } else {
    return true;
  }
  return false;
}

void OrderFreeSum::add(const at::Tensor& gradient, const std::vector<double>& tail) {
  if (gradient.scalar_type() != at::kFloat || !gradient.is_contiguous() || !gradient.is_cpu() ||
      gradient.numel() != elements_ || static_cast<int64_t>(tail.size()) != tail_) {
    throw internal_error(
        "a unit brought {} {} and {} further numbers, expected {} contiguous floats and {}",
        gradient.numel(), gradient.toString(), tail.size(), elements_, tail_);
  }
  if (!judge(gradient, tail)) return;
  const float* values = gradient.const_data_ptr<float>();
  int64_t* sums = slots(0);
  const double quanta = 1 / quantum_;  // exact: a power of two
  at::parallel_for(0, elements_, kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      sums[i] += std::llrint(values[i] * quanta);  // ties to even
  });
  for (int64_t i = 0; i < tail_; ++i) {
    const double number = tail[i] / tail_unit_, whole = std::nearbyint(number);
    *slots(wholes_at_ + i) += static_cast<int64_t>(whole);
    *slots(fractions_at_ + i) += std::llrint((number - whole) / kTailFraction);
  }
}

void OrderFreeSum::vote(int64_t which, int64_t count) { *slots(votes_at_ + which) += count; }

void OrderFreeSum::reduce(Communicator& communicator) {
  communicator.sum(sum_);
  if (*slots(units_at_) > addends_) {
    throw internal_error("an update of {} units was given {}", addends_, *slots(units_at_));
  }
}

void OrderFreeSum::gradient(at::Tensor& out) const {
  if (out.scalar_type() != at::kFloat || !out.is_contiguous() || out.numel() != elements_) {
    throw internal_error("the sum of {} gradients does not fit in {} {}", elements_, out.numel(),
                         out.toString());
  }
  const int64_t* sums = slots(0);
  float* values = out.data_ptr<float>();
  const float quantum = static_cast<float>(quantum_);
  at::parallel_for(0, elements_, kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      values[i] = static_cast<float>(sums[i]) * quantum;  // rounds once
  });
}

double OrderFreeSum::tail(int64_t which) const {
  const auto whole = static_cast<double>(*slots(wholes_at_ + which));
  const auto fraction = static_cast<double>(*slots(fractions_at_ + which));
  return (whole + fraction * kTailFraction) * tail_unit_;
}

int64_t OrderFreeSum::votes(int64_t which) const { return *slots(votes_at_ + which); }
int64_t OrderFreeSum::not_finite() const { return *slots(not_finite_at_); }
int64_t OrderFreeSum::out_of_range() const { return *slots(out_of_range_at_); }
int64_t OrderFreeSum::bytes() const { return sum_.numel() * static_cast<int64_t>(sizeof(int64_t)); }

}  // namespace rankwise
