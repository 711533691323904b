// Token classification: tokens (words) and tags, or input_ids [token_type_ids] labels. Metrics are
// in entity_metrics.cpp.
#include "data/tasks/token_cls.h"

#include <ATen/ops/argmax.h>

#include "data/tasks/class_labels.h"
#include "data/tasks/encode.h"
#include "data/tasks/entity_metrics.h"

namespace rankwise {
namespace {

constexpr const char *kWords = "tokens", *kTags = "tags";

bool is_ignored(const Json& value) {
  return value.is_number_integer() && value.get<int64_t>() == kIgnoredLabel;
}

class TokenCls : public Task {
 public:
  explicit TokenCls(DataOptions options) : options_(std::move(options)) {}

  TaskType type() const override { return TaskType::kTokenCls; }
  Packing packing() const override { return {type()}; }

  // A row whose labels are missing or no labels adds nothing here: encode says what is wrong.
  bool counts_labels() const override { return true; }
  std::vector<std::string> labels_in(const Row& row) const override {
    const std::filesystem::path unnamed;
    const Columns columns(row, unnamed);
    const Json* values = columns.find(columns.find("input_ids") ? "labels" : kTags);
    std::vector<std::string> labels;
    if (!values || !values->is_array()) return labels;
    for (const Json& value : *values) {
      const auto text = is_fraction(value) || is_ignored(value) ? std::nullopt : label_text(value);
      if (text) labels.push_back(*text);
    }
    return labels;
  }

  void fix_labels(std::vector<std::string> names) override {
    labels_.fix(std::move(names), options_.num_labels);
  }
  const std::vector<std::string>& label_names() const override { return labels_.names(); }

  EncodedRow encode(const Row& row, const std::filesystem::path& file,
                    const RowLimits& limits) const override {
    const Columns columns(row, file);
    return columns.find("input_ids") ? from_ids(columns, limits) : from_words(columns, limits);
  }

  std::unique_ptr<Metrics> metrics() const override {
    return entity_metrics(labels_.names(), labels_.are_numbers());
  }

  // Of the tokens that have a label: which they are, and what they are taken for.
  std::vector<Json> predictions(const at::Tensor& scores, const Unit& unit) const override {
    std::vector<Json> rows;
    int64_t at = 0;
    for (size_t row = 0; row < unit.rows.size(); ++row) {
      Json line = {{"labels", Json::array()}, {"tokens", Json::array()}};
      for (; at < unit.targets.size(0); ++at) {
        const int64_t place = unit.target_index[at].item<int64_t>();
        if (place >= unit.text.bounds[row + 1]) break;
        const auto best = at::argmax(scores[at]).item<int64_t>();
        const bool named = best < std::ssize(label_names());
        line["labels"].push_back(named ? label_names()[static_cast<size_t>(best)]
                                       : std::to_string(best));
        line["tokens"].push_back(place - unit.text.bounds[row]);
      }
      rows.push_back(std::move(line));
    }
    return rows;
  }

 private:
  // One class for each entry of `column`, which must have `count`.
  std::vector<int32_t> classes(const Columns& columns, const std::string& column, size_t count,
                               const char* other) const {
    const Json& values = columns.at(column);
    if (!values.is_array()) throw columns.error("column '{}' must be a list of labels", column);
    if (values.size() != count) {
      throw columns.error("column '{}' has {} entries, '{}' has {}", column, values.size(), other,
                          count);
    }
    std::vector<int32_t> classes;
    for (const Json& value : values) {
      classes.push_back(is_ignored(value)
                            ? kIgnoredLabel
                            : class_of(columns, column, value, labels_, options_.num_labels));
    }
    return classes;
  }

  EncodedRow from_ids(const Columns& columns, const RowLimits& limits) const {
    EncodedRow row = ready_made(columns, limits);
    Example& example = row.examples[0];
    example.labels = classes(columns, "labels", columns.at("input_ids").size(), "input_ids");
    example.labels.resize(example.input_ids.size());
    return row;
  }

  EncodedRow from_words(const Columns& columns, const RowLimits& limits) const {
    const Json& words = columns.at(kWords);
    if (!words.is_array()) throw columns.error("column '{}' must be a list of words", kWords);
    const std::vector<int32_t> tags = classes(columns, kTags, words.size(), kWords);
    std::vector<std::string> texts;
    for (const Json& word : words) {
      if (!word.is_string())
        throw columns.error("column '{}' holds {}, which is no text", kWords, word.dump());
      texts.push_back(word.get<std::string>());
    }
    const WordEncoding encoding = tokenised_words(columns, texts, limits);
    Example example{encoding.ids, encoding.type_ids, {}};
    int32_t before = -1;
    for (const int32_t word : encoding.words) {
      const bool first = word >= 0 && word != before;
      example.labels.push_back(first ? tags[static_cast<size_t>(word)] : kIgnoredLabel);
      before = word;
    }
    return {{std::move(example)}, encoding.truncated};
  }

  DataOptions options_;
  Labels labels_;
};

}  // namespace

std::unique_ptr<Task> make_token_cls(const DataOptions& options, const Config&) {
  if (options.num_labels && *options.num_labels < 2)
    throw usage_error("--num_labels {}: a classification has two labels at least",
                      *options.num_labels);
  return std::make_unique<TokenCls>(options);
}

}  // namespace rankwise
