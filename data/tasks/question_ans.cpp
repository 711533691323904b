// Extractive question answering. Of rows of ids a prediction is the best span: the greatest sum of
// a start's and an end's score among spans that are not too long. Rows of text are in
// question_row.cpp, and what is made of their windows in answers.cpp.
#include "data/tasks/question_ans.h"

#include <algorithm>
#include <cmath>

#include "data/tasks/encode.h"
#include "data/tasks/question_row.h"
#include "data/tasks/squad.h"
#include "peft/base/selection.h"

namespace rankwise {
namespace {

struct Span {
  int64_t start = 0, end = 0;  // tokens, both inside
  int64_t length() const { return end - start + 1; }
};

// scores [tokens, 2] of one row.
Span best_span(const float* scores, int64_t tokens) {
  Span best;
  float best_score = -INFINITY;
  for (int64_t start = 0; start < tokens; ++start) {
    for (int64_t end = start; end < std::min(tokens, start + kLongestAnswer); ++end) {
      const float score = scores[2 * start] + scores[2 * end + 1];
      if (score <= best_score) continue;
      best_score = score;
      best = {start, end};
    }
  }
  return best;
}

// Of the tokens of two spans, like SQuAD's F1 of words.
double overlap(const Span& found, const Span& right) {
  const int64_t common = std::min(found.end, right.end) - std::max(found.start, right.start) + 1;
  return common <= 0 ? 0
                     : 2 * static_cast<double>(common) /
                           static_cast<double>(found.length() + right.length());
}

enum Count { kExact, kOverlap, kRows, kCounts };  // as AnswerCounts has them
constexpr double kOverlapQuantum = 1.0 / (int64_t{1} << 32);

class SpanMetrics : public Metrics {
 public:
  int64_t size() const override { return kCounts; }

  // logits [N, 2] of the unit's own_tokens() (peft/base/selection.h).
  std::vector<int64_t> counts(const at::Tensor& logits, const Unit& unit) const override {
    AnswerCounts counts;
    const at::Tensor scores = logits.contiguous();
    const int64_t* wanted = unit.targets.const_data_ptr<int64_t>();
    const std::vector<int64_t> bounds = own_bounds(unit.text);
    for (size_t row = 0; row + 1 < bounds.size(); ++row) {
      const Span right{wanted[2 * row], wanted[2 * row + 1]};
      const Span found = best_span(scores.const_data_ptr<float>() + 2 * bounds[row],
                                   bounds[row + 1] - bounds[row]);
      counts.add(found.start == right.start && found.end == right.end, overlap(found, right));
    }
    return counts.numbers();
  }

  // Per cent, as SQuAD's script has them.
  std::map<std::string, double> values(const std::vector<int64_t>& summed, double) const override {
    const double rows = std::max<double>(1, static_cast<double>(summed[kRows]));
    return {{"exact_match", 100 * static_cast<double>(summed[kExact]) / rows},
            {"f1", 100 * static_cast<double>(summed[kOverlap]) * kOverlapQuantum / rows}};
  }
};

class QuestionAns : public Task {
 public:
  explicit QuestionAns(const DataOptions& options) : options_(options) {}
  TaskType type() const override { return TaskType::kQuestionAns; }
  Packing packing() const override { return {type()}; }
  std::vector<std::string> labels_in(const Row&) const override { return {}; }
  void fix_labels(std::vector<std::string>) override {}
  const std::vector<std::string>& label_names() const override { return no_labels_; }
  std::unique_ptr<Metrics> metrics() const override { return std::make_unique<SpanMetrics>(); }

  EncodedRow encode(const Row& row, const std::filesystem::path& file,
                    const RowLimits& limits) const override {
    const Columns columns(row, file);
    if (!columns.find("input_ids"))
      return question_row(columns, options_.doc_stride.value_or(kStride), options_.labels_optional,
                          limits);
    EncodedRow encoded = ready_made(columns, limits);
    Example& example = encoded.examples[0];
    for (const char* column : {"start_positions", "end_positions"})
      example.labels.push_back(position(columns, column, std::ssize(example.input_ids)));
    if (example.labels[1] < example.labels[0]) {
      throw columns.error("the answer ends at {}, before it starts at {}", example.labels[1],
                          example.labels[0]);
    }
    return encoded;
  }

  // Of rows of ids; the answers of rows of text are made of several windows (answers.h).
  std::vector<Json> predictions(const at::Tensor& scores, const Unit& unit) const override {
    std::vector<Json> rows;
    const at::Tensor all = scores.contiguous();
    const std::vector<int64_t> bounds = own_bounds(unit.text);
    for (size_t row = 0; row + 1 < bounds.size(); ++row) {
      const Span found =
          best_span(all.const_data_ptr<float>() + 2 * bounds[row], bounds[row + 1] - bounds[row]);
      rows.push_back({{"start", found.start}, {"end", found.end}});
    }
    return rows;
  }

 private:
  static int32_t position(const Columns& columns, const char* column, int64_t tokens) {
    const Json& value = columns.at(column);
    const bool whole = value.is_number_integer();
    if (!whole || value.get<int64_t>() < 0 || value.get<int64_t>() >= tokens) {
      throw columns.error("column '{}' is {}, but the row has the tokens 0..{}", column,
                          value.dump(), tokens - 1);
    }
    return value.get<int32_t>();
  }

  static constexpr int64_t kStride = 128;  // run_qa's doc_stride
  DataOptions options_;
  std::vector<std::string> no_labels_;
};

}  // namespace

void AnswerCounts::add(bool is_exact, double f1) {
  exact += is_exact;
  overlap += std::llround(f1 / kOverlapQuantum);
  rows += 1;
}

std::unique_ptr<Task> make_question_ans(const DataOptions& options, const Config&) {
  return std::make_unique<QuestionAns>(options);
}

}  // namespace rankwise
