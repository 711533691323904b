// A sum of floats that does not depend on order or ranks: each addend is rounded once to a multiple
// of a fixed quantum and added as int64, since integer addition is associative (DESIGN 3,
// "Order-free sum").
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "distributed/comm/communicator.h"

namespace rankwise {

// The flat gradient buffer of one update on the CPU, with a tail of doubles (loss sums, counts) and
// votes (stop …). Error bound: before its one rounding to float, each element is within addends *
// quantum / 2 of the exact sum. The tail has a quantum of its own, 2^-40, and holds whole parts
// apart from fractions: counts are exact to 2^53.
class OrderFreeSum {
 public:
  // elements: floats a unit brings; tail: further numbers (double); votes: counters (int64).
  // quantum: 2^-52 times (adam_epsilon / 1e-8 rounded down to a power of two, at least 2^-40), so
  // that what Adam can still tell from its epsilon keeps a relative accuracy of 2e-8 a unit.
  OrderFreeSum(int64_t elements, int64_t tail, int64_t votes, double adam_epsilon = 1e-8);

  // Begins an update: zero. `addends`: the units of the update on all ranks, at most 2^22. A unit
  // is out of range where a gradient reaches quantum * 2^63 / addends (2048 / addends at first) or
  // a tail number 2^62 / addends.
  void start(int64_t addends);
  void coarser();  // begins the same update again, at quanta (and ranges) 2^20 times as large

  // Adds one unit's gradient ([elements] float, contiguous) and tail. Finds non-finite and too
  // large values first: such a unit adds nothing but its vote.
  void add(const at::Tensor& gradient, const std::vector<double>& tail);
  void vote(int64_t which, int64_t count = 1);

  // Collective: one integer sum over all ranks. Afterwards the accessors below hold the sums over
  // all ranks, before it this rank's own. Errors: kInternal where the ranks together added more
  // units than start() was told.
  void reduce(Communicator& communicator);

  void gradient(at::Tensor& out) const;  // [elements] float, written in place
  double tail(int64_t which) const;
  int64_t votes(int64_t which) const;
  int64_t not_finite() const;  // units with a NaN or an infinity
  int64_t out_of_range()
      const;  // units too large for the quantum: call coarser() and do the update again
  double quantum() const { return quantum_; }
  int64_t bytes() const;  // of the reduction

 private:
  bool judge(const at::Tensor& gradient, const std::vector<double>& tail);
  int64_t* slots(int64_t first) const { return sum_.data_ptr<int64_t>() + first; }

  int64_t elements_, tail_, votes_;
  double first_quantum_, quantum_, tail_unit_ = 1;
  int64_t addends_ = 1;
  int64_t wholes_at_, fractions_at_, votes_at_, units_at_, not_finite_at_,
      out_of_range_at_;  // slots of sum_
  at::Tensor sum_;  // int64: gradient, whole parts and fractions of the tail, votes, three counters
                    // of units
};

}  // namespace rankwise
