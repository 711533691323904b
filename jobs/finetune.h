// A training as its options describe it, in the steps that a sweep takes once for all of its
// trainings, and those that it takes for each.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "distributed/checkpoint/state.h"
#include "distributed/checkpoint/store.h"
#include "jobs/job.h"
#include "jobs/method_options.h"
#include "jobs/options.h"
#include "jobs/setup.h"

namespace rankwise {

class Finetune : public Job {
 public:
  void declare(Fields& fields) override;
  void declare_shared(Fields& fields);  // of these, what all trainings of a sweep have in common
  bool saves_on_stop() const override { return true; }
  Outcome run(JobContext& context, Fields& fields) override;

  void check() const;                 // errors: kUsage: options that contradict each other
  Setup set_up(JobContext& context);  // collective

  struct Loaded {
    TokenStore train;
    std::optional<TokenStore> validation, test;
    std::shared_ptr<const BaseWeights> weights;
  };
  // Collective. With `evaluates`, the rows for evaluation too, whatever --eval_strategy says.
  Loaded load(JobContext& context, Setup& setup, bool evaluates = false) const;

  // Where a training begins: its folder, which is locked meanwhile, and what it goes on from.
  struct Start {
    std::unique_ptr<CheckpointStore> store;  // rank 0 only
    std::optional<State> state;
    std::optional<Json> settings;  // of that state
  };
  Start open(JobContext& context);  // collective
  Outcome train(JobContext& context, Fields& fields, const Setup& setup, const Loaded& loaded,
                Start& start);  // collective

  const TrainingOptions& training() const { return training_; }

 private:
  void declare_model_and_data(Fields& fields);
  void resolve(JobContext& context, const std::optional<Json>& stored);
  std::optional<State> checkpoint(JobContext& context, CheckpointStore* store);
  std::map<std::string, std::string> settings(const JobContext& context, const Fields& fields,
                                              const AdaptedModel& model,
                                              const TokenStore& train) const;

  ModelOptions model_;
  DataOptions data_;
  MethodOptions method_;
  TrainingOptions training_;
  MachineOptions machine_;
};

// One of several trainings of a verb: with the options that were given to the verb, then `settings`
// (option → text). Errors: kUsage.
struct OwnTraining {
  std::unique_ptr<Finetune> finetune = std::make_unique<Finetune>();
  Fields fields;
};
OwnTraining own_training(const Fields& given, const std::map<std::string, std::string>& settings);

}  // namespace rankwise
