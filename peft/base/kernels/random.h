// Counter-based randomness: a number is a pure function of (seed, update, row, position, site,
// element), so nothing is stored for the backward pass and nothing goes into a checkpoint.
// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) makes two
// words for each stretch of elements; a bijective 32-bit mix of element and words, which compilers
// turn into vector code, makes the elements.
#pragma once

#include <cstdint>

#include "peft/base/kernels/clones.h"

namespace rankwise {

struct PhiloxKey {
  uint32_t low = 0, high = 0;
};

// Which stretch of numbers: the place in the model (site), the dataset row, the position in the
// row, and a further index (a head, a block).
struct Stretch {
  uint32_t site = 0, row = 0, position = 0, index = 0;
};

struct StretchWords {
  uint32_t offset, twist;
};

RANKWISE_INLINE StretchWords philox(PhiloxKey key, Stretch at) {
  uint32_t c0 = at.site, c1 = at.row, c2 = at.position, c3 = at.index;
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * c0, b = uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<uint32_t>(b >> 32) ^ c1 ^ key.low;
    c1 = static_cast<uint32_t>(b);
    c2 = static_cast<uint32_t>(a >> 32) ^ c3 ^ key.high;
    c3 = static_cast<uint32_t>(a);
    key.low += 0x9E3779B9u;
    key.high += 0xBB67AE85u;
  }
  return {c0, c1};
}

// Uniform over 32 bits.
RANKWISE_INLINE uint32_t random_bits(StretchWords words, uint32_t element) {
  uint32_t x = element * 0x9E3779B9u + words.offset;
  x = (x ^ (x >> 16)) * 0x7FEB352Du;
  x = ((x ^ (x >> 15)) + words.twist) * 0x846CA68Bu;
  return x ^ (x >> 16);
}

// Dropout with probability p: an element is kept where its bits reach `threshold`, and scaled by 1
// / (1 - p).
struct DropoutRate {
  uint32_t threshold = 0;
  float scale = 1;
  explicit DropoutRate(double p = 0)
      : threshold(static_cast<uint32_t>(p * 4294967296.0)),
        scale(static_cast<float>(1 / (1 - p))) {}
  RANKWISE_INLINE bool active() const { return threshold != 0; }
};

RANKWISE_INLINE float dropout_factor(StretchWords words, uint32_t element,
                                     const DropoutRate& rate) {
  return random_bits(words, element) >= rate.threshold ? rate.scale : 0.0f;
}

}  // namespace rankwise
