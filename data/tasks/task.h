// What a row means for a task: which columns, how they become ids and labels, and how predictions
// are judged. One file a task type; the list is in tasks.cpp.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/loader.h"
#include "data/questions.h"
#include "data/readers/reader.h"
#include "data/token_store.h"
#include "data/tokenizers/tokenizer.h"
#include "distributed/core/field.h"
#include "peft/base/task.h"
#include "peft/hub/model_folder.h"

namespace rankwise {

// Options of every task: where the data is and what its columns are called.
struct DataOptions {
  std::string train_file, validation_file, test_file;
  std::string text_column = "text", text_pair_column = "text_pair", label_column = "label";
  std::string source_column = "source", target_column = "target";
  std::string prompt_column = "prompt", completion_column = "completion";
  std::string messages_column = "messages";
  std::optional<int64_t> max_source_length, max_target_length;  // SEQ_2_SEQ_LM; default: max_length
  std::string pooling = "mean";                                 // FEATURE_EXTRACTION
  std::optional<int64_t> doc_stride;                            // QUESTION_ANS; default: 128
  std::optional<int64_t> block_size;                            // CAUSAL_LM; default: a text a row
  std::optional<int64_t> max_length;                            // default: the model's limit
  std::optional<int64_t> num_labels;
  bool labels_optional = false;  // no option: whether the job does without labels
  void declare(Fields& fields);
};

// How predictions of a task are summed: numbers that can be added over rows and ranks, and what
// they mean at the end.
class Metrics {
 public:
  virtual ~Metrics() = default;
  // logits [N, labels] float of a unit's targets → additive numbers (correct rows, true positives
  // …), exact integers, so that any order of adding gives the same.
  virtual std::vector<int64_t> counts(const at::Tensor& logits, const Unit& unit) const = 0;
  virtual int64_t size() const = 0;
  // summed counts and the mean loss → name → value, without "eval_" ("accuracy", "perplexity").
  virtual std::map<std::string, double> values(const std::vector<int64_t>& summed,
                                               double loss) const = 0;
};

// What the model sets for the rows.
struct RowLimits {
  const Tokenizer* tokenizer = nullptr;  // null: the model folder has none
  int64_t max_length = 0, vocabulary = 0;
  std::filesystem::path model_folder = {};  // where a chat template would be
  int64_t token_types = 2;      // that the model knows; below 2 the tokenizer's are not kept
  bool keep_questions = false;  // their texts, so that answers can be judged
  // Called for each row that is read or encoded, from any thread; what it throws ends the work.
  std::function<void()> each_row = [] {};
};

// What becomes of a row.
struct EncodedRow {
  std::vector<Example> examples;          // one, but where the task says otherwise
  bool truncated = false;                 // tokens were cut off
  std::optional<Question> question = {};  // a row of text of QUESTION_ANS
};

class Task {
 public:
  virtual ~Task() = default;
  virtual TaskType type() const = 0;
  virtual Packing packing() const = 0;

  // Whether the classes are the labels that the rows have, and must be known before encoding.
  virtual bool counts_labels() const { return false; }
  virtual bool regression() const { return false; }  // a label is a number, not a class
  // Tokens of a block, where all rows' tokens are joined end to end and cut into blocks.
  virtual std::optional<int64_t> block_size() const { return std::nullopt; }

  // First pass over the rows of a file: collects what must be known before encoding (label names).
  // `labels_found` texts of all ranks are united, sorted (integers by value, names by name), and
  // handed to fix_labels.
  virtual std::vector<std::string> labels_in(const Row& row) const = 0;
  // names: by class index. Errors in later encode calls: kInput, an unknown label with file, row,
  // column.
  virtual void fix_labels(std::vector<std::string> names) = 0;
  virtual const std::vector<std::string>& label_names() const = 0;

  // A row that has "input_ids" is used as it is. Errors: kInput naming file, row, column: a column
  // missing, ids out of the vocabulary, a label out of range, an empty row.
  virtual EncodedRow encode(const Row& row, const std::filesystem::path& file,
                            const RowLimits& limits) const = 0;
  virtual std::unique_ptr<Metrics> metrics() const = 0;
  // What is to be said of each row of a unit: an object. scores: as Metrics::counts has them; of a
  // language model the loss of each target [N].
  virtual std::vector<Json> predictions(const at::Tensor& scores, const Unit& unit) const = 0;
};

// config: the base model's. Errors: kUsage: options of another task, or that contradict each other.
std::unique_ptr<Task> make_task(TaskType type, const DataOptions& options, const Config& config);

}  // namespace rankwise
