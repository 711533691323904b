// Hidden states of a row's tokens to one vector. A row has no label, so there is nothing to judge.
#include "data/tasks/feature_extraction.h"

#include <ATen/ops/mean.h>

#include "data/tasks/encode.h"

namespace rankwise {
namespace {

class Nothing : public Metrics {
 public:
  int64_t size() const override { return 0; }
  std::vector<int64_t> counts(const at::Tensor&, const Unit&) const override { return {}; }
  std::map<std::string, double> values(const std::vector<int64_t>&, double) const override {
    return {};
  }
};

class FeatureExtraction : public Task {
 public:
  explicit FeatureExtraction(const DataOptions& options) : options_(options) {}
  TaskType type() const override { return TaskType::kFeatureExtraction; }
  Packing packing() const override { return {type()}; }
  std::vector<std::string> labels_in(const Row&) const override { return {}; }
  void fix_labels(std::vector<std::string>) override {}
  const std::vector<std::string>& label_names() const override { return no_labels_; }
  std::unique_ptr<Metrics> metrics() const override { return std::make_unique<Nothing>(); }

  EncodedRow encode(const Row& row, const std::filesystem::path& file,
                    const RowLimits& limits) const override {
    const Columns columns(row, file);
    EncodedRow encoded = columns.find("input_ids") ? ready_made(columns, limits)
                                                   : text_row(columns, options_, limits);
    if (encoded.examples[0].input_ids.empty()) throw columns.error("the row has no tokens");
    return encoded;
  }

  // scores: hidden states [T, F] of the unit's real tokens.
  std::vector<Json> predictions(const at::Tensor& scores, const Unit& unit) const override {
    std::vector<Json> rows;
    const std::vector<int64_t>& bounds = unit.text.bounds;
    for (size_t row = 0; row + 1 < bounds.size(); ++row) {
      const at::Tensor pooled =
          pool(scores.narrow(0, bounds[row], bounds[row + 1] - bounds[row])).contiguous();
      const float* first = pooled.const_data_ptr<float>();
      rows.push_back({{"features", std::vector<float>(first, first + pooled.numel())}});
    }
    return rows;
  }

 private:
  at::Tensor pool(const at::Tensor& states) const {
    if (options_.pooling == "cls") return states[0];
    return options_.pooling == "last" ? states[-1] : states.mean(0);
  }

  DataOptions options_;
  std::vector<std::string> no_labels_;
};

}  // namespace

std::unique_ptr<Task> make_feature_extraction(const DataOptions& options, const Config&) {
  return std::make_unique<FeatureExtraction>(options);
}

}  // namespace rankwise
