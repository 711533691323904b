// Class labels: names or whole numbers in a file, class indices 0..n-1 in training.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace rankwise {

// A whole number as it is usually written ("7", "-1"; not "007", "+1", "1.0").
std::optional<int64_t> whole_number(std::string_view text);

// Each once: whole numbers by value where there is nothing else, else all by name.
std::vector<std::string> sorted_labels(std::vector<std::string> labels);

class Labels {
 public:
  // names: by class index. count: where it is given, whole numbers mean the classes 0..count-1.
  // Errors: kInput: count contradicts the number of names.
  void fix(std::vector<std::string> names, std::optional<int64_t> count);
  const std::vector<std::string>& names() const { return names_; }
  bool are_numbers() const { return numbers_; }
  std::optional<int32_t> index_of(const std::string& name) const;

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, int32_t> index_;
  bool numbers_ = false;
};

}  // namespace rankwise
