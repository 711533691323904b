// Orders equal to those of Hugging Face's sampler; every row once; units dealt once and evenly.
#include "data/plan.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "peft/hub/json.h"
#include "tests/data/support.h"

namespace rankwise {
namespace {

using Rows = std::vector<int64_t>;

std::vector<UnitRows> units_of(const std::vector<int64_t>& tokens) {
  std::vector<UnitRows> units;
  for (const int64_t count : tokens) units.push_back({{}, count});
  return units;
}

TEST(EpochPermutation, IsTheSamplersOrder) {
  const Json cases = read_json(kGolden / "orders.json");
  ASSERT_EQ(cases.size(), 6);
  for (const Json& c : cases) {
    EXPECT_EQ(epoch_permutation(c[0], c[1], c[2]), c[3].get<Rows>()) << c[0] << " rows";
  }
}

TEST(Plan, CutsAnEpochIntoUpdatesAndUnits) {
  Rows lengths(10);
  std::iota(lengths.begin(), lengths.end(), 100);
  const Plan plan(lengths, 2, 4, 42);
  EXPECT_EQ(plan.updates_per_epoch(), 3);
  const std::vector<std::vector<Rows>> expected = {{{2, 6}, {1, 8}}, {{4, 5}, {0, 9}}, {{3, 7}},
                                                   {{8, 4}, {9, 0}}, {{5, 1}, {6, 7}}, {{2, 3}}};
  for (const int64_t number : {0, 1, 2, 3, 4, 5, 0, 4}) {  // in any order of asking
    const Update update = plan.update(number);
    EXPECT_EQ(update.number, number);
    EXPECT_EQ(update.epoch, number / 3);
    const auto& units = expected[static_cast<size_t>(number)];
    ASSERT_EQ(update.units.size(), units.size());
    for (size_t i = 0; i < units.size(); ++i) {
      EXPECT_EQ(update.units[i].rows, units[i]);
      int64_t tokens = 0;
      for (const int64_t row : units[i]) tokens += 100 + row;
      EXPECT_EQ(update.units[i].tokens, tokens);
    }
  }
}

TEST(Plan, LastUnitOfAnEpochMayBeShort) {
  const Plan plan(Rows(7, 1), 2, 4, 0);
  EXPECT_EQ(plan.updates_per_epoch(), 2);
  const Update last = plan.update(1);
  ASSERT_EQ(last.units.size(), 2);
  EXPECT_EQ(last.units[0].rows.size(), 2);
  EXPECT_EQ(last.units[1].rows.size(), 1);
  std::set<int64_t> seen;
  for (const int64_t number : {2, 3}) {
    for (const auto& unit : plan.update(number).units)
      seen.insert(unit.rows.begin(), unit.rows.end());
  }
  EXPECT_EQ(seen, (std::set<int64_t>{0, 1, 2, 3, 4, 5, 6}));
}

TEST(Plan, EvaluationKeepsTheOrderOfTheFile) {
  const Plan plan({5, 6, 7, 8, 9}, 1, 1, 0);
  const auto units = plan.in_order(2);
  ASSERT_EQ(units.size(), 3);
  EXPECT_EQ(units[0].rows, (Rows{0, 1}));
  EXPECT_EQ(units[1].rows, (Rows{2, 3}));
  EXPECT_EQ(units[2].rows, (Rows{4}));
  EXPECT_EQ(units[1].tokens, 15);
}

TEST(Plan, SizesThatDoNotFitAreABug) {
  error_of([] { Plan({1}, 2, 3, 0); }, ErrorKind::kInternal);
  error_of([] { Plan({}, 1, 1, 0); }, ErrorKind::kInternal);
  error_of([] { Plan({1}, 0, 1, 0); }, ErrorKind::kInternal);
  error_of([] { Plan({1}, 1, 1, 0).update(-1); }, ErrorKind::kInternal);
  error_of([] { Plan::dealt_to({}, 1, 1); }, ErrorKind::kInternal);
}

TEST(DealtTo, LongestFirstToTheLeastLoaded) {
  const auto units = units_of({3, 9, 5, 5, 1});  // 9→0, 5→1, 5→2, 3→1 (1 and 2 have 5), 1→2
  EXPECT_EQ(Plan::takers(units, 3), (std::vector<int>{1, 0, 1, 2, 2}));
  EXPECT_EQ(Plan::dealt_to(units, 0, 3), (Rows{1}));
  EXPECT_EQ(Plan::dealt_to(units, 1, 3), (Rows{0, 2}));
  EXPECT_EQ(Plan::dealt_to(units, 2, 3), (Rows{3, 4}));
  EXPECT_EQ(Plan::dealt_to(units, 0, 1), (Rows{0, 1, 2, 3, 4}));
}

TEST(DealtTo, RanksWithoutAUnitGetNone) {
  const auto units = units_of({4, 4});
  EXPECT_EQ(Plan::dealt_to(units, 0, 10000), (Rows{0}));
  EXPECT_EQ(Plan::dealt_to(units, 1, 10000), (Rows{1}));
  EXPECT_EQ(Plan::dealt_to(units, 2, 10000), Rows{});
  EXPECT_EQ(Plan::dealt_to({}, 7, 10000), Rows{});
}

// Cuts `ranks` equal loads into pieces at random, so that the optimum is known.
std::vector<UnitRows> units_with_optimum(int ranks, int64_t optimum, std::mt19937_64& random) {
  std::vector<int64_t> tokens;
  for (int rank = 0; rank < ranks; ++rank) {
    for (int64_t left = optimum; left > 0;) {
      const int64_t piece =
          std::min(left, 1 + static_cast<int64_t>(random() % static_cast<uint64_t>(optimum)));
      tokens.push_back(piece);
      left -= piece;
    }
  }
  std::shuffle(tokens.begin(), tokens.end(), random);
  return units_of(tokens);
}

TEST(DealtTo, TakesEveryUnitOnceWithinFourThirdsOfTheOptimum) {
  std::mt19937_64 random(2);
  const int64_t optimum = 997;
  for (const int ranks : {2, 3, 4, 7, 64, 10'000}) {
    for (int trial = 0; trial < (ranks < 100 ? 40 : 1); ++trial) {
      const auto units = units_with_optimum(ranks, optimum, random);
      const auto takers = Plan::takers(units, ranks);
      ASSERT_EQ(takers.size(), units.size());
      std::vector<int64_t> loads(static_cast<size_t>(ranks));
      for (size_t i = 0; i < units.size(); ++i) {
        loads.at(static_cast<size_t>(takers[i])) += units[i].tokens;
      }
      EXPECT_LE(3 * *std::max_element(loads.begin(), loads.end()), 4 * optimum) << ranks;
      for (const int rank : {0, ranks / 2, ranks - 1}) {
        int64_t load = 0;
        for (const int64_t i : Plan::dealt_to(units, rank, ranks)) {
          EXPECT_EQ(takers[static_cast<size_t>(i)], rank);
          load += units[static_cast<size_t>(i)].tokens;
        }
        EXPECT_EQ(load, loads[static_cast<size_t>(rank)]);
      }
    }
  }
}

TEST(Plan, LoadsAreTheTokensOfWhatRanksAreDealt) {
  const std::vector<UnitRows> units = {{{0}, 5}, {{1}, 9}, {{2}, 4}, {{3}, 3}};
  for (int ranks = 1; ranks <= 6; ++ranks) {
    const std::vector<int64_t> loads = Plan::loads(units, ranks);
    ASSERT_EQ(std::ssize(loads), ranks);
    for (int rank = 0; rank < ranks; ++rank) {
      int64_t tokens = 0;
      for (const int64_t unit : Plan::dealt_to(units, rank, ranks))
        tokens += units[static_cast<size_t>(unit)].tokens;
      EXPECT_EQ(loads[static_cast<size_t>(rank)], tokens) << rank << " of " << ranks;
    }
  }
}

}  // namespace
}  // namespace rankwise
