// From options to a model and its data: what finetune, evaluate, merge and inspect have in common.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "data/tasks/task.h"
#include "data/token_store.h"
#include "data/tokenizers/tokenizer.h"
#include "jobs/job.h"
#include "jobs/options.h"
#include "peft/hub/adapter_folder.h"
#include "peft/model/adapted_model.h"

namespace rankwise {

// What is known before any weight or row is read.
struct Setup {
  std::filesystem::path model_folder;
  Config config;
  TaskType task_type;
  Precision precision;
  std::optional<AdapterFolder> adapter;
  std::unique_ptr<Tokenizer> tokenizer;  // null: the folder has none
  std::unique_ptr<Task> task;
  int64_t max_length = 0, vocabulary = 0;
};

// Collective. Labels of an adapter folder are fixed in the task. Errors (all ranks): kUsage,
// kModel.
Setup set_up(JobContext& context, const ModelOptions& model, const DataOptions& data);

// Collective. A dataset file, encoded; says how many rows were cut.
TokenStore prepare_file(JobContext& context, Setup& setup, const std::string& file);

// Collective. The base with `method` on it (null: bare), an adapter folder's values taken where
// there is one.
AdaptedModel build_model(JobContext& context, Setup& setup, const ModelOptions& options,
                         const DataOptions& data, std::unique_ptr<Method> method, uint64_t seed);

// The number of classes: asked for, of the labels seen, or of config.json.
int64_t label_count(const Setup& setup, const DataOptions& data);

// A method as an adapter folder describes it.
std::unique_ptr<Method> method_of(const AdapterFolder& folder);

}  // namespace rankwise
