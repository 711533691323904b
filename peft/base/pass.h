// What one forward pass carries beside its tensors: which rows of text its token rows are (the key
// of all randomness), and whether dropout acts.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "peft/base/kernels/attention.h"
#include "peft/base/kernels/rows.h"
#include "peft/base/unit.h"

namespace rankwise {

// Everything random is a pure function of this and of (row, position, site).
struct Randomness {
  uint64_t seed = 0;
  int64_t update = 0;
  bool training = false;  // false: no dropout

  PhiloxKey key() const;
};

// The dataset row and the position of each packed token, and where each sequence's tokens begin and
// end.
struct TokenPlaces {
  std::vector<uint32_t> rows, positions;  // [T]; fillers: row 0xFFFFFFFF
  std::vector<int64_t> bounds;            // [S + 1]
  explicit TokenPlaces(const Unit& unit);
  TokenPlaces(const TokenPlaces& all,
              const std::vector<int64_t>& index);  // those at index, which is ascending
};

class Pass {
 public:
  Pass(const Unit& unit, const Randomness& randomness)
      : unit_(&unit), randomness_(randomness), places_(std::make_shared<TokenPlaces>(unit)) {}

  const Unit& unit() const { return *unit_; }
  const Randomness& randomness() const { return randomness_; }
  const TokenPlaces& places() const { return *places_; }
  Pass at(const std::vector<int64_t>& index) const;  // the same pass for these tokens only

  // Dropout at a site; inactive outside training. The pointers live as long as any Pass of these
  // places.
  kernels::RowDropout dropout(uint32_t site, double p) const;
  std::shared_ptr<const TokenPlaces> shared_places() const { return places_; }

 private:
  const Unit* unit_;
  Randomness randomness_;
  std::shared_ptr<const TokenPlaces> places_;
};

// Who sees whom: the tokens of `queries` see the tokens of `keys` of the same sequence. The caller
// adds heads and scale.
kernels::AttentionPlan attention_plan(const Pass& queries, const Pass& keys, uint32_t site,
                                      double p);

std::vector<int64_t> first_tokens(const Unit& unit);  // index of each sequence's first token

}  // namespace rankwise
