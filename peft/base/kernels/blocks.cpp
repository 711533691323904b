// Layouts: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h. A block of 32 holds low
// bits of numbers 0–15 and 16–31 in the halves of its bytes; a block of 256 has scales of its own
// for every 16 or 32 numbers.
#include "peft/base/kernels/blocks.h"

#include <bit>
#include <cstring>

#include "peft/base/kernels/clones.h"

namespace rankwise::kernels {
namespace {

template <class Number>
RANKWISE_INLINE Number load(const uint8_t* from) {
  Number value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

RANKWISE_INLINE float half(const uint8_t* from) {
  const uint32_t bits = load<uint16_t>(from);
  const uint32_t sign = (bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000 | fraction << 13);
  if (exponent == 0) {  // fraction · 2^-24
    const float value = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

RANKWISE_INLINE float bfloat(const uint8_t* from) {
  return std::bit_cast<float>(uint32_t{load<uint16_t>(from)} << 16);
}

// Each unpacks one block; `to` has room for its numbers.
struct Float32 {
  static RANKWISE_INLINE void unpack(const uint8_t* from, float* to) { to[0] = load<float>(from); }
};
struct Float16 {
  static RANKWISE_INLINE void unpack(const uint8_t* from, float* to) { to[0] = half(from); }
};
struct BFloat16 {
  static RANKWISE_INLINE void unpack(const uint8_t* from, float* to) { to[0] = bfloat(from); }
};

struct Q4_0 {
  static RANKWISE_INLINE void unpack(const uint8_t* from, float* to) {
    const float scale = half(from);
    for (int i = 0; i < 16; ++i) {
      to[i] = scale * static_cast<float>((from[2 + i] & 15) - 8);
      to[i + 16] = scale * static_cast<float>((from[2 + i] >> 4) - 8);
    }
  }
};

struct Q4_1 {
  static RANKWISE_INLINE void unpack(const uint8_t* from, float* to) {
    const float scale = half(from), least = half(from + 2);
    for (int i = 0; i < 16; ++i) {
      to[i] = scale * static_cast<float>(from[4 + i] & 15) + least;
      to[i + 16] = scale * static_cast<float>(from[4 + i] >> 4) + least;
    }
  }
};

// Numbers i and i + 16 of a block with four low bits each in `low` and a fifth in `high`.
struct Pair {
  int first, second;
};
RANKWISE_INLINE Pair five_bits(uint8_t low, uint32_t high, int i) {
  return {static_cast<int>((low & 15) | (high >> i & 1) << 4),
          static_cast<int>(low >> 4 | (high >> (i + 16) & 1) << 4)};
}

struct Q5_0 {
  static RANKWISE_INLINE void unpack(const uint8_t* from, float* to) {
    const float scale = half(from);
    const auto high = load<uint32_t>(from + 2);
    for (int i = 0; i < 16; ++i) {
      const Pair pair = five_bits(from[6 + i], high, i);
      to[i] = scale * static_cast<float>(pair.first - 16);
      to[i + 16] = scale * static_cast<float>(pair.second - 16);
    }
  }
};

struct Q5_1 {
  static RANKWISE_INLINE void unpack(const uint8_t* from, float* to) {
    const float scale = half(from), least = half(from + 2);
    const auto high = load<uint32_t>(from + 4);
    for (int i = 0; i < 16; ++i) {
      const Pair pair = five_bits(from[8 + i], high, i);
      to[i] = scale * static_cast<float>(pair.first) + least;
      to[i + 16] = scale * static_cast<float>(pair.second) + least;
    }
  }
};

struct Q8_0 {
  static RANKWISE_INLINE void unpack(const uint8_t* from, float* to) {
    const float scale = half(from);
    for (int i = 0; i < 32; ++i)
      to[i] = static_cast<float>(static_cast<int8_t>(from[2 + i])) * scale;
  }
};

// Scale and minimum of stretch j of 8, 6 bits each in 12 bytes.
struct ScaleAndMinimum {
  float scale, minimum;
};
RANKWISE_INLINE ScaleAndMinimum stretch_of(const uint8_t* packed, int j) {
  if (j < 4) return {static_cast<float>(packed[j] & 63), static_cast<float>(packed[j + 4] & 63)};
  const int low = packed[j + 4];
  return {static_cast<float>((low & 15) | (packed[j - 4] >> 6) << 4),
          static_cast<float>(low >> 4 | (packed[j] >> 6) << 4)};
}

struct Q4_K {
  static RANKWISE_INLINE void unpack(const uint8_t* from, float* to) {
    const float scale = half(from), minimum = half(from + 2);
    for (int j = 0; j < 8; ++j) {
      const ScaleAndMinimum own = stretch_of(from + 4, j);
      const float factor = scale * own.scale, less = minimum * own.minimum;
      const uint8_t* bits = from + 16 + j / 2 * 32;
      for (int i = 0; i < 32; ++i)
        to[32 * j + i] = factor * static_cast<float>(bits[i] >> 4 * (j % 2) & 15) - less;
    }
  }
};

struct Q5_K {
  static RANKWISE_INLINE void unpack(const uint8_t* from, float* to) {
    const float scale = half(from), minimum = half(from + 2);
    const uint8_t* high = from + 16;
    for (int j = 0; j < 8; ++j) {
      const ScaleAndMinimum own = stretch_of(from + 4, j);
      const float factor = scale * own.scale, less = minimum * own.minimum;
      const uint8_t* bits = from + 48 + j / 2 * 32;
      for (int i = 0; i < 32; ++i) {
        const int number = (bits[i] >> 4 * (j % 2) & 15) | (high[i] >> j & 1) << 4;
        to[32 * j + i] = factor * static_cast<float>(number) - less;
      }
    }
  }
};

struct Q6_K {
  static RANKWISE_INLINE void unpack(const uint8_t* from, float* to) {
    const uint8_t *scales = from + 192, *end = from + 208;
    const float scale = half(end);
    for (int j = 0; j < 8;
         ++j) {  // stretches of 32: low bits of 64 bytes, high bits of 32, by halves
      const uint8_t* low = from + j / 4 * 64 + j % 2 * 32;
      const uint8_t* high = from + 128 + j / 4 * 32;
      for (int i = 0; i < 32; ++i) {
        const int number = (low[i] >> 4 * (j % 4 / 2) & 15) | (high[i] >> 2 * (j % 4) & 3) << 4;
        const auto own = static_cast<float>(static_cast<int8_t>(scales[2 * j + i / 16]));
        to[32 * j + i] = scale * own * static_cast<float>(number - 32);
      }
    }
  }
};

template <class Block>
RANKWISE_INLINE void unpack_all(Dtype dtype, const uint8_t* from, int64_t columns, int64_t first,
                                int64_t last, float* out) {
  const Layout layout = layout_of(dtype);
  const int64_t blocks = columns / layout.numbers;
  from += first * blocks * layout.bytes;
  for (int64_t i = 0; i < (last - first) * blocks; ++i)
    Block::unpack(from + i * layout.bytes, out + i * layout.numbers);
}

}  // namespace

bool can_unpack(Dtype dtype) {
  return dtype == Dtype::kFloat32 || dtype == Dtype::kFloat16 || dtype == Dtype::kBFloat16 ||
         layout_of(dtype).is_block();
}

RANKWISE_KERNEL void unpack_rows(Dtype dtype, const uint8_t* from, int64_t columns, int64_t first,
                                 int64_t last, float* out) {
  switch (dtype) {
    case Dtype::kFloat32:
      return unpack_all<Float32>(dtype, from, columns, first, last, out);
    case Dtype::kFloat16:
      return unpack_all<Float16>(dtype, from, columns, first, last, out);
    case Dtype::kBFloat16:
      return unpack_all<BFloat16>(dtype, from, columns, first, last, out);
    case Dtype::kQ4_0:
      return unpack_all<Q4_0>(dtype, from, columns, first, last, out);
    case Dtype::kQ4_1:
      return unpack_all<Q4_1>(dtype, from, columns, first, last, out);
    case Dtype::kQ5_0:
      return unpack_all<Q5_0>(dtype, from, columns, first, last, out);
    case Dtype::kQ5_1:
      return unpack_all<Q5_1>(dtype, from, columns, first, last, out);
    case Dtype::kQ8_0:
      return unpack_all<Q8_0>(dtype, from, columns, first, last, out);
    case Dtype::kQ4_K:
      return unpack_all<Q4_K>(dtype, from, columns, first, last, out);
    case Dtype::kQ5_K:
      return unpack_all<Q5_K>(dtype, from, columns, first, last, out);
    case Dtype::kQ6_K:
      return unpack_all<Q6_K>(dtype, from, columns, first, last, out);
    default:
      return;
  }
}

}  // namespace rankwise::kernels
