// Counts of right and wrong predictions. A ratio whose denominator is 0 is 0, as in scikit-learn.
#include "data/tasks/classification_metrics.h"

#include <algorithm>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

enum Count { kCorrect, kRows, kTruePositive, kFalsePositive, kFalseNegative, kCounts };

double ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

class ClassificationMetrics : public Metrics {
 public:
  explicit ClassificationMetrics(bool binary) : binary_(binary) {}

  int64_t size() const override { return binary_ ? kCounts : kTruePositive; }

  std::vector<int64_t> counts(const at::Tensor& logits, const at::Tensor& targets) const override {
    if (logits.dim() != 2 || targets.dim() != 1 || logits.size(0) != targets.size(0)) {
      throw internal_error("metrics of {} logit rows and {} targets", logits.size(0),
                           targets.numel());
    }
    const at::Tensor scores = logits.to(at::kCPU, at::kFloat).contiguous();
    const at::Tensor wanted = targets.to(at::kCPU, at::kLong).contiguous();
    const int64_t classes = scores.size(1);
    std::vector<int64_t> counts(kCounts);
    for (int64_t row = 0; row < scores.size(0); ++row) {
      const float* const score = scores.const_data_ptr<float>() + row * classes;
      // max_element: the lowest class where several are equal.
      add(std::max_element(score, score + classes) - score, wanted.const_data_ptr<int64_t>()[row],
          counts);
    }
    counts.resize(static_cast<size_t>(size()));
    return counts;
  }

  std::map<std::string, double> values(const std::vector<int64_t>& summed, double) const override {
    std::map<std::string, double> values{{"accuracy", ratio(summed[kCorrect], summed[kRows])}};
    if (!binary_) return values;
    const int64_t hits = summed[kTruePositive];
    const int64_t false_positives = summed[kFalsePositive];
    const int64_t misses = summed[kFalseNegative];
    values["precision"] = ratio(hits, hits + false_positives);
    values["recall"] = ratio(hits, hits + misses);
    values["f1"] = ratio(2 * hits, 2 * hits + false_positives + misses);
    return values;
  }

 private:
  static void add(int64_t predicted, int64_t wanted, std::vector<int64_t>& counts) {
    counts[kRows] += 1;
    counts[kCorrect] += predicted == wanted;
    counts[kTruePositive] += predicted == 1 && wanted == 1;
    counts[kFalsePositive] += predicted == 1 && wanted != 1;
    counts[kFalseNegative] += predicted != 1 && wanted == 1;
  }

  bool binary_;
};

}  // namespace

std::unique_ptr<Metrics> classification_metrics(int64_t classes) {
  return std::make_unique<ClassificationMetrics>(classes == 2);
}

}  // namespace rankwise
