// Copies rows into packed tensors, one unit ahead of the one that is being computed.
#include "data/loader.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

constexpr int64_t kTokenMultiple = 16;
// How far before a labelled token the position that predicts it lies.
int64_t label_shift(const Packing& packing) { return packing.task == TaskType::kCausalLm ? 1 : 0; }

// The first token of a row that something predicts: a virtual one does it too.
int64_t first_predicted(const Packing& packing) {
  return packing.virtual_tokens > 0 ? 0 : label_shift(packing);
}

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

using Examples = std::vector<Example>;

// `width` numbers a row: a class, or the start and end of an answer; of a regression one float.
void pack_row_labels(const Examples& examples, int64_t width, Unit& unit) {
  std::vector<int64_t> labels;
  std::vector<float> values;
  for (size_t i = 0; i < examples.size(); ++i) {
    const Example& example = examples[i];
    if (std::ssize(example.labels) + std::ssize(example.values) != width)
      throw internal_error("row {} has {} labels, not {}", unit.rows[i],
                           example.labels.size() + example.values.size(), width);
    labels.insert(labels.end(), example.labels.begin(), example.labels.end());
    values.insert(values.end(), example.values.begin(), example.values.end());
  }
  unit.targets = values.empty() ? int64_tensor(labels) : at::tensor(values);
  if (width > 1) unit.targets = unit.targets.view({-1, width});
}

// One label a token of `text`, where it is not ignored.
void pack_token_targets(const Examples& examples, const PackedText& text, const Packing& packing,
                        Unit& unit) {
  std::vector<int64_t> index, targets;
  for (size_t i = 0; i < examples.size(); ++i) {
    const std::vector<int32_t>& labels = examples[i].labels;
    const int64_t begin = text.bounds[i] + text.virtual_tokens;
    const int64_t length = text.bounds[i + 1] - begin;
    if (std::ssize(labels) != length) {
      throw internal_error("row {} has {} tokens and {} labels", unit.rows[i], length,
                           labels.size());
    }
    for (int64_t at = first_predicted(packing); at < length; ++at) {
      const int32_t label = labels[static_cast<size_t>(at)];
      if (label == kIgnoredLabel) continue;
      index.push_back(begin + at - label_shift(packing));
      targets.push_back(label);
    }
  }
  unit.target_index = int64_tensor(index);
  unit.targets = int64_tensor(targets);
}

PackedText pack_text(const Examples& examples, int64_t virtual_tokens) {
  PackedText text;
  text.bounds = {0};
  text.virtual_tokens = virtual_tokens;
  for (const Example& example : examples)
    text.bounds.push_back(text.bounds.back() + virtual_tokens + std::ssize(example.input_ids));
  text.tokens = at::zeros({padded(text.real_tokens())}, at::kLong);
  int64_t* token = text.tokens.mutable_data_ptr<int64_t>();
  for (size_t i = 0; i < examples.size(); ++i)
    std::ranges::copy(examples[i].input_ids, token + text.bounds[i] + virtual_tokens);
  const bool typed = std::ranges::any_of(
      examples, [](const Example& example) { return !example.token_type_ids.empty(); });
  if (!typed) return text;
  text.token_types = at::zeros_like(text.tokens);
  int64_t* type = text.token_types.mutable_data_ptr<int64_t>();
  for (size_t i = 0; i < examples.size(); ++i)
    std::ranges::copy(examples[i].token_type_ids, type + text.bounds[i] + virtual_tokens);
  return text;
}

// What the decoder reads: the labels, one place later.
PackedText pack_decoder_text(const Examples& examples, const Packing& packing) {
  PackedText text;
  text.bounds = {0};
  std::vector<int64_t> tokens;
  for (const Example& example : examples) {
    int64_t previous = packing.decoder_start_token;
    for (const int32_t label : example.labels) {
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
  Examples examples;
  for (const int64_t row : rows.rows) examples.push_back(store.example(row));
  unit.text = pack_text(examples, packing.virtual_tokens);
  if (packing.task == TaskType::kSeq2SeqLm)
    unit.decoder_text = pack_decoder_text(examples, packing);
  if (has_token_labels(packing.task)) {
    const bool decoder = packing.task == TaskType::kSeq2SeqLm;
    pack_token_targets(examples, decoder ? unit.decoder_text : unit.text, packing, unit);
  } else if (packing.task != TaskType::kFeatureExtraction && store.labelled()) {
    pack_row_labels(examples, packing.task == TaskType::kQuestionAns ? 2 : 1, unit);
  }
  return unit;
}

int64_t target_count(std::span<const int32_t> labels, const Packing& packing) {
  if (!has_token_labels(packing.task)) return 1;
  const auto first = std::min(static_cast<size_t>(first_predicted(packing)), labels.size());
  const auto counted = labels.subspan(first);
  return std::ssize(counted) - std::ranges::count(counted, kIgnoredLabel);
}

int64_t target_count(const TokenStore& store, int64_t row, const Packing& packing) {
  if (store.file && packing.virtual_tokens > 0)
    return target_count(store.example(row).labels, packing);
  if (store.file) return store.target_counts[static_cast<size_t>(row)];
  return target_count(store.labels_of(row), packing);
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
