// Keys of randomness, and the places of packed tokens.
#include "peft/base/pass.h"

#include <algorithm>
#include <numeric>

#include "peft/base/cache.h"
#include "peft/base/ops/sent_to.h"

namespace rankwise {
namespace {

std::vector<int64_t> first_positions(const PackedText& text, const PassOptions& options) {
  std::vector<int64_t> first(static_cast<size_t>(text.sequences()), options.first_position);
  if (options.cache) {
    for (size_t s = 0; s < first.size(); ++s) {
      const int64_t before = options.cache->length(static_cast<int64_t>(s));
      if (before > 0) first[s] = before;
    }
  }
  return first;
}

}  // namespace

PhiloxKey Randomness::key() const {
  const StretchWords words =
      philox({static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
             {static_cast<uint32_t>(update), static_cast<uint32_t>(update >> 32), 0x52414E4Bu, 0});
  return {words.offset, words.twist};
}

TokenPlaces::TokenPlaces(const PackedText& text, const std::vector<int64_t>& dataset_rows,
                         const std::vector<int64_t>& first_positions)
    : bounds(text.bounds) {
  const auto tokens = static_cast<size_t>(text.tokens.size(0));
  rows.assign(tokens, 0xFFFFFFFFu);
  positions.assign(tokens, 0);
  for (size_t s = 0; s + 1 < bounds.size(); ++s) {
    const auto begin = static_cast<size_t>(bounds[s]), end = static_cast<size_t>(bounds[s + 1]);
    std::fill(rows.begin() + bounds[s], rows.begin() + bounds[s + 1],
              static_cast<uint32_t>(dataset_rows[s]));
    std::iota(positions.data() + begin, positions.data() + end,
              static_cast<uint32_t>(first_positions[s]));
  }
}

TokenPlaces::TokenPlaces(const TokenPlaces& all, const std::vector<int64_t>& index) {
  rows.reserve(index.size());
  positions.reserve(index.size());
  for (const int64_t token : index) {
    rows.push_back(all.rows[static_cast<size_t>(token)]);
    positions.push_back(all.positions[static_cast<size_t>(token)]);
  }
  for (const int64_t bound : all.bounds) {
    bounds.push_back(std::lower_bound(index.begin(), index.end(), bound) - index.begin());
  }
}

void TokenPlaces::copy_to(const at::Device& device) {
  const auto of = [](std::vector<uint32_t>& numbers) {
    return at::from_blob(numbers.data(), {std::ssize(numbers)}, at::kInt);
  };
  on_device_ = sent_to(device, at::stack({of(rows), of(positions)}));
}

const uint32_t* TokenPlaces::data(int64_t which, const std::vector<uint32_t>& here) const {
  if (!on_device_.defined()) return here.data();
  return reinterpret_cast<const uint32_t*>(on_device_.const_data_ptr<int32_t>()) +
         which * on_device_.size(1);
}

std::shared_ptr<const TokenPlaces> Pass::placed(TokenPlaces places) const {
  auto made = std::make_shared<TokenPlaces>(std::move(places));
  if (!device().is_cpu() && randomness_.training) made->copy_to(device());
  return made;
}

Pass::Pass(const Unit& unit, const Randomness& randomness, const PassOptions& options)
    : unit_(&unit),
      text_(&unit.text),
      randomness_(randomness),
      options_(options),
      places_(placed(
          TokenPlaces(unit.text, unit.rows,
                      first_positions(unit.text, unit.decoder_text.tokens.defined() ? PassOptions{}
                                                                                    : options)))) {}

at::Tensor Pass::positions() const {
  at::Tensor positions = at::empty({std::ssize(places_->positions)}, at::kLong);
  std::copy(places_->positions.begin(), places_->positions.end(),
            positions.mutable_data_ptr<int64_t>());
  return positions;
}

Pass Pass::decoder() const {
  Pass decoder = *this;
  decoder.text_ = &unit_->decoder_text;
  decoder.places_ =
      placed(TokenPlaces(*decoder.text_, unit_->rows, first_positions(*decoder.text_, options_)));
  return decoder;
}

Pass Pass::without_cache() const {
  Pass pass = *this;
  pass.options_.cache = nullptr;
  return pass;
}

Pass Pass::at(const std::vector<int64_t>& index) const {
  Pass narrowed = *this;
  narrowed.places_ = placed(TokenPlaces(*places_, index));
  return narrowed;
}

kernels::RowDropout Pass::dropout(uint32_t site, double p) const {
  const DropoutRate rate(randomness_.training ? p : 0.0);
  return {randomness_.key(), site, rate, places_->row_data(), places_->position_data()};
}

std::vector<int64_t> Pass::first_tokens() const {
  return {places_->bounds.begin(), places_->bounds.end() - 1};
}

std::vector<int64_t> Pass::last_tokens(int64_t except) const {
  const int64_t* tokens = text_->tokens.const_data_ptr<int64_t>();
  std::vector<int64_t> last;
  for (size_t s = 0; s + 1 < places_->bounds.size(); ++s) {
    int64_t at = places_->bounds[s + 1] - 1;
    while (text_->virtual_tokens == 0 && at > places_->bounds[s] && tokens[at] == except) --at;
    last.push_back(at);
  }
  return last;
}

std::vector<int64_t> Pass::targets() const {
  const at::Tensor& index = unit_->target_index;
  return {index.const_data_ptr<int64_t>(), index.const_data_ptr<int64_t>() + index.numel()};
}

}  // namespace rankwise
