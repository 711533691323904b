// evaluate: loss and metrics of a base with or without an adapter, as one JSON object; predictions
// in the input's order.
#include "distributed/checkpoint/store.h"
#include "distributed/comm/agree.h"
#include "jobs/adapters.h"
#include "jobs/setup.h"
#include "jobs/training/evaluator.h"

namespace rankwise {
namespace {

class Evaluate : public Job {
 public:
  void declare(Fields& fields) override {
    model_.declare_base(fields);
    adapters_.declare(fields);
    data_.declare(fields);
    fields.group("evaluation");
    fields.add("per_device_eval_batch_size", unit_rows_, "rows of a unit").at_least(1);
    fields.add("predictions_file", predictions_file_, "a prediction per row, in the input's order")
        .default_text("none");
    fields.add("disable_tqdm", disable_tqdm_, "no progress bar").default_text("auto");
    machine_.declare(fields);
  }
  Outcome run(JobContext& context, Fields& fields) override;

 private:
  ModelOptions model_;
  AdapterOptions adapters_;
  DataOptions data_;
  MachineOptions machine_;
  int64_t unit_rows_ = 8;
  std::optional<bool> disable_tqdm_;
  std::string predictions_file_;
};

bool is(const ModelOptions& model, TaskType task) { return task_type(model.task_type) == task; }

Outcome Evaluate::run(JobContext& context, Fields&) {
  const std::string& file = data_.validation_file.empty() ? data_.test_file : data_.validation_file;
  data_.labels_optional = !predictions_file_.empty();
  adapters_.resolve(context, model_);
  Setup setup = set_up(context, machine_, model_, data_, [&] {
    if (file.empty()) throw usage_error("--validation_file must be given");
    if (predictions_file_.empty() && is(model_, TaskType::kFeatureExtraction))
      throw usage_error("--task_type FEATURE_EXTRACTION needs --predictions_file");
  });
  const TokenStore store = prepare_file(context, setup, data_, file, true);
  Adapters adapters(context, setup, adapters_);
  const RowModels models = adapters.models_for(
      context, setup, model_, data_, choices_of(context.communicator, file, store, data_));
  check_room(setup, models, store, file);
  std::string predictions;
  const Evaluation evaluation = evaluate(context, models, store, *setup.task, unit_rows_,
                                         predictions_file_.empty() ? nullptr : &predictions);
  Json result = Json::object();
  for (const auto& [name, value] : evaluation.values) {
    const bool whole = name == "eval_samples" || name == "eval_tokens";
    result[name] = whole ? Json(static_cast<int64_t>(value)) : Json(value);
  }
  context.out << result.dump() << std::endl;
  together(context.communicator, "writing predictions", [&] {
    if (context.communicator.world().rank == 0 && !predictions_file_.empty())
      write_file_durably(predictions_file_, predictions);
  });
  return Outcome::kDone;
}

}  // namespace

std::unique_ptr<Job> make_evaluate() { return std::make_unique<Evaluate>(); }

}  // namespace rankwise
