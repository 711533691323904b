// Entities are compared as sets of (type, first, last), like seqeval's micro average. A ratio whose
// denominator is 0 is 0.
#include "data/tasks/entity_metrics.h"

#include <ATen/ops/argmax.h>

#include <algorithm>

namespace rankwise {
namespace {

// "B-PER" → 'B' and "PER"; a tag without a type has the type "_".
struct Tag {
  char mark = 'O';
  std::string type = "_";
  explicit Tag(const std::string& text) {
    if (text.empty()) return;
    mark = text[0];
    const size_t dash = text.find('-', 1);
    const std::string rest = text.substr(dash == std::string::npos ? 1 : dash + 1);
    if (!rest.empty()) type = rest;
  }
  bool inside() const { return mark != 'O' && mark != '.'; }
};

bool ends(const Tag& before, const Tag& now) {
  if (before.mark == 'E' || before.mark == 'S') return true;
  const bool open = before.mark == 'B' || before.mark == 'I';
  if (open && (now.mark == 'B' || now.mark == 'S' || now.mark == 'O')) return true;
  return before.inside() && before.type != now.type;
}

bool starts(const Tag& before, const Tag& now) {
  if (now.mark == 'B' || now.mark == 'S') return true;
  const bool closed = before.mark == 'E' || before.mark == 'S' || before.mark == 'O';
  if (closed && (now.mark == 'E' || now.mark == 'I')) return true;
  return now.inside() && before.type != now.type;
}

enum Count { kCorrect, kTokens, kMatched, kPredicted, kTrue, kCounts };

double ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

class EntityMetrics : public Metrics {
 public:
  EntityMetrics(const std::vector<std::string>& labels, bool numbers)
      : labels_(labels), numbers_(numbers) {}

  int64_t size() const override { return numbers_ ? kMatched : kCounts; }

  std::vector<int64_t> counts(const at::Tensor& logits, const Unit& unit) const override {
    std::vector<int64_t> counts(kCounts);
    const int64_t targets = unit.targets.size(0);
    if (targets > 0) {
      const at::Tensor best = at::argmax(logits, 1);
      const int64_t* predicted = best.const_data_ptr<int64_t>();
      const int64_t* wanted = unit.targets.const_data_ptr<int64_t>();
      const int64_t* place = unit.target_index.const_data_ptr<int64_t>();
      int64_t begin = 0;
      for (size_t row = 0; row + 1 < unit.text.bounds.size(); ++row) {
        const int64_t end =
            std::lower_bound(place + begin, place + targets, unit.text.bounds[row + 1]) - place;
        add_row({predicted + begin, predicted + end}, {wanted + begin, wanted + end}, counts);
        begin = end;
      }
    }
    counts.resize(static_cast<size_t>(size()));
    return counts;
  }

  std::map<std::string, double> values(const std::vector<int64_t>& summed, double) const override {
    std::map<std::string, double> values{{"accuracy", ratio(summed[kCorrect], summed[kTokens])}};
    if (numbers_) return values;
    values["precision"] = ratio(summed[kMatched], summed[kPredicted]);
    values["recall"] = ratio(summed[kMatched], summed[kTrue]);
    values["f1"] = ratio(2 * summed[kMatched], summed[kPredicted] + summed[kTrue]);
    return values;
  }

 private:
  void add_row(std::span<const int64_t> predicted, std::span<const int64_t> wanted,
               std::vector<int64_t>& counts) const {
    counts[kTokens] += std::ssize(wanted);
    for (size_t i = 0; i < wanted.size(); ++i) counts[kCorrect] += predicted[i] == wanted[i];
    if (numbers_) return;
    const std::vector<Entity> found = entities_of(tags(predicted)),
                              right = entities_of(tags(wanted));
    counts[kPredicted] += std::ssize(found);
    counts[kTrue] += std::ssize(right);
    for (const Entity& entity : found) counts[kMatched] += std::ranges::count(right, entity);
  }

  std::vector<std::string> tags(std::span<const int64_t> classes) const {
    std::vector<std::string> tags;
    for (const int64_t index : classes) {
      const auto i = static_cast<size_t>(index);
      tags.push_back(i < labels_.size() ? labels_[i] : "O");
    }
    return tags;
  }

  std::vector<std::string> labels_;
  bool numbers_;
};

}  // namespace

std::vector<Entity> entities_of(const std::vector<std::string>& tags) {
  std::vector<Entity> entities;
  Tag before("O");
  before.type.clear();
  size_t first = 0;
  for (size_t i = 0; i <= tags.size(); ++i) {
    const Tag now(i < tags.size() ? tags[i] : "O");
    if (ends(before, now)) entities.push_back({before.type, first, i - 1});
    if (starts(before, now)) first = i;
    before = now;
  }
  return entities;
}

std::unique_ptr<Metrics> entity_metrics(const std::vector<std::string>& labels,
                                        bool labels_are_numbers) {
  return std::make_unique<EntityMetrics>(labels, labels_are_numbers);
}

}  // namespace rankwise
