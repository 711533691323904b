// What one forward pass carries beside its tensors: which rows of text its token rows are (the key
// of all randomness), at which positions they stand, and how the pass is to be computed.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "peft/base/kernels/attention.h"
#include "peft/base/kernels/rows.h"
#include "peft/base/unit.h"

namespace rankwise {

class KeyValueCache;

// Everything random is a pure function of this and of (row, position, site).
struct Randomness {
  uint64_t seed = 0;
  int64_t update = 0;
  bool training = false;  // false: no dropout

  PhiloxKey key() const;
};

struct PassOptions {
  bool gradient_checkpointing = false;  // layers are computed again in the backward pass
  bool whole_rows = false;              // no layer is computed for some of the tokens only
  KeyValueCache* cache = nullptr;       // generation: keys and values of the text so far
  // Of the first token of every row, behind a prefix; of an encoder-decoder, in the decoder's text.
  int64_t first_position = 0;
  at::Device device = at::kCPU;    // where the model computes; a unit's tensors are on the CPU
  bool bfloat16_products = false;  // on a GPU attention's, too
  // Called at each layer, in the forward and in the backward pass; null: nobody waits.
  const std::function<void()>* progressed = nullptr;
};

// The dataset row and the position of each packed token, and where each sequence's tokens begin and
// end.
struct TokenPlaces {
  std::vector<uint32_t> rows, positions;  // [T]; fillers: row 0xFFFFFFFF
  std::vector<int64_t> bounds;            // [S + 1]

  // first_positions [S]: of each sequence's first token.
  TokenPlaces(const PackedText& text, const std::vector<int64_t>& rows,
              const std::vector<int64_t>& first_positions);
  TokenPlaces(const TokenPlaces& all,
              const std::vector<int64_t>& index);  // those at index, which is ascending

  void copy_to(const at::Device& device);  // rows and positions too, for kernels there
  const uint32_t* row_data() const { return data(0, rows); }
  const uint32_t* position_data() const { return data(1, positions); }

 private:
  const uint32_t* data(int64_t which, const std::vector<uint32_t>& here) const;
  at::Tensor on_device_;  // [2, T] int32; undefined: on the CPU
};

class Pass {
 public:
  Pass(const Unit& unit, const Randomness& randomness, const PassOptions& options = {});

  const Unit& unit() const { return *unit_; }
  const PackedText& text() const { return *text_; }
  const Randomness& randomness() const { return randomness_; }
  const PassOptions& options() const { return options_; }
  const TokenPlaces& places() const { return *places_; }
  const at::Device& device() const { return options_.device; }
  at::Tensor positions() const;  // [T] int64, on the CPU

  Pass decoder() const;                              // the same pass over the decoder's text
  Pass without_cache() const;                        // from the first position
  Pass at(const std::vector<int64_t>& index) const;  // the same pass for these tokens only

  // Dropout at a site; inactive outside training. The pointers live as long as any Pass of these
  // places.
  kernels::RowDropout dropout(uint32_t site, double p) const;
  std::shared_ptr<const TokenPlaces> shared_places() const { return places_; }

  std::vector<int64_t> first_tokens() const;  // index of each sequence's first token
  // Index of each sequence's last token that is not `except`, or else of its first; behind virtual
  // tokens just of its last.
  std::vector<int64_t> last_tokens(int64_t except) const;
  std::vector<int64_t> targets() const;  // Unit's target_index

 private:
  std::shared_ptr<const TokenPlaces> placed(TokenPlaces places) const;

  const Unit* unit_;
  const PackedText* text_;
  Randomness randomness_;
  PassOptions options_;
  std::shared_ptr<const TokenPlaces> places_;
};

}  // namespace rankwise
