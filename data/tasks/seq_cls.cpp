// Sequence classification: text [text_pair] label, or input_ids [token_type_ids] labels; with one
// label a regression. Metrics are in classification_metrics.cpp and regression_metrics.cpp.
#include "data/tasks/seq_cls.h"

#include <ATen/ops/argmax.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "data/tasks/class_labels.h"
#include "data/tasks/classification_metrics.h"
#include "data/tasks/columns.h"
#include "data/tasks/encode.h"
#include "data/tasks/regression_metrics.h"

namespace rankwise {
namespace {

// Type ids that are all 0 are not kept.
void drop_zeros(std::vector<int32_t>& type_ids) {
  if (std::all_of(type_ids.begin(), type_ids.end(), [](int32_t id) { return id == 0; })) {
    type_ids.clear();
  }
}

class SeqCls : public Task {
 public:
  explicit SeqCls(DataOptions options) : options_(std::move(options)) {}

  TaskType type() const override { return TaskType::kSeqCls; }
  bool counts_labels() const override { return !regression(); }
  bool regression() const override { return options_.num_labels == 1; }
  Packing packing() const override { return {type()}; }

  // A row whose label is missing or no label adds nothing here: encode says what is wrong with it.
  std::vector<std::string> labels_in(const Row& row) const override {
    if (regression()) return {};
    const std::filesystem::path unnamed;
    const Columns columns(row, unnamed);
    const Json* value = columns.find(label_column(columns));
    const auto text = value && !is_fraction(*value) ? label_text(*value) : std::nullopt;
    return text ? std::vector{*text} : std::vector<std::string>{};
  }

  void fix_labels(std::vector<std::string> names) override {
    if (regression()) {
      if (names.empty()) return;
      throw input_error("num_labels is 1, a regression, but there are {} labels: {}, …",
                        names.size(), names[0]);
    }
    labels_.fix(std::move(names), options_.num_labels);
  }
  const std::vector<std::string>& label_names() const override { return labels_.names(); }

  EncodedRow encode(const Row& row, const std::filesystem::path& file,
                    const RowLimits& limits) const override {
    const Columns columns(row, file);
    EncodedRow encoded = columns.find("input_ids") ? ready_made(columns, limits)
                                                   : text_row(columns, options_, limits);
    Example& example = encoded.examples[0];
    drop_zeros(example.token_type_ids);
    if (options_.labels_optional && !columns.find(label_column(columns))) return encoded;
    if (regression()) {
      example.values = {value_of(columns)};
    } else {
      example.labels = {label_of(columns)};
    }
    return encoded;
  }

  std::unique_ptr<Metrics> metrics() const override {
    return regression() ? regression_metrics()
                        : classification_metrics(static_cast<int64_t>(label_names().size()));
  }

  std::vector<Json> predictions(const at::Tensor& scores, const Unit&) const override {
    std::vector<Json> rows;
    for (int64_t row = 0; row < scores.size(0); ++row) {
      if (regression()) {
        rows.push_back({{"prediction", scores[row][0].item<float>()}});
      } else {
        const auto best = at::argmax(scores[row]).item<int64_t>();
        rows.push_back({{"prediction", best}});
        if (best < std::ssize(label_names()))
          rows.back()["label"] = label_names()[static_cast<size_t>(best)];
      }
    }
    return rows;
  }

 private:
  std::string label_column(const Columns& columns) const {
    return columns.find("input_ids") && columns.find("labels") ? "labels" : options_.label_column;
  }

  float value_of(const Columns& columns) const {
    const std::string column = label_column(columns);
    const Json& value = columns.at(column);
    if (value.is_number()) return value.get<float>();
    float number = 0;
    const std::string text = value.is_string() ? value.get<std::string>() : "";
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || failure != std::errc() || end != text.data() + text.size() ||
        !std::isfinite(number)) {
      throw columns.error("column '{}' must be a number for a regression, it is {}", column,
                          value.dump().substr(0, 60));
    }
    return number;
  }

  int32_t label_of(const Columns& columns) const {
    const std::string column = label_column(columns);
    const Json& value = columns.at(column);
    return class_of(columns, column, value, labels_, options_.num_labels);
  }

  DataOptions options_;
  Labels labels_;
};

}  // namespace

std::unique_ptr<Task> make_seq_cls(const DataOptions& options, const Config&) {
  return std::make_unique<SeqCls>(options);
}

}  // namespace rankwise
