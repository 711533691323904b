// The training loop: updates in the order of the plan, one collective each, until the last update
// or a stop.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <set>

#include "data/loader.h"
#include "data/plan.h"
#include "data/tasks/task.h"
#include "distributed/checkpoint/state.h"
#include "distributed/checkpoint/store.h"
#include "distributed/gradients/order_free_sum.h"
#include "jobs/job.h"
#include "jobs/options.h"
#include "jobs/training/evaluator.h"
#include "jobs/training/recorder.h"
#include "jobs/training/schedule.h"
#include "peft/model/adapted_model.h"

namespace rankwise {

// What a run trains on and where it writes.
struct Run {
  AdaptedModel& model;
  const Task& task;
  const TokenStore& train;
  const TokenStore* validation;  // null: none
  const TokenStore* test;        // evaluated at the end; null: none
  CheckpointStore* store;        // rank 0 only; null elsewhere
  std::string model_name;        // base_model_name_or_path of the folders written
  std::map<std::string, std::string>
      settings;  // option → text: what a resumed run must agree on, and a record
};

// How many updates a checkpoint's state has behind it. Errors: kModel.
int64_t updates_done(const State& state);

class Trainer {
 public:
  // Errors: kUsage: a schedule that cannot be made, a metric that evaluation does not give.
  Trainer(JobContext& context, const TrainingOptions& options, const Run& run);

  // Goes on from a checkpoint's state. Errors: kModel: it does not fit the model.
  void restore(const State& state);
  // Collective. Trains to the end or to a stop (kStopped: saved). Errors: kMachine: the last save
  // failed.
  Outcome run();

  int64_t updates_done() const { return done_; }
  int64_t updates_in_all() const { return total_; }
  bool finished() const { return (done_ >= total_ || stop_early_) && !evaluation_pending_; }
  // Collective. Whether an earlier start, finished too, came to its very end, test rows included.
  bool results_are_written() const;
  // The adapter folder's files as the model now is (of_checkpoint: adapted_model.h).
  Files adapter_files(bool of_checkpoint) const;

 private:
  struct Totals {
    double loss = 0, grad_norm = 0;
    bool stop = false, skipped = false;
    double reducing_seconds = 0;  // of this rank, waiting for others included
    int64_t reduction_bytes = 0;
  };
  Totals compute(const Update& update);
  void reduce(Totals& totals);
  void add_units(const Update& update, const std::vector<int64_t>& mine, double targets);
  int64_t targets_of(const Update& update) const;  // at least 1
  void step(Totals& totals, double factor);
  void evaluate_now();
  bool evaluation_due() const;
  bool save_due() const;
  std::string not_finite_rows() const;
  bool check_due() const;
  void check_ranks();
  bool ends_epoch() const { return done_ % plan_.updates_per_epoch() == 0; }
  double epoch_after(const Update& update) const;
  void save();
  State state() const;
  Outcome stopped();
  Outcome finish();
  bool test();  // false: a stop was asked for
  void load_best();

  JobContext& context_;
  const TrainingOptions& options_;
  Run run_;
  Plan plan_;
  int64_t total_ = 0, done_ = 0, saved_ = -1, skipped_in_a_row_ = 0;
  OrderFreeSum sum_;
  at::Tensor gradient_;  // [P], of the whole update
  AdamW optimizer_;
  std::unique_ptr<Schedule> schedule_;
  Recorder recorder_;
  std::set<int64_t> not_finite_rows_;  // of this rank's units of the update
  bool stop_early_ = false, improved_ = false;
  bool evaluation_pending_ = false;  // a stop came between an update and its evaluation
  std::chrono::steady_clock::time_point started_;
};

}  // namespace rankwise
