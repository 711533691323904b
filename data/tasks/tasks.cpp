// The list of tasks, and the options that all of them share.
#include "data/tasks/feature_extraction.h"
#include "data/tasks/language_model.h"
#include "data/tasks/question_ans.h"
#include "data/tasks/seq_cls.h"
#include "data/tasks/task.h"
#include "data/tasks/token_cls.h"

namespace rankwise {
namespace {

struct Entry {
  TaskType type;
  std::unique_ptr<Task> (*make)(const DataOptions&, const Config&);
};

constexpr Entry kTasks[] = {
    {TaskType::kSeqCls, make_seq_cls},
    {TaskType::kTokenCls, make_token_cls},
    {TaskType::kQuestionAns, make_question_ans},
    {TaskType::kCausalLm, make_causal_lm},
    {TaskType::kSeq2SeqLm, make_seq_2_seq_lm},
    {TaskType::kFeatureExtraction, make_feature_extraction},
};

// Options that one task alone has.
void check_task_of_options(TaskType type, const DataOptions& options) {
  const auto only = [type](bool given, const char* name, TaskType task) {
    if (given && type != task)
      throw usage_error("--{} is an option of {}, not of {}", name, name_of(task), name_of(type));
  };
  only(options.block_size.has_value(), "block_size", TaskType::kCausalLm);
  only(options.doc_stride.has_value(), "doc_stride", TaskType::kQuestionAns);
  only(options.pooling != DataOptions().pooling, "pooling", TaskType::kFeatureExtraction);
  only(options.max_source_length.has_value(), "max_source_length", TaskType::kSeq2SeqLm);
  only(options.max_target_length.has_value(), "max_target_length", TaskType::kSeq2SeqLm);
}

}  // namespace

void DataOptions::declare(Fields& fields) {
  fields.group("Data");
  fields.add("train_file", train_file, "rows to train on: " + known_endings());
  fields.add("validation_file", validation_file, "rows to evaluate on");
  fields.add("test_file", test_file, "rows to evaluate on after training");
  fields.add("text_column", text_column, "column with the text");
  fields.add("text_pair_column", text_pair_column, "column with the second text of a pair, if any");
  fields.add("label_column", label_column,
             "column with the label: a name or a whole number, of a regression any number");
  fields.add("source_column", source_column, "SEQ_2_SEQ_LM: column with the source text");
  fields.add("target_column", target_column, "SEQ_2_SEQ_LM: column with the target text");
  fields.add("prompt_column", prompt_column, "CAUSAL_LM: column with the prompt");
  fields.add("completion_column", completion_column,
             "CAUSAL_LM: column with the completion, which alone counts for the loss");
  fields.add("messages_column", messages_column,
             "CAUSAL_LM: column with a conversation, of which what the assistant says counts");
  fields
      .add("max_length", max_length,
           "tokens of a row, special ones included; longer rows are cut (and counted)")
      .at_least(1)
      .default_text("the model's limit")
      .changes_result();
  fields
      .add("doc_stride", doc_stride,
           "QUESTION_ANS: tokens that a long context's windows have in common")
      .at_least(0)
      .default_text("128")
      .changes_result();
  fields
      .add("block_size", block_size,
           "CAUSAL_LM: join all texts' tokens and cut them into blocks of so many")
      .at_least(1)
      .default_text("a row is a text")
      .changes_result();
  fields
      .add("max_source_length", max_source_length,
           "SEQ_2_SEQ_LM: tokens of a source; longer ones are cut")
      .at_least(1)
      .default_text("max_length")
      .changes_result();
  fields
      .add("max_target_length", max_target_length,
           "SEQ_2_SEQ_LM: tokens of a target; longer ones are cut")
      .at_least(1)
      .default_text("max_length")
      .changes_result();
  fields
      .add("pooling", pooling,
           "FEATURE_EXTRACTION: what a row's vector is: the mean of its tokens', the first, the "
           "last")
      .one_of({"mean", "cls", "last"});
  fields
      .add("num_labels", num_labels,
           "number of classes; whole-number labels are then 0..n-1; 1: regression")
      .at_least(1)
      .default_text("counted in the training file")
      .changes_result();
}

std::unique_ptr<Task> make_task(TaskType type, const DataOptions& options, const Config& config) {
  check_task_of_options(type, options);
  for (const Entry& entry : kTasks) {
    if (entry.type == type) return entry.make(options, config);
  }
  throw internal_error("{} is in no list of tasks", name_of(type));
}

}  // namespace rankwise
