// Views of a token store's rows, and the hash that tells two stores apart. Makes none: see
// prepare.cpp.
#include "data/token_store.h"

#include <fmt/format.h>

#include "data/token_file.h"
#include "distributed/core/hash.h"

namespace rankwise {
std::vector<int64_t> TokenStore::lengths() const {
  std::vector<int64_t> lengths(static_cast<size_t>(rows()));
  for (int64_t row = 0; row < rows(); ++row) lengths[static_cast<size_t>(row)] = length(row);
  return lengths;
}

std::span<const int32_t> TokenStore::types(int64_t row) const {
  return token_type_ids.empty() ? token_type_ids : span(token_type_ids, offsets, row);
}

std::span<const int32_t> TokenStore::labels_of(int64_t row) const {
  return labels.empty() ? labels : span(labels, label_offsets, row);
}

std::span<const float> TokenStore::values_of(int64_t row) const {
  return values.empty() ? values : span(values, label_offsets, row);
}

Example TokenStore::example(int64_t row) const {
  if (file) return file->example(*this, row);
  Example example;
  const auto copy = [](auto from, auto& to) { to.assign(from.begin(), from.end()); };
  copy(ids(row), example.input_ids);
  copy(types(row), example.token_type_ids);
  copy(labels_of(row), example.labels);
  copy(values_of(row), example.values);
  return example;
}

std::string hash_of(const TokenStore& store) {
  Hash hash;
  hash.add(store.offsets);
  if (!store.row_offsets.empty()) hash.add(store.row_offsets);
  hash.add(store.input_ids);
  hash.add(store.token_type_ids);
  hash.add(store.label_offsets);
  hash.add(store.labels);
  hash.add(store.values);
  for (const std::string& name : store.label_names) hash.add(name.data(), name.size());
  hash.add(&store.truncated_rows, sizeof store.truncated_rows);
  return fmt::format("{:016x}", hash.value());
}

}  // namespace rankwise
