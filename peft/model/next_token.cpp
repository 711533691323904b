// Sampling inverts the distribution at a counter-based random number.
#include "peft/model/next_token.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "peft/base/kernels/random.h"

namespace rankwise {
namespace {

struct Candidate {
  double weight;
  int64_t token;
};

// The tokens that top_k and top_p leave, the likeliest first (ties: lowest id), with their
// exponentials.
std::vector<Candidate> candidates(const float* logits, int64_t vocabulary,
                                  const GenerationOptions& options) {
  std::vector<Candidate> all;
  all.reserve(static_cast<size_t>(vocabulary));
  for (int64_t id = 0; id < vocabulary; ++id)
    all.push_back({static_cast<double>(logits[id]) / options.temperature, id});
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
  };
  const size_t kept = options.top_k > 0
                          ? std::min<size_t>(static_cast<size_t>(options.top_k), all.size())
                          : all.size();
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(kept), all.end(),
                    likelier);
  all.resize(kept);
  const double most = all.front().weight;
  double sum = 0;
  for (Candidate& candidate : all) sum += candidate.weight = std::exp(candidate.weight - most);
  if (options.top_p >= 1) return all;
  double mass = 0;  // the smallest set that reaches top_p
  size_t count = 0;
  while (count < all.size() && (count == 0 || mass < options.top_p * sum))
    mass += all[count++].weight;
  all.resize(count);
  return all;
}

// Uniform in [0, 1), 53 bits.
double uniform(const GenerationOptions& options, int64_t row, int64_t sequence, int64_t position) {
  const PhiloxKey key{static_cast<uint32_t>(options.seed),
                      static_cast<uint32_t>(options.seed >> 32)};
  const StretchWords words =
      philox(key, {0x544F4B45u, static_cast<uint32_t>(row), static_cast<uint32_t>(position),
                   static_cast<uint32_t>(sequence)});
  const uint64_t bits = (uint64_t{words.offset} << 32 | words.twist) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

}  // namespace

void penalize(at::Tensor scores, const std::vector<int64_t>& before, double penalty) {
  if (penalty == 1) return;
  const auto factor = static_cast<float>(penalty);
  float* values = scores.data_ptr<float>();
  for (const int64_t id : std::set<int64_t>(before.begin(), before.end()))
    values[id] = values[id] < 0 ? values[id] * factor : values[id] / factor;
}

int64_t next_token(at::Tensor logits, const std::vector<int64_t>& before,
                   const GenerationOptions& options, int64_t row, int64_t sequence) {
  float* values = logits.data_ptr<float>();
  const int64_t vocabulary = logits.numel();
  penalize(logits, before, options.repetition_penalty);
  if (!options.do_sample) return std::max_element(values, values + vocabulary) - values;
  const std::vector<Candidate> left = candidates(values, vocabulary, options);
  double sum = 0;
  for (const Candidate& candidate : left) sum += candidate.weight;
  double rest = sum * uniform(options, row, sequence, static_cast<int64_t>(before.size()));
  for (const Candidate& candidate : left) {
    rest -= candidate.weight;
    if (rest < 0) return candidate.token;
  }
  return left.back().token;
}

}  // namespace rankwise
