// Copies rows into packed tensors, one unit ahead of the one that is being computed.
#include "data/loader.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

constexpr int64_t kTokenMultiple = 16;
constexpr int32_t kIgnored = -100;

// How far before a labelled token the position that predicts it lies.
int64_t label_shift(TaskType task) {
  switch (task) {
    case TaskType::kTokenCls:
      return 0;
    case TaskType::kCausalLm:
      return 1;
    default:
      throw internal_error("units of {} are not packed yet", name_of(task));
  }
}

at::Tensor int64_tensor(const std::vector<int64_t>& values) {
  at::Tensor tensor = at::empty({std::ssize(values)}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<int64_t>());
  return tensor;
}

// One class or, of a regression, one number a row; nothing where the store has no labels.
void pack_classes(const TokenStore& store, Unit& unit) {
  if (!store.labelled()) return;
  if (!store.values.empty()) {
    unit.targets = at::empty({std::ssize(unit.rows)}, at::kFloat);
    float* value = unit.targets.mutable_data_ptr<float>();
    for (const int64_t row : unit.rows) value = std::ranges::copy(store.values_of(row), value).out;
    return;
  }
  std::vector<int64_t> classes;
  for (const int64_t row : unit.rows) {
    const auto label = store.labels_of(row);
    if (label.size() != 1) throw internal_error("row {} has {} labels, not one", row, label.size());
    classes.push_back(label[0]);
  }
  unit.targets = int64_tensor(classes);
}

// One label a token, where it is not ignored.
void pack_token_targets(const TokenStore& store, int64_t shift, Unit& unit) {
  std::vector<int64_t> index, targets;
  for (size_t i = 0; i < unit.rows.size(); ++i) {
    const auto labels = store.labels_of(unit.rows[i]);
    if (std::ssize(labels) != store.length(unit.rows[i])) {
      throw internal_error("row {} has {} tokens and {} labels", unit.rows[i],
                           store.length(unit.rows[i]), labels.size());
    }
    for (int64_t at = shift; at < std::ssize(labels); ++at) {
      const int32_t label = labels[static_cast<size_t>(at)];
      if (label == kIgnored) continue;
      index.push_back(unit.bounds[i] + at - shift);
      targets.push_back(label);
    }
  }
  unit.target_index = int64_tensor(index);
  unit.targets = int64_tensor(targets);
}

}  // namespace

Unit pack(const TokenStore& store, const UnitRows& rows, TaskType task) {
  Unit unit;
  unit.rows = rows.rows;
  unit.bounds = {0};
  for (const int64_t row : unit.rows) unit.bounds.push_back(unit.bounds.back() + store.length(row));
  const int64_t padded =
      (unit.real_tokens() + kTokenMultiple - 1) / kTokenMultiple * kTokenMultiple;
  unit.tokens = at::zeros({padded}, at::kLong);
  int64_t* token = unit.tokens.mutable_data_ptr<int64_t>();
  for (const int64_t row : unit.rows) token = std::ranges::copy(store.ids(row), token).out;
  if (!store.token_type_ids.empty()) {
    unit.token_types = at::zeros({padded}, at::kLong);
    int64_t* type = unit.token_types.mutable_data_ptr<int64_t>();
    for (const int64_t row : unit.rows) type = std::ranges::copy(store.types(row), type).out;
  }
  if (task == TaskType::kSeqCls) {
    pack_classes(store, unit);
  } else if (task != TaskType::kFeatureExtraction) {
    pack_token_targets(store, label_shift(task), unit);
  }
  return unit;
}

void Loader::run(std::span<const UnitRows> units, std::span<const int64_t> dealt,
                 const std::function<bool(const Unit&, int64_t)>& each) const {
  if (dealt.empty()) return;
  const auto unit_at = [&](size_t i) {
    return pack(store_, units[static_cast<size_t>(dealt[i])], task_);
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
