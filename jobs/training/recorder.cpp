// Sums between lines, the best value so far, and the files that lines go to.
#include "jobs/training/recorder.h"

#include <algorithm>

#include "distributed/checkpoint/store.h"

namespace rankwise {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kStateFile = "trainer_state.json";

}  // namespace

void Recorder::open(bool writes, std::optional<int64_t> resumed_at) {
  last_line_ = Clock::now();
  if (!writes) return;
  const std::filesystem::path folder = options_.output_dir;
  std::filesystem::remove(folder / kStateFile);  // it tells that all is done
  const auto reports_to = [&](const char* name) {
    return std::find(options_.report_to.begin(), options_.report_to.end(), name) !=
           options_.report_to.end();
  };
  if (reports_to("jsonl")) metrics_.emplace(folder / "metrics.jsonl", resumed_at);
  if (reports_to("tensorboard"))
    tensorboard_.emplace(
        options_.logging_dir ? std::filesystem::path(*options_.logging_dir) : folder / "runs",
        resumed_at);
}

// A file that cannot be written (a full disk) is no reason to end a training: it is said, and the
// run goes on.
void Recorder::line(Json values) {
  state_.log_history.push_back(values);
  try {
    write(values);
  } catch (const Error& error) {
    log_.warn("{}", error.what());
  }
}

void Recorder::write(const Json& values) {
  if (metrics_) metrics_->write(values);
  if (!tensorboard_) return;
  for (const auto& [key, value] : values.items()) {
    if (key == "step" || !value.is_number()) continue;
    tensorboard_->scalar(tensorboard_tag(key), values["step"].get<int64_t>(), value.get<double>());
  }
  tensorboard_->flush();
}

void Recorder::update(int64_t step, double epoch, double loss, double grad_norm, double rate,
                      const Work& work) {
  state_.global_step = step;
  state_.epoch = epoch;
  loss_since_line_ += loss;
  loss_in_all_ += loss;
  work_since_line_.tokens += work.tokens;
  work_since_line_.seconds += work.seconds;
  work_since_line_.communication_seconds += work.communication_seconds;
  work_since_line_.reduction_bytes += work.reduction_bytes;
  ++updates_since_line_;
  ++worked_since_line_;
  if (step % options_.logging_steps != 0) return;
  const Work& worked = work_since_line_;
  line({{"step", step},
        {"epoch", epoch},
        {"loss", loss_since_line_ / static_cast<double>(updates_since_line_)},
        {"grad_norm", grad_norm},
        {"learning_rate", rate},
        {"tokens_per_second", static_cast<double>(worked.tokens) / seconds_since(last_line_)},
        {"update_seconds", worked.seconds / static_cast<double>(worked_since_line_)},
        {"communication_share", worked.communication_seconds / worked.seconds},
        {"reduction_bytes", worked.reduction_bytes / worked_since_line_}});
  loss_since_line_ = 0;
  updates_since_line_ = worked_since_line_ = 0;
  work_since_line_ = {};
  last_line_ = Clock::now();
}

bool Recorder::evaluation(int64_t step, double epoch, const std::map<std::string, double>& values) {
  Json record = values;
  record["step"] = step;
  record["epoch"] = epoch;
  line(record);
  const double watched = values.at(options_.best_metric());
  const double direction = options_.best_is_greater() ? 1 : -1;
  const bool first = !state_.best_metric;
  const double gain = first ? 0 : direction * (watched - *state_.best_metric);
  bad_evaluations_ = first || gain > options_.early_stopping_threshold ? 0 : bad_evaluations_ + 1;
  if (options_.early_stopping_patience) {
    state_.early_stopping = {*options_.early_stopping_patience, options_.early_stopping_threshold,
                             bad_evaluations_};
  }
  if (!first && !(gain > 0)) return false;
  state_.best_metric = watched;
  state_.best_global_step = step;
  return true;
}

void Recorder::finished(int64_t rows_seen, double seconds) {
  const double steps = static_cast<double>(std::max<int64_t>(1, state_.global_step));
  summary_ = {{"step", state_.global_step},
              {"epoch", state_.epoch},
              {"train_loss", loss_in_all_ / steps},
              {"train_runtime", seconds},
              {"train_samples_per_second", static_cast<double>(rows_seen) / seconds},
              {"train_steps_per_second", steps / seconds}};
  line(summary_);
}

void Recorder::test(const std::map<std::string, double>& values) {
  Json record = values;
  record["step"] = state_.global_step;
  record["epoch"] = state_.epoch;
  line(record);
}

Json Recorder::json() const {
  return {{"trainer_state", state_.json()},
          {"loss_since_line", loss_since_line_},
          {"loss_in_all", loss_in_all_},
          {"updates_since_line", updates_since_line_},
          {"bad_evaluations", bad_evaluations_}};
}

void Recorder::restore(const Json& json) {
  state_ = TrainerState::from_json(json.at("trainer_state"));
  loss_since_line_ = json.at("loss_since_line");
  loss_in_all_ = json.at("loss_in_all");
  updates_since_line_ = json.at("updates_since_line");
  bad_evaluations_ = json.at("bad_evaluations");
}

bool Recorder::files_are_complete(bool tested) const {
  const std::filesystem::path file = std::filesystem::path(options_.output_dir) / kStateFile;
  if (!std::filesystem::exists(file)) return false;
  const Json written = read_json(file, ErrorKind::kModel);
  const Json history = written.value("log_history", Json::array());
  const bool has_test = std::any_of(history.begin(), history.end(),
                                    [](const Json& line) { return line.contains("test_loss"); });
  return written.value("global_step", int64_t{-1}) == state_.global_step && (has_test || !tested);
}

void Recorder::write_files(const Json& settings) {
  const std::filesystem::path folder = options_.output_dir;
  write_file_durably(folder / kStateFile, pretty(state_.json()) + "\n");
  write_file_durably(folder / "report.html",
                     report_html(folder.filename().string(), state_, settings, summary_));
}

}  // namespace rankwise
