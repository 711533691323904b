// sweep: many trainings over one frozen base in one job. Ranks are split into groups; a group that
// has ended a training takes the next. Each leaves what `finetune` alone would leave.
#include <numeric>

#include "distributed/checkpoint/durable.h"
#include "distributed/checkpoint/folder_lock.h"
#include "distributed/comm/agree.h"
#include "jobs/finetune.h"
#include "jobs/sweep/queue.h"
#include "jobs/sweep/results.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

constexpr double kNoLimitSeconds = 1e9;  // one training may take much longer than another

class Sweep : public Job {
 public:
  void declare(Fields& fields) override {
    fields.group("sweep");
    fields.add("sweep_file", sweep_file_,
               "what to try: a .json object of lists (a grid), or one object a training (.jsonl)");
    fields.add("groups", groups_, "of ranks, each at a training of its own")
        .at_least(1)
        .default_text("the ranks");
    common_.declare(fields);
  }
  bool saves_on_stop() const override { return true; }
  Outcome run(JobContext& context, Fields& fields) override;

 private:
  void read(const Fields& fields);
  OwnTraining tried(const Trial& trial, const Fields& fields) const;
  std::vector<size_t> longest_first(const Fields& fields) const;
  void train_some(JobContext& context, const Fields& fields, const Setup& setup,
                  const Finetune::Loaded& loaded);
  void train(JobContext& context, size_t number, const Fields& fields, const Setup& setup,
             const Finetune::Loaded& loaded);
  void gather(Communicator& all);
  void write(JobContext& context);
  Outcome outcome() const;

  std::string sweep_file_;
  std::optional<int64_t> groups_;
  Finetune common_;
  std::vector<Trial> trials_;
  std::vector<TrialResult> results_;  // of this rank's group; after gather() of all
};

// Errors: kUsage, kInput.
void Sweep::read(const Fields& fields) {
  if (sweep_file_.empty()) throw usage_error("--sweep_file must be given");
  Fields shared;
  Finetune().declare_shared(shared);
  std::vector<std::string> names = {"output_dir", "sweep_file", "groups", "overwrite_output_dir"};
  for (const Field& field : shared.all()) names.push_back(field.name());
  trials_ = read_trials(sweep_file_, names);
  results_.resize(trials_.size());
  for (const Trial& trial : trials_) {
    try {
      tried(trial, fields).finetune->check();
    } catch (const Error& error) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("{}: training {}: {}", sweep_file_, trial.name, error.what()),
                  error.hint());
    }
  }
}

OwnTraining Sweep::tried(const Trial& trial, const Fields& fields) const {
  std::map<std::string, std::string> settings = trial.settings;
  settings["output_dir"] = (fs::path(common_.training().output_dir) / trial.name).string();
  return own_training(fields, settings);
}

std::vector<size_t> Sweep::longest_first(const Fields& fields) const {
  std::vector<double> rows;
  for (const Trial& trial : trials_) {
    const OwnTraining tried = this->tried(trial, fields);
    const TrainingOptions& options = tried.finetune->training();
    const auto batch = static_cast<double>(options.global_batch_size.value_or(1));
    rows.push_back(options.max_steps > 0
                       ? static_cast<double>(options.max_steps) * batch
                       : options.num_train_epochs * 1e12);  // epochs are longer than any steps
  }
  std::vector<size_t> order(trials_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return rows[a] > rows[b]; });
  return order;
}

void Sweep::train(JobContext& context, size_t number, const Fields& fields, const Setup& setup,
                  const Finetune::Loaded& loaded) {
  TrialResult& result = results_[number];
  OwnTraining training = tried(trials_[number], fields);
  try {
    Finetune::Start start = training.finetune->open(context);
    const Outcome outcome =
        training.finetune->train(context, training.fields, setup, loaded, start);
    result.status = outcome == Outcome::kDone ? "done" : "stopped";
  } catch (const Error& error) {
    if (!error.agreed() && context.communicator.world().ranks > 1) throw;
    result.status = "failed";
    result.error = error.what();
    result.exit_code = error.exit_code();
  }
}

void Sweep::train_some(JobContext& context, const Fields& fields, const Setup& setup,
                       const Finetune::Loaded& loaded) {
  Communicator& all = context.communicator;
  TrialQueue queue(all, fs::path(common_.training().output_dir) / ".claims", longest_first(fields));
  const int ranks = all.world().ranks;
  const int groups = static_cast<int>(std::min<int64_t>(groups_.value_or(ranks), ranks));
  {
    const std::unique_ptr<Communicator> group =
        all.split(static_cast<int>(int64_t{all.world().rank} * groups / ranks));
    SilentLog silent;
    NoProgress no_progress;
    JobContext own = context.of_group(*group, silent, no_progress);
    try {
      while (const std::optional<size_t> number = queue.next(*group)) {
        context.log.info("{} of {} trainings: {}", *number + 1, trials_.size(),
                         trials_[*number].name);
        own.deadline = context.deadline;
        train(own, *number, fields, setup, loaded);
        if (results_[*number].status == "stopped") break;
      }
    } catch (const Error& error) {  // a group agrees for itself only
      throw Error(error.kind(), error.what(), error.hint());
    }
  }
  all.limit_waits(kNoLimitSeconds);
  queue.close(all);
}

// Every rank learns what all groups have done.
void Sweep::gather(Communicator& all) {
  Json mine = Json::array();
  for (const TrialResult& result : results_)
    mine.push_back(
        {{"status", result.status}, {"error", result.error}, {"code", result.exit_code}});
  for (const std::string& text : gather_texts(all, mine.dump())) {
    const Json theirs = parse_json(text, "results of a rank", ErrorKind::kInternal);
    for (size_t i = 0; i < results_.size(); ++i) {
      if (theirs[i]["status"] == TrialResult().status) continue;
      results_[i].status = theirs[i]["status"];
      results_[i].error = theirs[i]["error"];
      results_[i].exit_code = theirs[i]["code"];
    }
  }
}

void Sweep::write(JobContext& context) {
  const fs::path folder = common_.training().output_dir;
  for (size_t i = 0; i < trials_.size(); ++i) read_metrics(folder / trials_[i].name, results_[i]);
  write_file_durably(folder / "sweep.json", results_json(trials_, results_).dump(2) + "\n");
  std::vector<Trial> trials;
  std::vector<TrialResult> results;
  const TrainingOptions& training = common_.training();
  for (const size_t i : best_first(results_, training.best_metric(), training.best_is_greater())) {
    trials.push_back(trials_[i]);
    results.push_back(results_[i]);
  }
  write_file_durably(folder / "report.html",
                     results_html(folder.filename().string(), trials, results));
  context.out << results_table(trials, results) << std::flush;
}

// Errors: the first training's that failed.
Outcome Sweep::outcome() const {
  for (const TrialResult& result : results_) {
    if (result.status == "stopped" || result.status == TrialResult().status)
      return Outcome::kStopped;
  }
  for (size_t i = 0; i < results_.size(); ++i) {
    if (results_[i].status == "failed")
      throw Error(static_cast<ErrorKind>(results_[i].exit_code),
                  fmt::format("training {} failed: {}", trials_[i].name, results_[i].error))
          .as_agreed();
  }
  return Outcome::kDone;
}

Outcome Sweep::run(JobContext& context, Fields& fields) {
  Communicator& all = context.communicator;
  Setup setup = common_.set_up(context);
  std::optional<FolderLock> lock;
  together(all, "reading the sweep", [&] {
    read(fields);
    if (all.world().rank == 0) lock.emplace(common_.training().output_dir);
  });
  const Finetune::Loaded loaded = common_.load(context, setup, true);
  train_some(context, fields, setup, loaded);
  gather(all);
  together(all, "writing the results", [&] {
    if (all.world().rank == 0) write(context);
  });
  return outcome();
}

}  // namespace

std::unique_ptr<Job> make_sweep() { return std::make_unique<Sweep>(); }

}  // namespace rankwise
