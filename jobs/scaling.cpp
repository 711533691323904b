// scaling: the same training on the first 1, 2, … ranks of one job: strong (the same updates on
// more ranks; the adapter must be the same) and weak (updates that grow with the ranks). Times,
// efficiency, memory, and a model of them that `inspect --nodes` asks.
#include <algorithm>
#include <set>

#include "data/plan.h"
#include "distributed/checkpoint/durable.h"
#include "distributed/checkpoint/folder_lock.h"
#include "distributed/comm/agree.h"
#include "distributed/comm/measure.h"
#include "distributed/memory/resident.h"
#include "jobs/finetune.h"
#include "jobs/scaling/results.h"
#include "jobs/scaling/run_files.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

constexpr double kNoLimitSeconds = 1e9;  // ranks that take no part wait for those that do
constexpr int64_t kReductionBytes[] = {1 << 10, 1 << 14, 1 << 18, 1 << 22, 1 << 26};
constexpr int64_t kMostUnitLengths = 256;  // that are kept of an epoch's units

class Scaling : public Job {
 public:
  void declare(Fields& fields) override;
  bool saves_on_stop() const override { return true; }
  Outcome run(JobContext& context, Fields& fields) override;

 private:
  void check(int ranks);
  ScalingRun planned(const std::string& mode, int64_t ranks, const World& world) const;
  OwnTraining training_of(const ScalingRun& run, const Fields& fields) const;
  Outcome train(JobContext& context, ScalingRun& run, const Fields& fields, const Setup& setup,
                const Finetune::Loaded& loaded);
  void measure_reductions(JobContext& context, int64_t bytes);
  void read(ScalingRun& run, const TokenStore& train);
  void fit(const Finetune::Loaded& loaded);
  double reduction_seconds(const NodeLayout& layout) const;
  void write(JobContext& context);
  void expect_one_adapter(const JobContext& context) const;

  std::vector<int64_t> rank_counts_;
  std::vector<std::string> modes_ = {"strong", "weak"};
  int64_t warmup_updates_ = 2;
  Finetune common_;
  std::vector<ScalingRun> runs_;
  // Of rank 0 only.
  std::vector<MeasuredReduction> reductions_;
  std::vector<MeasuredUpdate> updates_;
  StepModel model_;
};

void Scaling::declare(Fields& fields) {
  fields.group("scaling");
  fields.add("rank_counts", rank_counts_, "on how many ranks to train, one after the other")
      .at_least(1)
      .default_text("1, 2, 4 … and all");
  fields.add("scaling", modes_, "strong: the same updates on more ranks; weak: updates that grow")
      .one_of({"strong", "weak"});
  fields.add("warmup_updates", warmup_updates_, "first updates that are not timed").at_least(0);
  common_.declare(fields);
  fields.at("max_steps").preset("20");
  fields.at("logging_steps").preset("1");
  fields.at("save_strategy").preset("no");
  fields.at("report_to").preset("jsonl");
}

// Errors: kUsage.
void Scaling::check(int ranks) {
  const TrainingOptions& training = common_.training();
  if (rank_counts_.empty()) {
    for (int64_t count = 1; count < ranks; count *= 2) rank_counts_.push_back(count);
    rank_counts_.push_back(ranks);
  }
  std::sort(rank_counts_.begin(), rank_counts_.end());
  if (rank_counts_.back() > ranks)
    throw usage_error("--rank_counts {}: the job has {} ranks", rank_counts_.back(), ranks);
  if (modes_.empty()) throw usage_error("--scaling must name strong, weak or both");
  if (training.max_steps <= warmup_updates_)
    throw usage_error("--max_steps {} must be more than --warmup_updates {}", training.max_steps,
                      warmup_updates_);
  if (training.logging_steps != 1)
    throw usage_error("--logging_steps {}: scaling looks at each update", training.logging_steps);
  if (std::find(training.report_to.begin(), training.report_to.end(), "jsonl") ==
      training.report_to.end())
    throw usage_error("--report_to must have jsonl: times are read from there");
}

NodeLayout layout_of_first(int64_t ranks, const World& world) {
  const auto begin = world.node_of.begin();
  return {ranks, std::ssize(std::set<int>(begin, begin + ranks))};
}

ScalingRun Scaling::planned(const std::string& mode, int64_t ranks, const World& world) const {
  const TrainingOptions& training = common_.training();
  const int64_t rows_a_rank =
      training.per_device_train_batch_size * training.gradient_accumulation_steps;
  ScalingRun run;
  run.mode = mode;
  run.layout = layout_of_first(ranks, world);
  run.global_batch_size =
      mode == "weak" ? rows_a_rank * ranks
                     : training.global_batch_size.value_or(rows_a_rank * rank_counts_.back());
  return run;
}

OwnTraining Scaling::training_of(const ScalingRun& run, const Fields& fields) const {
  std::map<std::string, std::string> settings = {
      {"output_dir", (fs::path(common_.training().output_dir) / run.name()).string()},
      {"global_batch_size", std::to_string(run.global_batch_size)}};
  for (const char* name : {"max_steps", "logging_steps", "save_strategy", "report_to"})
    settings[name] = fields.find(name)->text();
  return own_training(fields, settings);
}

// Collective over all ranks of the job; those past the run's wait.
Outcome Scaling::train(JobContext& context, ScalingRun& run, const Fields& fields,
                       const Setup& setup, const Finetune::Loaded& loaded) {
  Communicator& all = context.communicator;
  const World& world = all.world();
  at::Tensor stopped = at::zeros({1}, at::kLong), bytes = at::zeros({1}, at::kLong);
  std::optional<Error> failure;
  {
    const bool takes_part = world.rank < run.layout.ranks;
    const std::unique_ptr<Communicator> group = all.split(takes_part ? 0 : 1);
    if (takes_part) {
      NoProgress no_progress;
      SilentLog silent;
      JobContext own = context.of_group(*group, silent, no_progress);
      reset_resident_peak();
      try {
        OwnTraining training = training_of(run, fields);
        Finetune::Start start = training.finetune->open(own);
        stopped.fill_(training.finetune->train(own, training.fields, setup, loaded, start) ==
                      Outcome::kStopped);
        bytes.fill_(resident_peak_bytes());
      } catch (const Error& error) {
        if (!error.agreed() && run.layout.ranks > 1) throw;
        failure = error;
      }
    }
  }
  const double limit = all.hang_timeout_seconds();
  all.limit_waits(kNoLimitSeconds);
  together(all, "training on the first ranks", [&] {
    if (failure) throw *failure;
  });
  all.limit_waits(limit);
  all.broadcast(stopped, 0);
  const at::Tensor of_ranks = all.all_gather(bytes);
  std::vector<int64_t> of_nodes(static_cast<size_t>(world.nodes), 0);
  for (int rank = 0; rank < world.ranks; ++rank)
    of_nodes[static_cast<size_t>(world.node_of[rank])] += of_ranks[rank].item<int64_t>();
  run.bytes_per_node = *std::max_element(of_nodes.begin(), of_nodes.end());
  return stopped.item<int64_t>() != 0 ? Outcome::kStopped : Outcome::kDone;
}

// Collective over all ranks: sums on the first ranks of each count, of several sizes and `bytes`.
void Scaling::measure_reductions(JobContext& context, int64_t bytes) {
  Communicator& all = context.communicator;
  const World& world = all.world();
  std::set<int64_t> sizes(std::begin(kReductionBytes), std::end(kReductionBytes));
  sizes.insert(bytes);
  for (const int64_t ranks : rank_counts_) {
    if (ranks == 1) continue;
    const bool takes_part = world.rank < ranks;
    const std::unique_ptr<Communicator> group = all.split(takes_part ? 0 : 1);
    for (const int64_t size : sizes) {
      if (!takes_part) break;
      const Measurement measured = measure(*group, {"sum", at::kLong, size, 5, 2});
      reductions_.push_back({layout_of_first(ranks, world), measured.bytes, measured.seconds});
    }
    group->barrier();
  }
}

double Scaling::reduction_seconds(const NodeLayout& layout) const {
  for (const MeasuredReduction& reduction : reductions_) {
    if (reduction.layout.ranks == layout.ranks && reduction.bytes == model_.reduction_bytes)
      return reduction.seconds;
  }
  return 0;
}

void Scaling::read(ScalingRun& run, const TokenStore& train) {
  const TrainingOptions& training = common_.training();
  const fs::path folder = fs::path(training.output_dir) / run.name();
  const Plan plan(train.lengths(), training.per_device_train_batch_size, run.global_batch_size,
                  training.seed);
  const TimedUpdates timed = timed_updates(folder, plan, run.layout, warmup_updates_);
  updates_.insert(updates_.end(), timed.updates.begin(), timed.updates.end());
  model_.reduction_bytes = timed.reduction_bytes;
  run.updates = std::ssize(timed.updates);
  run.update_seconds = timed.seconds / static_cast<double>(run.updates);
  run.tokens_per_second = static_cast<double>(timed.tokens) / timed.seconds;
  run.communication_share = timed.communication_seconds / timed.seconds;
  run.adapter_hash = hash_of_adapter(folder);
  const auto first = std::find_if(runs_.begin(), runs_.end(),
                                  [&](const ScalingRun& other) { return other.mode == run.mode; });
  run.efficiency = run.tokens_per_second / static_cast<double>(run.layout.ranks) /
                   (first->tokens_per_second / static_cast<double>(first->layout.ranks));
}

std::vector<int64_t> unit_lengths(const TokenStore& train, const TrainingOptions& training) {
  const Plan plan(train.lengths(), training.per_device_train_batch_size,
                  training.per_device_train_batch_size, training.seed);
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < std::min(kMostUnitLengths, plan.updates_per_epoch()); ++i)
    lengths.push_back(std::max<int64_t>(1, plan.update(i).units.front().tokens));
  std::sort(lengths.begin(), lengths.end());
  return lengths;
}

void Scaling::fit(const Finetune::Loaded& loaded) {
  model_.reduction = fit_reductions(reductions_);
  for (MeasuredUpdate& update : updates_)
    update.seconds =
        std::max(update.seconds / 2, update.seconds - reduction_seconds(update.layout));
  fit_updates(model_, updates_);
  const TrainingOptions& training = common_.training();
  model_.unit_rows = training.per_device_train_batch_size;
  model_.unit_tokens = unit_lengths(loaded.train, training);
  const ScalingRun& largest = runs_.back();
  model_.fitted_on = largest.layout;
  model_.base_bytes_per_node = shared_bytes(*loaded.weights);
  model_.bytes_per_rank =
      std::max<int64_t>(0, largest.bytes_per_node - model_.base_bytes_per_node) /
      largest.layout.ranks_per_node();
  for (ScalingRun& run : runs_)
    run.predicted_seconds =
        model_.predict(run.layout, run.global_batch_size / model_.unit_rows).seconds;
}

void Scaling::write(JobContext& context) {
  const fs::path folder = common_.training().output_dir;
  write_file_durably(folder / "scaling.json",
                     scaling_json(runs_, reductions_, model_).dump(2) + "\n");
  write_file_durably(folder / "report.html", scaling_html(folder.filename().string(), runs_));
  context.out << scaling_table(runs_) << std::flush;
}

// Errors: kInternal: a promise is broken.
void Scaling::expect_one_adapter(const JobContext& context) const {
  const ScalingRun* first = nullptr;
  for (const ScalingRun& run : runs_) {
    if (run.mode != "strong") continue;
    if (!first) first = &run;
    if (run.adapter_hash != first->adapter_hash && !context.on_mixed_processors())
      throw internal_error("{} and {} left adapters that differ: {} and {}", first->name(),
                           run.name(), first->adapter_hash, run.adapter_hash);
  }
}

Outcome Scaling::run(JobContext& context, Fields& fields) {
  Communicator& all = context.communicator;
  Setup setup = common_.set_up(context);
  std::optional<FolderLock> lock;
  together(all, "reading the options", [&] {
    check(all.world().ranks);
    for (const std::string& mode : modes_) {
      for (const int64_t ranks : rank_counts_) runs_.push_back(planned(mode, ranks, all.world()));
    }
    for (const ScalingRun& run : runs_) training_of(run, fields).finetune->check();
    if (all.world().rank == 0) lock.emplace(common_.training().output_dir);
  });
  const Finetune::Loaded loaded = common_.load(context, setup);
  for (ScalingRun& run : runs_) {
    context.log.info("{} scaling: {} of {} ranks, {} rows an update", run.mode, run.layout.ranks,
                     all.world().ranks, run.global_batch_size);
    if (train(context, run, fields, setup, loaded) == Outcome::kStopped) return Outcome::kStopped;
  }
  at::Tensor bytes = at::zeros({1}, at::kLong);
  together(all, "reading the results", [&] {
    if (all.world().rank != 0) return;
    for (ScalingRun& run : runs_) read(run, loaded.train);
    bytes.fill_(model_.reduction_bytes);
  });
  all.broadcast(bytes, 0);
  measure_reductions(context, bytes.item<int64_t>());
  together(all, "writing the results", [&] {
    if (all.world().rank != 0) return;
    fit(loaded);
    write(context);
    expect_one_adapter(context);
  });
  return Outcome::kDone;
}

}  // namespace

std::unique_ptr<Job> make_scaling() { return std::make_unique<Scaling>(); }

}  // namespace rankwise
