// CAUSAL_LM and SEQ_2_SEQ_LM.
#include "data/tasks/language_model.h"

#include <cmath>
#include <limits>

#include "data/tasks/chat_row.h"
#include "data/tasks/encode.h"

namespace rankwise {
namespace {

// Only the loss is judged.
class Perplexity : public Metrics {
 public:
  std::vector<int64_t> counts(const at::Tensor&, const Unit&) const override { return {}; }
  int64_t size() const override { return 0; }
  std::map<std::string, double> values(const std::vector<int64_t>&, double loss) const override {
    return {{"perplexity", std::exp(loss)}};
  }
};

// "labels": ids, or -100 where a token does not count.
std::vector<int32_t> labels_of(const Columns& columns, int64_t vocabulary) {
  const Json& values = columns.at("labels");
  if (!values.is_array()) throw columns.error("column 'labels' must be a list of ids");
  std::vector<int32_t> labels;
  for (const Json& value : values) {
    const bool whole = value.is_number_integer();
    const int64_t id = whole ? value.get<int64_t>() : 0;
    if (!whole || (id != kIgnoredLabel && (id < 0 || id >= vocabulary))) {
      throw columns.error("column 'labels' holds {}; ids are 0..{}, -100 is ignored", value.dump(),
                          vocabulary - 1);
    }
    labels.push_back(static_cast<int32_t>(id));
  }
  return labels;
}

class LanguageModel : public Task {
 public:
  explicit LanguageModel(const DataOptions& options) : options_(options) {}
  std::vector<std::string> labels_in(const Row&) const override { return {}; }
  void fix_labels(std::vector<std::string>) override {}
  const std::vector<std::string>& label_names() const override { return no_labels_; }
  std::unique_ptr<Metrics> metrics() const override { return std::make_unique<Perplexity>(); }

  // The mean loss of a row's targets (null: it has none) and how many there are.
  std::vector<Json> predictions(const at::Tensor& losses, const Unit& unit) const override {
    std::vector<Json> rows;
    const PackedText& text = unit.decoder_text.tokens.defined() ? unit.decoder_text : unit.text;
    int64_t at = 0;
    for (size_t row = 0; row < unit.rows.size(); ++row) {
      double sum = 0;
      const int64_t first = at;
      for (; at < losses.size(0); ++at) {
        if (unit.target_index[at].item<int64_t>() >= text.bounds[row + 1]) break;
        sum += losses[at].item<float>();
      }
      const int64_t targets = at - first;
      rows.push_back({{"loss", targets ? Json(sum / static_cast<double>(targets)) : Json()},
                      {"targets", targets}});
    }
    return rows;
  }

 protected:
  DataOptions options_;

 private:
  std::vector<std::string> no_labels_;
};

class CausalLm : public LanguageModel {
 public:
  using LanguageModel::LanguageModel;
  TaskType type() const override { return TaskType::kCausalLm; }
  Packing packing() const override { return {type()}; }
  std::optional<int64_t> block_size() const override { return options_.block_size; }

  EncodedRow encode(const Row& row, const std::filesystem::path& file,
                    const RowLimits& limits) const override {
    const Columns columns(row, file);
    RowLimits own = limits;
    if (block_size()) own.max_length = std::numeric_limits<int64_t>::max();
    if (columns.find("input_ids")) return from_ids(columns, own);
    if (columns.find(options_.messages_column)) {
      expect_no_blocks(columns, options_.messages_column);
      return chat_rows_.encode(columns, options_.messages_column, own);
    }
    if (columns.find(options_.prompt_column)) {
      expect_no_blocks(columns, options_.prompt_column);
      return from_prompt(columns, own);
    }
    Encoding encoding = tokenised(columns, columns.text(options_.text_column), std::nullopt, own);
    return {{{encoding.ids, {}, encoding.ids}}, encoding.truncated};
  }

 private:
  void expect_no_blocks(const Columns& columns, const std::string& column) const {
    if (!block_size()) return;
    const Error error = columns.error("--block_size joins texts; this row has '{}'", column);
    throw Error(ErrorKind::kUsage, error.what());
  }

  static EncodedRow from_ids(const Columns& columns, const RowLimits& limits) {
    EncodedRow row = ready_made(columns, limits);
    Example& example = row.examples[0];
    if (!columns.find("labels")) {
      example.labels = example.input_ids;
      return row;
    }
    example.labels = labels_of(columns, limits.vocabulary);
    const size_t length = columns.at("input_ids").size();
    if (example.labels.size() != length) {
      throw columns.error("column 'labels' has {} entries, 'input_ids' has {}",
                          example.labels.size(), length);
    }
    example.labels.resize(example.input_ids.size());
    return row;
  }

  // The prompt's tokens, then the completion's: they are tokenised apart, so that the border is
  // one.
  EncodedRow from_prompt(const Columns& columns, const RowLimits& limits) const {
    Encoding prompt =
        tokenised(columns, columns.text(options_.prompt_column), std::nullopt, limits);
    const std::vector<int32_t> completion =
        tokenised_plain(columns, columns.text(options_.completion_column), limits);
    Example example{std::move(prompt.ids), {}, {}};
    example.labels.assign(example.input_ids.size(), kIgnoredLabel);
    for (auto* part : {&example.input_ids, &example.labels})
      part->insert(part->end(), completion.begin(), completion.end());
    const bool truncated = cut_to(limits.max_length, example) || prompt.truncated;
    return {{std::move(example)}, truncated};
  }

  ChatRows chat_rows_;
};

class Seq2SeqLm : public LanguageModel {
 public:
  Seq2SeqLm(const DataOptions& options, const Config& config) : LanguageModel(options) {
    pad_token_ = config.integer("pad_token_id", 0);
    start_token_ = config.integer("decoder_start_token_id", pad_token_);
  }
  TaskType type() const override { return TaskType::kSeq2SeqLm; }
  Packing packing() const override { return {type(), start_token_, pad_token_}; }

  EncodedRow encode(const Row& row, const std::filesystem::path& file,
                    const RowLimits& limits) const override {
    const Columns columns(row, file);
    RowLimits source_limits = limits, target_limits = limits;
    source_limits.max_length = options_.max_source_length.value_or(limits.max_length);
    target_limits.max_length = options_.max_target_length.value_or(limits.max_length);
    const bool ready = columns.find("input_ids");
    EncodedRow encoded = ready ? ready_made(columns, source_limits) : EncodedRow{{{}}};
    Example& example = encoded.examples[0];
    bool target_truncated = false;
    if (ready) {
      example.labels = labels_of(columns, limits.vocabulary);
      target_truncated = std::ssize(example.labels) > target_limits.max_length;
      if (target_truncated) example.labels.resize(static_cast<size_t>(target_limits.max_length));
    } else {
      Encoding source =
          tokenised(columns, columns.text(options_.source_column), std::nullopt, source_limits);
      Encoding target =
          tokenised(columns, columns.text(options_.target_column), std::nullopt, target_limits);
      encoded.truncated = source.truncated;
      target_truncated = target.truncated;
      example = {std::move(source.ids), {}, std::move(target.ids)};
    }
    if (example.labels.empty()) throw columns.error("the target is empty");
    encoded.truncated |= target_truncated;
    return encoded;
  }

 private:
  int64_t start_token_, pad_token_;
};

}  // namespace

std::unique_ptr<Task> make_causal_lm(const DataOptions& options, const Config&) {
  if (options.block_size && options.max_length)
    throw usage_error("--block_size and --max_length: texts in blocks are not cut");
  return std::make_unique<CausalLm>(options);
}

std::unique_ptr<Task> make_seq_2_seq_lm(const DataOptions& options, const Config& config) {
  return std::make_unique<Seq2SeqLm>(options, config);
}

}  // namespace rankwise
