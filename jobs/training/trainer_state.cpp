// The trainer's checkpoints: what is in one, saving, going on from one, and the end of a run.
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include "distributed/comm/agree.h"
#include "jobs/training/trainer.h"

namespace rankwise {
namespace {

// The stretch of a flat buffer that belongs to each trainable, by name.
template <class Each>
void by_name(const AdaptedModel& model, const at::Tensor& flat, const Each& each) {
  int64_t begin = 0;
  for (const Trainable& trainable : model.trainables()) {
    const int64_t numbers = trainable.value.numel();
    each(trainable.name, flat.narrow(0, begin, numbers).view(trainable.value.sizes()));
    begin += numbers;
  }
}

const std::string kValues = "adapter/", kMean = "optimizer/exp_avg/",
                  kSquare = "optimizer/exp_avg_sq/", kMethod = "method/";

void copy_in(at::Tensor to, const State& state, const std::string& path) {
  const auto found = state.tensors.find(path);
  if (found == state.tensors.end() || found->second.sizes() != to.sizes())
    throw model_error("checkpoint: tensor '{}' is missing or of another shape", path);
  to.copy_(found->second);
}

void copy_in(const AdaptedModel& model, at::Tensor flat, const State& state,
             const std::string& folder) {
  by_name(model, flat, [&](const std::string& name, const at::Tensor& to) {
    copy_in(to, state, folder + name);
  });
}

Json progress_of(const State& state) {
  const auto progress = state.attributes.find("progress");
  if (progress == state.attributes.end()) throw model_error("checkpoint: says nothing of progress");
  return parse_json(progress->second, "checkpoint", ErrorKind::kModel);
}

}  // namespace

int64_t updates_done(const State& state) { return progress_of(state).at("updates_done"); }

State Trainer::state() const {
  State state;
  auto& optimizer = const_cast<AdamW&>(optimizer_);
  const auto add = [&](const std::string& folder, const at::Tensor& flat) {
    by_name(run_.model, flat, [&](const std::string& name, const at::Tensor& value) {
      state.tensors[folder + name] = value.clone();
    });
  };
  add(kValues, run_.model.values());
  add(kMean, optimizer.exp_avg());
  add(kSquare, optimizer.exp_avg_sq());
  for (const auto& [name, value] : run_.model.method()->state())
    state.tensors[kMethod + name] = value.clone();
  const Json progress = {{"updates_done", done_},
                         {"updates_in_all", total_},
                         {"optimizer_steps", optimizer_.steps()},
                         {"skipped_in_a_row", skipped_in_a_row_},
                         {"evaluation_pending", evaluation_pending_},
                         {"schedule", schedule_->state()},
                         {"recorder", recorder_.json()}};
  state.attributes = {{"format", "rankwise checkpoint 1"},
                      {"progress", progress.dump()},
                      {"settings", Json(run_.settings).dump()}};
  return state;
}

void Trainer::restore(const State& state) {
  copy_in(run_.model, run_.model.values(), state, kValues);
  copy_in(run_.model, optimizer_.exp_avg(), state, kMean);
  copy_in(run_.model, optimizer_.exp_avg_sq(), state, kSquare);
  for (const auto& [name, value] : run_.model.method()->state())
    copy_in(value, state, kMethod + name);
  const Json progress = progress_of(state);
  done_ = saved_ = progress.at("updates_done");
  optimizer_.set_steps(progress.at("optimizer_steps"));
  skipped_in_a_row_ = progress.at("skipped_in_a_row");
  schedule_->restore(progress.at("schedule"));
  evaluation_pending_ = progress.value("evaluation_pending", false);
  recorder_.restore(progress.at("recorder"));
  stop_early_ = recorder_.out_of_patience();
}

Files Trainer::adapter_files(bool of_checkpoint) const {
  const std::vector<std::string>& labels = run_.task.label_names();
  const bool known = !labels.empty() || run_.task.regression();  // of a regression: none
  return run_.model.files(run_.model_name, known ? std::optional(labels) : std::nullopt,
                          of_checkpoint);
}

void Trainer::save() {
  if (saved_ == done_) return;
  saved_ = done_;
  TrainerState& seen = recorder_.state();
  seen.should_training_stop = finished();
  if (seen.best_global_step == done_) {
    const std::filesystem::path folder = options_.output_dir;
    seen.best_model_checkpoint = (folder / fmt::format("checkpoint-{}", done_)).string();
  }
  if (!run_.store) return;
  run_.store->wait();
  if (const std::optional<Error> error = run_.store->last_error()) {
    context_.log.warn("the last checkpoint was not saved: {}", error->what());
  }
  Files files = adapter_files(true);
  files["state.h5"] = to_hdf5(state());
  files["trainer_state.json"] = pretty(recorder_.state().json()) + "\n";
  run_.store->save(done_, std::move(files), options_.save_total_limit.value_or(0),
                   recorder_.state().best_global_step);
}

Outcome Trainer::stopped() {
  save();
  together(context_.communicator, "saving before the stop", [&] {
    if (!run_.store) return;
    run_.store->wait();
    if (const std::optional<Error> error = run_.store->last_error()) throw *error;
  });
  context_.progress.finish();
  context_.log.info("stopped after update {} of {} and saved; start again to go on", done_, total_);
  return Outcome::kStopped;
}

Outcome Trainer::finish() {
  context_.progress.finish();
  together(context_.communicator, "saving the last checkpoint", [&] {
    if (!run_.store) return;
    run_.store->wait();
    if (const std::optional<Error> error = run_.store->last_error()) throw *error;
  });
  if (options_.load_best_model_at_end) load_best();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  const double rows = recorder_.state().epoch * static_cast<double>(run_.train.rows());
  recorder_.finished(static_cast<int64_t>(rows), seconds);
  const bool tested = !run_.test || test();
  together(context_.communicator, "writing the results", [&] {
    if (!run_.store) return;
    for (const auto& [name, bytes] : adapter_files(false))
      write_file_durably(std::filesystem::path(options_.output_dir) / name, bytes);
    recorder_.write_files(Json(run_.settings));
  });
  if (tested) return Outcome::kDone;
  context_.log.warn("stopped before the test rows were evaluated; start again to go on");
  return Outcome::kStopped;
}

bool Trainer::results_are_written() const {
  at::Tensor written = at::full({}, 0, at::kLong);
  together(context_.communicator, "looking for the results", [&] {
    if (run_.store) written.fill_(recorder_.files_are_complete(run_.test != nullptr));
  });
  context_.communicator.broadcast(written, 0);
  return written.item<int64_t>() != 0;
}

// Every rank takes the values that rank 0 reads.
void Trainer::load_best() {
  const std::optional<int64_t> best = recorder_.state().best_global_step;
  if (!best || *best == done_) return;
  const std::map<std::string, at::Tensor> of_method = run_.model.method()->state();
  together(context_.communicator, "loading the best checkpoint", [&] {
    if (!run_.store) return;
    const State state = read_hdf5(run_.store->folder(*best) / "state.h5");
    copy_in(run_.model, run_.model.values(), state, kValues);
    for (const auto& [name, value] : of_method) copy_in(value, state, kMethod + name);
  });
  context_.communicator.broadcast(run_.model.values(), 0);
  for (auto [name, value] : of_method) context_.communicator.broadcast(value, 0);
  context_.log.info("the best checkpoint is that of update {}", *best);
}

}  // namespace rankwise
