// What a run says of itself while it goes: metrics.jsonl, TensorBoard, log_history, best value,
// early stopping. Every rank keeps the state (it is the same on all); only rank 0 writes files.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "distributed/core/log.h"
#include "jobs/options.h"
#include "jobs/training/report.h"

namespace rankwise {

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class Recorder {
 public:
  Recorder(const TrainingOptions& options, Log& log) : options_(options), log_(log) {}

  void open(bool writes, std::optional<int64_t> resumed_at);  // errors: kMachine
  // One update's work: tokens, seconds from its first unit to its step, of which this rank was in
  // the reduction, and the bytes that those reductions summed.
  struct Work {
    int64_t tokens = 0, reduction_bytes = 0;
    double seconds = 0, communication_seconds = 0;
  };
  // After every update; a line every logging_steps.
  void update(int64_t step, double epoch, double loss, double grad_norm, double rate,
              const Work& work);
  // Returns whether the watched metric, which is among the values, became better.
  bool evaluation(int64_t step, double epoch, const std::map<std::string, double>& values);
  void finished(int64_t rows_seen, double seconds);
  void test(const std::map<std::string, double>& values);  // after the end: test_loss …
  bool out_of_patience() const {
    return options_.early_stopping_patience &&
           bad_evaluations_ >= *options_.early_stopping_patience;
  }

  TrainerState& state() { return state_; }
  const TrainerState& state() const { return state_; }
  Json json() const;  // what a checkpoint keeps
  void restore(const Json& json);
  void write_files(const Json& settings);  // trainer_state.json, report.html
  // Whether they are there, of this step; tested: with what test() was told.
  bool files_are_complete(bool tested) const;

 private:
  void line(Json values);
  void write(const Json& values);

  const TrainingOptions& options_;
  Log& log_;
  TrainerState state_;
  std::optional<MetricsFile> metrics_;
  std::optional<TensorBoardFile> tensorboard_;
  Json summary_ = Json::object();
  double loss_since_line_ = 0, loss_in_all_ = 0;
  int64_t updates_since_line_ = 0, bad_evaluations_ = 0;
  Work work_since_line_;  // of this start
  int64_t worked_since_line_ = 0;
  std::chrono::steady_clock::time_point last_line_;
};

}  // namespace rankwise
