// trainer_state.json, key by key as transformers' TrainerState writes it.
#include "distributed/core/error.h"
#include "jobs/training/report.h"

namespace rankwise {
namespace {

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

template <class T>
std::optional<T> optional_at(const Json& json, const char* key) {
  const Json& value = json.at(key);
  return value.is_null() ? std::nullopt : std::optional<T>(value.get<T>());
}

Json stateful_callbacks(const TrainerState& state) {
  Json callbacks;
  callbacks["TrainerControl"] = {{"args",
                                  {{"should_epoch_stop", false},
                                   {"should_evaluate", false},
                                   {"should_log", false},
                                   {"should_save", state.should_save},
                                   {"should_training_stop", state.should_training_stop}}},
                                 {"attributes", Json::object()}};
  if (const auto& stopping = state.early_stopping) {
    callbacks["EarlyStoppingCallback"] = {
        {"args",
         {{"early_stopping_patience", stopping->patience},
          {"early_stopping_threshold", stopping->threshold}}},
        {"attributes", {{"early_stopping_patience_counter", stopping->counter}}}};
  }
  return callbacks;
}

void read_callbacks(const Json& callbacks, TrainerState& state) {
  const Json& control = callbacks.at("TrainerControl").at("args");
  state.should_save = control.at("should_save");
  state.should_training_stop = control.at("should_training_stop");
  if (const auto stopping = callbacks.find("EarlyStoppingCallback"); stopping != callbacks.end()) {
    state.early_stopping = {
        .patience = stopping->at("args").at("early_stopping_patience"),
        .threshold = stopping->at("args").at("early_stopping_threshold"),
        .counter = stopping->at("attributes").at("early_stopping_patience_counter")};
  }
}

}  // namespace

Json TrainerState::json() const {
  return {{"best_global_step", or_null(best_global_step)},
          {"best_metric", or_null(best_metric)},
          {"best_model_checkpoint", or_null(best_model_checkpoint)},
          {"epoch", epoch},
          {"eval_steps", eval_steps},
          {"global_step", global_step},
          {"is_hyper_param_search", false},
          {"is_local_process_zero", true},
          {"is_world_process_zero", true},
          {"log_history", log_history},
          {"logging_steps", logging_steps},
          {"max_steps", max_steps},
          {"num_input_tokens_seen", num_input_tokens_seen},
          {"num_train_epochs", num_train_epochs},
          {"save_steps", save_steps},
          {"stateful_callbacks", stateful_callbacks(*this)},
          {"total_flos", total_flos},
          {"train_batch_size", train_batch_size},
          {"trial_name", nullptr},
          {"trial_params", nullptr}};
}

TrainerState TrainerState::from_json(const Json& json) {
  TrainerState state;
  try {
    state.best_global_step = optional_at<int64_t>(json, "best_global_step");
    state.best_metric = optional_at<double>(json, "best_metric");
    state.best_model_checkpoint = optional_at<std::string>(json, "best_model_checkpoint");
    state.epoch = json.at("epoch");
    state.eval_steps = json.at("eval_steps");
    state.global_step = json.at("global_step");
    state.log_history = json.at("log_history").get<std::vector<Json>>();
    state.logging_steps = json.at("logging_steps");
    state.max_steps = json.at("max_steps");
    state.num_input_tokens_seen = json.at("num_input_tokens_seen");
    state.num_train_epochs = json.at("num_train_epochs");
    state.save_steps = json.at("save_steps");
    state.total_flos = json.at("total_flos");
    state.train_batch_size = json.at("train_batch_size");
    read_callbacks(json.at("stateful_callbacks"), state);
  } catch (const Json::exception& error) {
    throw model_error("trainer_state.json: {}", error.what());
  }
  return state;
}

}  // namespace rankwise
