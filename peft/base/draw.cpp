// Philox words to normal and uniform numbers, one element at a time: for initial values, not for
// dropout.
#include "peft/base/draw.h"

#include <ATen/ops/empty.h>

#include <cmath>
#include <numbers>

#include "peft/base/kernels/random.h"

namespace rankwise {
namespace {

// Element i uses two words: (0, 1] and [0, 1).
template <class Make>
at::Tensor draw(at::IntArrayRef shape, uint64_t seed, std::string_view name, Make make) {
  at::Tensor values = at::empty(shape, at::TensorOptions().dtype(at::kFloat));
  const uint64_t stream = hash_of(name);
  const PhiloxKey key{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  float* out = values.data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i) {
    const StretchWords words =
        philox(key, {static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32),
                     static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32)});
    out[i] = static_cast<float>(make((words.offset + 1.0) * 0x1p-32, words.twist * 0x1p-32));
  }
  return values;
}

}  // namespace

uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

at::Tensor draw_normal(at::IntArrayRef shape, double deviation, uint64_t seed,
                       std::string_view name) {
  return draw(shape, seed, name, [deviation](double u, double v) {  // Box and Muller, 1958
    return deviation * std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
  });
}

at::Tensor draw_uniform(at::IntArrayRef shape, double bound, uint64_t seed, std::string_view name) {
  return draw(shape, seed, name, [bound](double u, double) { return bound * (2 * u - 1); });
}

}  // namespace rankwise
