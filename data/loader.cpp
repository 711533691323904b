// Copies rows into packed tensors, one unit ahead of the one that is being computed.
#include "data/loader.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

constexpr int64_t kTokenMultiple = 16;
// How far before a labelled token the position that predicts it lies.
int64_t label_shift(TaskType task) { return task == TaskType::kCausalLm ? 1 : 0; }

bool has_token_labels(TaskType task) {
  return task == TaskType::kTokenCls || task == TaskType::kCausalLm || task == TaskType::kSeq2SeqLm;
}

int64_t padded(int64_t tokens) {
  return (tokens + kTokenMultiple - 1) / kTokenMultiple * kTokenMultiple;
}

at::Tensor int64_tensor(const std::vector<int64_t>& values) {
  at::Tensor tensor = at::empty({std::ssize(values)}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<int64_t>());
  return tensor;
}

// `width` numbers a row: a class, or the start and end of an answer; of a regression one float.
// Nothing where the store has no labels.
void pack_row_labels(const TokenStore& store, int64_t width, Unit& unit) {
  if (!store.labelled()) return;
  if (!store.values.empty()) {
    unit.targets = at::empty({std::ssize(unit.rows)}, at::kFloat);
    float* value = unit.targets.mutable_data_ptr<float>();
    for (const int64_t row : unit.rows) value = std::ranges::copy(store.values_of(row), value).out;
    return;
  }
  std::vector<int64_t> values;
  for (const int64_t row : unit.rows) {
    const auto label = store.labels_of(row);
    if (std::ssize(label) != width)
      throw internal_error("row {} has {} labels, not {}", row, label.size(), width);
    values.insert(values.end(), label.begin(), label.end());
  }
  unit.targets = int64_tensor(values);
  if (width > 1) unit.targets = unit.targets.view({-1, width});
}

// One label a token of `text`, where it is not ignored.
void pack_token_targets(const TokenStore& store, const PackedText& text, int64_t shift,
                        Unit& unit) {
  std::vector<int64_t> index, targets;
  for (size_t i = 0; i < unit.rows.size(); ++i) {
    const auto labels = store.labels_of(unit.rows[i]);
    const int64_t length = text.bounds[i + 1] - text.bounds[i];
    if (std::ssize(labels) != length) {
      throw internal_error("row {} has {} tokens and {} labels", unit.rows[i], length,
                           labels.size());
    }
    for (int64_t at = shift; at < length; ++at) {
      const int32_t label = labels[static_cast<size_t>(at)];
      if (label == kIgnoredLabel) continue;
      index.push_back(text.bounds[i] + at - shift);
      targets.push_back(label);
    }
  }
  unit.target_index = int64_tensor(index);
  unit.targets = int64_tensor(targets);
}

PackedText pack_text(const TokenStore& store, const std::vector<int64_t>& rows) {
  PackedText text;
  text.bounds = {0};
  for (const int64_t row : rows) text.bounds.push_back(text.bounds.back() + store.length(row));
  text.tokens = at::zeros({padded(text.real_tokens())}, at::kLong);
  int64_t* token = text.tokens.mutable_data_ptr<int64_t>();
  for (const int64_t row : rows) token = std::ranges::copy(store.ids(row), token).out;
  if (store.token_type_ids.empty()) return text;
  text.token_types = at::zeros_like(text.tokens);
  int64_t* type = text.token_types.mutable_data_ptr<int64_t>();
  for (const int64_t row : rows) type = std::ranges::copy(store.types(row), type).out;
  return text;
}

// What the decoder reads: the labels, one place later.
PackedText pack_decoder_text(const TokenStore& store, const std::vector<int64_t>& rows,
                             const Packing& packing) {
  PackedText text;
  text.bounds = {0};
  std::vector<int64_t> tokens;
  for (const int64_t row : rows) {
    int64_t previous = packing.decoder_start_token;
    for (const int32_t label : store.labels_of(row)) {
      tokens.push_back(previous);
      previous = label == kIgnoredLabel ? packing.pad_token : label;
    }
    text.bounds.push_back(std::ssize(tokens));
  }
  tokens.resize(static_cast<size_t>(padded(std::ssize(tokens))), 0);
  text.tokens = int64_tensor(tokens);
  return text;
}

}  // namespace

Unit pack(const TokenStore& store, const UnitRows& rows, const Packing& packing) {
  Unit unit;
  unit.rows = rows.rows;
  unit.text = pack_text(store, rows.rows);
  if (packing.task == TaskType::kSeq2SeqLm)
    unit.decoder_text = pack_decoder_text(store, rows.rows, packing);
  if (has_token_labels(packing.task)) {
    const bool decoder = packing.task == TaskType::kSeq2SeqLm;
    pack_token_targets(store, decoder ? unit.decoder_text : unit.text, label_shift(packing.task),
                       unit);
  } else if (packing.task != TaskType::kFeatureExtraction) {
    pack_row_labels(store, packing.task == TaskType::kQuestionAns ? 2 : 1, unit);
  }
  return unit;
}

int64_t target_count(const TokenStore& store, int64_t row, TaskType task) {
  if (!has_token_labels(task)) return 1;
  const auto labels = store.labels_of(row).subspan(
      std::min<size_t>(static_cast<size_t>(label_shift(task)), store.labels_of(row).size()));
  return std::ssize(labels) - std::ranges::count(labels, kIgnoredLabel);
}

void Loader::run(std::span<const UnitRows> units, std::span<const int64_t> dealt,
                 const std::function<bool(const Unit&, int64_t)>& each) const {
  if (dealt.empty()) return;
  const auto unit_at = [&](size_t i) {
    return pack(store_, units[static_cast<size_t>(dealt[i])], packing_);
  };
  Unit unit = unit_at(0);  // nothing to overlap with yet
  for (size_t i = 0; i < dealt.size(); ++i) {
    // A future of std::async waits for its thread when it goes, whatever `each` does.
    std::future<Unit> next;
    if (i + 1 < dealt.size()) next = std::async(std::launch::async, unit_at, i + 1);
    if (!each(unit, dealt[i])) return;
    if (next.valid()) unit = next.get();
  }
}

}  // namespace rankwise
