// From options to a model and its data: what finetune, evaluate, merge and inspect have in common.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "data/tasks/task.h"
#include "data/token_store.h"
#include "data/tokenizers/tokenizer.h"
#include "jobs/job.h"
#include "jobs/options.h"
#include "jobs/row_models.h"
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
  std::optional<int64_t> positions;  // tokens of a row that the model has positions for
};

// Collective. What a job begins with: waits are limited, threads set, the task chosen, options
// refused that contradict each other (check throws), the model's and the adapter's folder read.
// Labels of an adapter folder are fixed in the task. Errors (all ranks): kUsage, kModel.
Setup set_up(JobContext& context, const MachineOptions& machine, ModelOptions& model,
             const DataOptions& data, const std::function<void()>& check);

int64_t token_types(const Setup& setup);  // that the model knows
// For the rows of a file. While they are read and encoded, other ranks see progress, and a request
// to stop throws Error(kStopped).
RowLimits row_limits(const JobContext& context, const Setup& setup,
                     const std::filesystem::path& file, bool keep_questions);

// Collective. A dataset file, encoded, or a token store of `prepare`; says how many rows were cut.
// judged: answers to its questions will be judged, which takes their texts.
TokenStore prepare_file(JobContext& context, Setup& setup, const DataOptions& data,
                        const std::string& file, bool judged = false);

// Collective. The model's weights, for the labels that are known by now. Errors (all ranks):
// kModel.
std::shared_ptr<const BaseWeights> load_weights(JobContext& context, const Setup& setup,
                                                const ModelOptions& options,
                                                const DataOptions& data);

// Collective. The base with what `make_method` gives on it (null: bare), an adapter folder's values
// taken where there is one. Without weights it loads them. Errors (all ranks): kUsage, kModel.
AdaptedModel build_model(JobContext& context, const Setup& setup, const ModelOptions& options,
                         const DataOptions& data,
                         const std::function<std::unique_ptr<Method>()>& make_method, uint64_t seed,
                         std::shared_ptr<const BaseWeights> weights = nullptr);

// The same with the adapters of folders on it, side by side; none: the bare base.
AdaptedModel build_model(JobContext& context, const Setup& setup, const ModelOptions& options,
                         const DataOptions& data, const std::vector<const AdapterFolder*>& folders,
                         std::shared_ptr<const BaseWeights> weights);

// Collective. Errors: kModel: the folder's settings or labels are not the same on all hosts.
void expect_same_adapter(Communicator& communicator, const AdapterFolder& folder);

// Errors: kInput: a row for which virtual tokens leave no positions.
void check_room(const Setup& setup, const RowModels& models, const TokenStore& store,
                const std::string& file);

// The number of classes: asked for, of the labels seen, or of config.json.
int64_t label_count(const Setup& setup, const DataOptions& data);

// A method as the adapter folder describes it; null where there is none. Errors: kModel.
std::unique_ptr<Method> method_of(const std::optional<AdapterFolder>& folder);

}  // namespace rankwise
