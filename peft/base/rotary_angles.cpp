// Angles are computed in float32 in the same steps as transformers takes, or late positions differ.
#include "peft/base/rotary_angles.h"

#include <cmath>
#include <numbers>

#include "peft/base/ops/sent_to.h"

namespace rankwise {
namespace {

double field(const Config& config, const Json& scaling, const char* name) {
  if (!scaling.contains(name) || !scaling[name].is_number())
    throw config.error("rope_scaling", fmt::format("has no number '{}'", name));
  return scaling[name].get<double>();
}

// Llama 3.1: long waves are slowed by `factor`, short ones stay, those between are blended.
float llama3(float frequency, const Config& config, const Json& scaling) {
  const double factor = field(config, scaling, "factor");
  const double low = field(config, scaling, "low_freq_factor");
  const double high = field(config, scaling, "high_freq_factor");
  const double original = field(config, scaling, "original_max_position_embeddings");
  const double wave = 2 * std::numbers::pi / static_cast<double>(frequency);
  if (wave > original / low) return frequency / static_cast<float>(factor);
  if (wave < original / high) return frequency;
  const auto blend = static_cast<float>((original / wave - low) / (high - low));
  return (1 - blend) * frequency / static_cast<float>(factor) + blend * frequency;
}

}  // namespace

std::vector<float> rotary_frequencies(const Config& config, int64_t head_size) {
  if (head_size % 2 != 0) throw config.error("head_dim", "must be even for rotary positions");
  if (config.number("partial_rotary_factor", 1) != 1)
    throw config.error("partial_rotary_factor", "must be 1");
  const double base = config.number("rope_theta", 10000);
  std::vector<float> frequencies;
  for (int64_t i = 0; i < head_size; i += 2) {
    const auto exponent = static_cast<float>(i) / static_cast<float>(head_size);
    frequencies.push_back(1 / std::pow(static_cast<float>(base), exponent));
  }
  if (!config.has("rope_scaling")) return frequencies;
  const Json scaling = config.json()["rope_scaling"];
  if (!scaling.is_object()) throw config.error("rope_scaling", "must be an object");
  const Json type = scaling.value("rope_type", scaling.value("type", Json("default")));
  if (type == "default") return frequencies;
  if (type != "linear" && type != "llama3")
    throw config.error("rope_scaling",
                       fmt::format("has the type {}; supported: linear, llama3", type.dump()));
  for (float& frequency : frequencies) {
    frequency = type == "linear" ? frequency / static_cast<float>(field(config, scaling, "factor"))
                                 : llama3(frequency, config, scaling);
  }
  return frequencies;
}

RotaryAngles rotary_angles(const std::vector<float>& frequencies, const Pass& pass) {
  const std::vector<uint32_t>& positions = pass.places().positions;
  const auto half = static_cast<int64_t>(frequencies.size());
  RotaryAngles angles{at::empty({std::ssize(positions), half}, at::kFloat),
                      at::empty({std::ssize(positions), half}, at::kFloat)};
  float* cosine = angles.cosine.data_ptr<float>();
  float* sine = angles.sine.data_ptr<float>();
  for (const uint32_t position : positions) {
    for (const float frequency : frequencies) {
      const float angle = frequency * static_cast<float>(position);
      *cosine++ = std::cos(angle);
      *sine++ = std::sin(angle);
    }
  }
  return {sent_to(pass.device(), angles.cosine), sent_to(pass.device(), angles.sine)};
}

}  // namespace rankwise
