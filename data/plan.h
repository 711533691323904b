// Who computes what, in which order. Pure functions: no rank state, no I/O.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rankwise {

// Hugging Face's order: torch.randperm(n) of a generator seeded with seed + epoch (Trainer's
// SeedableRandomSampler).
std::vector<int64_t> epoch_permutation(int64_t rows, int64_t seed, int64_t epoch);

struct UnitRows {
  std::vector<int64_t> rows;
  int64_t tokens = 0;
};

struct Update {
  int64_t number = 0;  // 0-based, over the whole run
  int64_t epoch = 0;   // 0-based
  std::vector<UnitRows> units;
};

class Plan {
 public:
  // lengths: tokens of each row. unit_rows: rows of a unit; global_batch: rows of an update (a
  // multiple of unit_rows). Every row once an epoch; the last update of an epoch, and its last
  // unit, may be short.
  Plan(std::vector<int64_t> lengths, int64_t unit_rows, int64_t global_batch, int64_t seed);

  int64_t updates_per_epoch() const;
  Update update(int64_t number)
      const;  // O(rows of an update), plus O(rows) where the epoch differs from the last call's

  // Evaluation: the rows in file order, in units. groups [rows]: the rows of a unit are of one
  // group, from 0; empty: all are.
  std::vector<UnitRows> in_order(int64_t unit_rows, const std::vector<int64_t>& groups = {}) const;

  // The rank of each unit: dealt longest first (ties: lowest index) to the rank with the least
  // tokens (ties: lowest rank). O(units log units).
  static std::vector<int> takers(std::span<const UnitRows> units, int ranks);
  // Tokens of each rank's units, [ranks].
  static std::vector<int64_t> loads(std::span<const UnitRows> units, int ranks);
  // The indices of the units of `rank`, ascending.
  static std::vector<int64_t> dealt_to(std::span<const UnitRows> units, int rank, int ranks);

 private:
  std::vector<int64_t> lengths_;
  int64_t unit_rows_, global_batch_, seed_;
  mutable int64_t permuted_epoch_ = -1;
  mutable std::vector<int64_t> permutation_;
};

}  // namespace rankwise
