// The order of labels, and their way to class indices.
#include "data/tasks/labels.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

bool all_numbers(const std::vector<std::string>& labels) {
  return std::all_of(labels.begin(), labels.end(),
                     [](const std::string& label) { return whole_number(label).has_value(); });
}

}  // namespace

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || std::to_string(value) != text) return std::nullopt;
  return value;
}

std::vector<std::string> sorted_labels(std::vector<std::string> labels) {
  if (all_numbers(labels)) {
    std::sort(labels.begin(), labels.end(), [](const std::string& a, const std::string& b) {
      return *whole_number(a) < *whole_number(b);
    });
  } else {
    std::sort(labels.begin(), labels.end());
  }
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  return labels;
}

void Labels::fix(std::vector<std::string> names, std::optional<int64_t> count) {
  numbers_ = all_numbers(names);
  if (count && numbers_) {
    names.clear();
    for (int64_t label = 0; label < *count; ++label) names.push_back(std::to_string(label));
  }
  if (count && static_cast<int64_t>(names.size()) != *count) {
    throw input_error(
        "num_labels is {}, but there are {} labels: {}", *count, names.size(),
        fmt::join(names.begin(), names.begin() + std::min<size_t>(names.size(), 20), ", "));
  }
  names_ = std::move(names);
  index_.clear();
  for (size_t i = 0; i < names_.size(); ++i) index_[names_[i]] = static_cast<int32_t>(i);
}

std::optional<int32_t> Labels::index_of(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) return std::nullopt;
  return found->second;
}

}  // namespace rankwise
