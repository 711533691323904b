// The promise behind "the same bits at any rank count", against exact sums in 128-bit integers.
#include "distributed/gradients/order_free_sum.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <numeric>
#include <random>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

struct OneUnit {
  at::Tensor gradient;
  std::vector<double> tail;
};

// Gradients over many magnitudes, so that a plain float sum does depend on its order.
std::vector<OneUnit> random_units(int count, int64_t elements, uint64_t seed,
                                  int least_exponent = -40) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> mantissa(-2, 2);
  std::uniform_int_distribution<int> exponent(least_exponent, 2);
  std::vector<OneUnit> units(count);
  for (OneUnit& unit : units) {
    unit.gradient = at::empty({elements}, at::kFloat);
    for (int64_t i = 0; i < elements; ++i) {
      unit.gradient.data_ptr<float>()[i] =
          static_cast<float>(std::ldexp(mantissa(random), exponent(random)));
    }
    unit.tail = {mantissa(random) * 1000, static_cast<double>(random() % 512)};
  }
  return units;
}

struct Result {
  std::vector<float> gradient;
  std::vector<double> tail;
  int64_t votes;
  bool operator==(const Result& other) const {
    return std::memcmp(gradient.data(), other.gradient.data(), gradient.size() * sizeof(float)) ==
               0 &&
           tail == other.tail && votes == other.votes;
  }
};

// Deals the units round robin to `ranks` ranks; each adds its own in their order. All ranks must
// hold the same.
Result summed(const std::vector<OneUnit>& units, int ranks) {
  const int64_t elements = units[0].gradient.numel();
  std::vector<Result> results(ranks);
  run_as_threads(ranks, [&](Communicator& communicator) {
    const int rank = communicator.world().rank;
    OrderFreeSum sum(elements, 2, 1);
    sum.start(static_cast<int64_t>(units.size()));
    for (size_t i = rank; i < units.size(); i += ranks) sum.add(units[i].gradient, units[i].tail);
    sum.vote(0, rank + 1);
    sum.reduce(communicator);
    at::Tensor out = at::empty({elements}, at::kFloat);
    sum.gradient(out);
    results[rank] = {{out.data_ptr<float>(), out.data_ptr<float>() + elements},
                     {sum.tail(0), sum.tail(1)},
                     sum.votes(0)};
  });
  for (const Result& result : results) EXPECT_EQ(result, results[0]);
  results[0].votes -= ranks * (ranks + 1) / 2;  // what the ranks voted
  return results[0];
}

// A float in units of 2^-72; below 2^-48 it may lose less than one unit.
__int128 fixed_point(float value) {
  return static_cast<__int128>(std::ldexp(static_cast<double>(value), 72));
}

TEST(OrderFreeSum, SameBitsInAnyOrderOnAnyNumberOfRanks) {
  std::vector<OneUnit> units = random_units(23, 20011, 42);
  const Result reference = summed(units, 1);
  EXPECT_EQ(reference.votes, 0);
  std::mt19937_64 random(7);
  bool plain_sum_differs = false;
  std::vector<float> plain_reference;
  for (int ranks = 1; ranks <= 8; ++ranks) {
    std::shuffle(units.begin(), units.end(), random);
    EXPECT_EQ(summed(units, ranks), reference) << ranks << " ranks";
    at::Tensor plain = at::zeros({20011}, at::kFloat);
    for (const OneUnit& unit : units) plain.add_(unit.gradient);
    std::vector<float> bits(plain.data_ptr<float>(), plain.data_ptr<float>() + plain.numel());
    if (plain_reference.empty()) plain_reference = bits;
    plain_sum_differs |= bits != plain_reference;
  }
  EXPECT_TRUE(plain_sum_differs) << "the data is too tame to prove anything";
}

TEST(OrderFreeSum, SameBitsAtAnyNumberOfThreads) {
  const std::vector<OneUnit> units = random_units(3, 200003, 1);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const Result reference = summed(units, 1);
  for (const int threads : {2, 3}) {
    at::set_num_threads(threads);
    EXPECT_EQ(summed(units, 1), reference) << threads << " threads";
  }
  at::set_num_threads(before);
}

TEST(OrderFreeSum, KeepsItsErrorBound) {
  const int count = 31;
  const int64_t elements = 20011;
  const std::vector<OneUnit> units = random_units(count, elements, 3);
  const Result result = summed(units, 2);
  for (int64_t i = 0; i < elements; ++i) {
    __int128 truth = 0;
    for (const OneUnit& unit : units) truth += fixed_point(unit.gradient.data_ptr<float>()[i]);
    const __int128 error = fixed_point(result.gradient[i]) - truth;
    const __int128 roundings = static_cast<__int128>(count) << (72 - 53);  // addends * quantum / 2
    const __int128 to_float = fixed_point(std::ldexp(1.f, std::ilogb(result.gradient[i]) - 24));
    const __int128 bound = roundings + to_float + count + 1;
    ASSERT_TRUE(-bound <= error && error <= bound) << i;
  }
  long double loss = 0, tokens = 0;
  for (const OneUnit& unit : units) {
    loss += unit.tail[0];
    tokens += unit.tail[1];
  }
  EXPECT_LE(std::abs(result.tail[0] - loss), count * 0x1p-41L + 1e-12L);
  EXPECT_EQ(result.tail[1], static_cast<double>(tokens));
}

TEST(OrderFreeSum, RoundsTiesToEven) {
  OrderFreeSum sum(4, 0, 0);
  sum.start(1);
  at::Tensor halves = at::empty({4}, at::kFloat);
  const float values[] = {0.5f, 1.5f, 2.5f, -0.5f};
  for (int i = 0; i < 4; ++i) halves.data_ptr<float>()[i] = values[i] * 0x1p-52f;
  sum.add(halves, {});
  sum.reduce(*single_rank());
  sum.gradient(halves);
  const float rounded[] = {0, 2, 2, 0};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(halves.data_ptr<float>()[i], rounded[i] * 0x1p-52f);
}

TEST(OrderFreeSum, GradientsNearAdamsEpsilonStayAccurate) {
  for (const double epsilon : {1e-8, 1e-6, 1e-12, 3e-7}) {
    OrderFreeSum sum(1000, 0, 0, epsilon);
    sum.start(4);
    std::mt19937_64 random(5);
    std::vector<double> truth(1000);
    for (int unit = 0; unit < 4; ++unit) {
      at::Tensor gradient = at::empty({1000}, at::kFloat);
      for (int i = 0; i < 1000; ++i) {
        const float value = static_cast<float>(epsilon * (1 + (random() % 1000) / 1000.0));
        gradient.data_ptr<float>()[i] = value;
        truth[i] += value;
      }
      sum.add(gradient, {});
    }
    sum.reduce(*single_rank());
    ASSERT_EQ(sum.out_of_range(), 0);
    at::Tensor out = at::empty({1000}, at::kFloat);
    sum.gradient(out);
    for (int i = 0; i < 1000; ++i) {
      ASSERT_LE(std::abs(out.data_ptr<float>()[i] / truth[i] - 1), 8e-8) << epsilon;
    }
  }
}

TEST(OrderFreeSum, QuantumFollowsAdamsEpsilonInPowersOfTwo) {
  EXPECT_EQ(OrderFreeSum(1, 0, 0, 1e-8).quantum(), 0x1p-52);
  EXPECT_EQ(OrderFreeSum(1, 0, 0, 1.9e-8).quantum(), 0x1p-52);
  EXPECT_EQ(OrderFreeSum(1, 0, 0, 1e-6).quantum(), 0x1p-46);
  EXPECT_EQ(OrderFreeSum(1, 0, 0, 0.9e-8).quantum(), 0x1p-53);
  EXPECT_EQ(OrderFreeSum(1, 0, 0, 0).quantum(), 0x1p-92);
}

TEST(OrderFreeSum, NotFiniteUnitsVoteAndAddNothing) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float bad[] = {std::nanf(""), -std::nanf(""), infinity, -infinity};
  run_as_threads(2, [&](Communicator& communicator) {
    OrderFreeSum sum(50001, 1, 0);
    sum.start(7);
    const at::Tensor ones = at::zeros({50001}, at::kFloat).add_(1);
    if (communicator.world().rank == 1) {
      for (const float value : bad) {
        at::Tensor gradient = ones.clone();
        gradient.data_ptr<float>()[50000] = value;
        sum.add(gradient, {1});
      }
      sum.add(ones, {std::nan("")});
    } else {
      sum.add(ones, {0.25});
      sum.add(ones.mul(1e6f), {0.25});  // out of range
    }
    sum.reduce(communicator);
    EXPECT_EQ(sum.not_finite(), 5);
    EXPECT_EQ(sum.out_of_range(), 1);
    at::Tensor out = at::empty({50001}, at::kFloat);
    sum.gradient(out);
    EXPECT_TRUE(out.equal(ones)) << "only the whole unit counts";
    EXPECT_EQ(sum.tail(0), 0.25);
  });
}

TEST(OrderFreeSum, TheSameUpdateFitsAfterCoarser) {
  OrderFreeSum sum(2, 1, 1);
  sum.start(3);
  at::Tensor gradient = at::empty({2}, at::kFloat);
  gradient.data_ptr<float>()[0] = 1000;  // 2048 / 3 is 682.67
  gradient.data_ptr<float>()[1] = -0x1p-30f;
  const auto whole_update = [&] {
    for (int i = 0; i < 3; ++i) sum.add(gradient, {2.5});
    sum.vote(0);
    sum.reduce(*single_rank());
  };
  whole_update();
  EXPECT_EQ(sum.out_of_range(), 3);
  sum.coarser();
  whole_update();
  EXPECT_EQ(sum.out_of_range(), 0);
  EXPECT_EQ(sum.quantum(), 0x1p-32);
  EXPECT_EQ(sum.votes(0), 1) << "the first try's votes are gone";
  EXPECT_EQ(sum.tail(0), 7.5);
  at::Tensor out = at::empty({2}, at::kFloat);
  sum.gradient(out);
  EXPECT_EQ(out.data_ptr<float>()[0], 3000);
  EXPECT_EQ(out.data_ptr<float>()[1], -3 * 0x1p-30f);
  sum.start(3);
  EXPECT_EQ(sum.quantum(), 0x1p-52) << "the next update is fine again";
}

TEST(OrderFreeSum, EveryFiniteNumberFitsInTheEnd) {
  OrderFreeSum sum(1, 1, 0);
  sum.start(2);
  const at::Tensor largest = at::zeros({1}, at::kFloat).add_(std::numeric_limits<float>::max());
  int tries = 0;
  do {
    if (tries++) sum.coarser();
    sum.add(largest, {-static_cast<double>(std::numeric_limits<float>::max())});
    sum.reduce(*single_rank());
    ASSERT_LT(tries, 10);
  } while (sum.out_of_range());
  at::Tensor out = at::empty({1}, at::kFloat);
  sum.gradient(out);
  EXPECT_TRUE(out.equal(largest));
  EXPECT_EQ(sum.tail(0), -static_cast<double>(std::numeric_limits<float>::max()));
}

TEST(OrderFreeSum, CannotOverflowJustBelowItsLimit) {
  for (const int64_t addends : {1, 2, 3, 5, 7, 1000, 4099}) {
    const auto below = std::nextafter(static_cast<float>(2048.0 / addends), 0.f);
    const auto above = std::nextafter(static_cast<float>(2048.0 / addends), 4096.f);
    OrderFreeSum sum(2, 1, 0);
    sum.start(addends);
    at::Tensor gradient = at::empty({2}, at::kFloat);
    gradient.data_ptr<float>()[0] = below;
    gradient.data_ptr<float>()[1] = -below;
    const double tail = std::nextafter(std::ldexp(1.0, 62) / addends, 0.0);
    for (int64_t i = 0; i < addends; ++i) sum.add(gradient, {-tail});
    sum.reduce(*single_rank());
    ASSERT_EQ(sum.out_of_range(), 0) << addends;
    at::Tensor out = at::empty({2}, at::kFloat);
    sum.gradient(out);
    EXPECT_EQ(out.data_ptr<float>()[0], static_cast<float>(static_cast<double>(below) * addends));
    EXPECT_EQ(out.data_ptr<float>()[1], static_cast<float>(-static_cast<double>(below) * addends));
    EXPECT_NEAR(sum.tail(0), -tail * addends, std::ldexp(1.0, 62 - 50) * addends);
    sum.start(addends);
    gradient.data_ptr<float>()[1] = above;
    sum.add(gradient, {0});
    EXPECT_EQ(sum.out_of_range(), 1) << addends;
  }
}

TEST(OrderFreeSum, RefusesWhatItWasNotMadeFor) {
  OrderFreeSum sum(4, 1, 0);
  EXPECT_THROW(sum.start(0), Error);
  EXPECT_THROW(sum.start((1 << 22) + 1), Error);
  sum.start(1);
  const at::Tensor gradient = at::zeros({4}, at::kFloat);
  EXPECT_THROW(sum.add(at::zeros({5}, at::kFloat), {0}), Error);
  EXPECT_THROW(sum.add(at::zeros({4}, at::kDouble), {0}), Error);
  EXPECT_THROW(sum.add(at::zeros({8}, at::kFloat).slice(0, 0, 8, 2), {0}), Error);
  EXPECT_THROW(sum.add(gradient, {}), Error);
  sum.add(gradient, {0});
  sum.add(gradient, {0});
  EXPECT_THROW(sum.reduce(*single_rank()), Error) << "two units in an update of one";
}

TEST(OrderFreeSum, WorksWithoutGradients) {  // evaluation
  run_as_threads(3, [](Communicator& communicator) {
    OrderFreeSum sum(0, 2, 0);
    sum.start(3);
    sum.add(at::empty({0}, at::kFloat), {0.125, 1e9});
    sum.reduce(communicator);
    EXPECT_EQ(sum.tail(0), 0.375);
    EXPECT_EQ(sum.tail(1), 3e9);
    EXPECT_EQ(sum.bytes(), 8 * (2 * 2 + 3));
  });
}

}  // namespace
}  // namespace rankwise
