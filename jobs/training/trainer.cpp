// The loop and one update of it. Checkpoints and the end of a run are in trainer_state.cpp.
#include "jobs/training/trainer.h"

#include <ATen/ops/empty_like.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "distributed/comm/agree.h"
#include "jobs/training/parameter_groups.h"
#include "jobs/training/same_everywhere.h"

namespace rankwise {
namespace {

enum Votes { kStop, kVotes };
constexpr int64_t kSkipsBeforeStop = 10;

int64_t updates_in_all(const TrainingOptions& options, const Plan& plan) {
  if (options.max_steps > 0) return options.max_steps;
  return static_cast<int64_t>(
      std::ceil(options.num_train_epochs * static_cast<double>(plan.updates_per_epoch())));
}

int64_t warmup(const TrainingOptions& options, int64_t total) {
  return options.warmup_steps > 0
             ? options.warmup_steps
             : static_cast<int64_t>(std::ceil(static_cast<double>(total) * options.warmup_ratio));
}

int64_t rows_of(const Update& update) {
  int64_t rows = 0;
  for (const UnitRows& unit : update.units) rows += static_cast<int64_t>(unit.rows.size());
  return rows;
}

int64_t tokens_of(const Update& update) {
  int64_t tokens = 0;
  for (const UnitRows& unit : update.units) tokens += unit.tokens;
  return tokens;
}

std::string text_of(const std::map<std::string, double>& values) {
  std::string text;
  for (const auto& [name, value] : values)
    text += fmt::format("{}{} {:.4g}", text.empty() ? "" : ", ", name, value);
  return text;
}

}  // namespace

int64_t Trainer::targets_of(const Update& update) const {
  const Packing packing = packing_for(run_.model, run_.task);
  int64_t targets = 0;
  for (const UnitRows& unit : update.units) {
    for (const int64_t row : unit.rows) targets += target_count(run_.train, row, packing);
  }
  return std::max<int64_t>(1, targets);
}

Trainer::Trainer(JobContext& context, const TrainingOptions& options, const Run& run)
    : context_(context),
      options_(options),
      run_(run),
      plan_(run.train.lengths(), options.per_device_train_batch_size, *options.global_batch_size,
            options.seed),
      total_(rankwise::updates_in_all(options, plan_)),
      sum_(run.model.values().numel(), 1, kVotes, options.adamw.adam_epsilon),
      gradient_(at::empty_like(run.model.values())),
      optimizer_(run.model.values().numel(), options.adamw,
                 parameter_groups(run.model.trainables(), options.adamw, options.lora_plus)),
      schedule_(make_schedule(
          options.lr_scheduler_type, options.adamw.learning_rate, warmup(options, total_), total_,
          parse_json(options.lr_scheduler_kwargs, "--lr_scheduler_kwargs", ErrorKind::kUsage))),
      recorder_(options, context.log),
      started_(std::chrono::steady_clock::now()) {
  if (schedule_->needs_evaluation() && options.eval_strategy == "no") {
    throw usage_error("--lr_scheduler_type {} needs --eval_strategy steps or epoch",
                      options.lr_scheduler_type);
  }
  run.model.method()->begin(total_);
  const std::vector<std::string> metrics = value_names(*run.task.metrics());
  if (std::find(metrics.begin(), metrics.end(), options.best_metric()) == metrics.end()) {
    throw usage_error("--metric_for_best_model {}: evaluation gives {}",
                      *options.metric_for_best_model, fmt::join(metrics, ", "));
  }
  TrainerState& state = recorder_.state();
  state.max_steps = total_;
  state.num_train_epochs = static_cast<int64_t>(
      std::ceil(static_cast<double>(total_) / static_cast<double>(plan_.updates_per_epoch())));
  state.train_batch_size = options.per_device_train_batch_size;
  state.logging_steps = options.logging_steps;
  state.eval_steps = options.eval_steps.value_or(options.logging_steps);
  state.save_steps = options.save_steps;
}

Outcome Trainer::run() {
  together(context_.communicator, "opening the run's files", [&] {
    recorder_.open(run_.store != nullptr, done_ > 0 ? std::optional(done_) : std::nullopt);
  });
  if (evaluation_pending_) evaluate_now();
  while (!evaluation_pending_ && !finished()) {
    const auto begun = std::chrono::steady_clock::now();
    const Update update = plan_.update(done_);
    context_.communicator.enter_phase(fmt::format("update {}", done_ + 1));
    Totals totals = compute(update);
    if (totals.stop) return stopped();
    const double factor = schedule_->factor(done_);
    step(totals, factor);
    const double seconds = seconds_since(begun);
    ++done_;
    recorder_.update(done_, epoch_after(update), totals.loss, totals.grad_norm,
                     options_.adamw.learning_rate * factor,
                     {tokens_of(update), totals.reduction_bytes, seconds, totals.reducing_seconds});
    if (check_due()) check_ranks();
    context_.progress.show(done_, total_, fmt::format("loss {:.4f}", totals.loss));
    improved_ = false;
    if (evaluation_due()) evaluate_now();
    if (save_due()) save();
  }
  if (evaluation_pending_) return stopped();
  return finish();
}

Trainer::Totals Trainer::compute(const Update& update) {
  const World& world = context_.communicator.world();
  const std::vector<int64_t> mine = Plan::dealt_to(update.units, world.rank, world.ranks);
  const auto targets = static_cast<double>(targets_of(update));
  Totals totals;
  sum_.start(static_cast<int64_t>(update.units.size()));
  not_finite_rows_.clear();
  add_units(update, mine, targets);
  reduce(totals);
  while (sum_.out_of_range() > 0 &&
         sum_.votes(kStop) == 0) {  // by agreement: the sums are the same on all ranks
    sum_.coarser();
    add_units(update, mine, targets);
    reduce(totals);
  }
  totals.stop = sum_.votes(kStop) > 0;
  totals.skipped = sum_.not_finite() > 0;
  totals.loss = totals.skipped ? NAN : sum_.tail(0) / targets;
  return totals;
}

void Trainer::reduce(Totals& totals) {
  const auto begun = std::chrono::steady_clock::now();
  sum_.reduce(context_.communicator);
  totals.reducing_seconds += seconds_since(begun);
  totals.reduction_bytes += sum_.bytes();
}

void Trainer::add_units(const Update& update, const std::vector<int64_t>& mine, double targets) {
  const Randomness randomness{static_cast<uint64_t>(options_.seed), update.number, true};
  bool voted = false;
  const Loader loader(run_.train, packing_for(run_.model, run_.task));
  loader.run(update.units, mine, [&](const Unit& unit, int64_t) {
    if (context_.stop_requested()) {
      sum_.vote(kStop);
      voted = true;
      return false;
    }
    const double loss = run_.model.backward(unit, randomness, targets);
    const int64_t not_finite = sum_.not_finite();
    sum_.add(run_.model.gradient(), {loss});
    if (sum_.not_finite() > not_finite) not_finite_rows_.insert(unit.rows.begin(), unit.rows.end());
    return true;
  });
  if (!voted && context_.stop_requested()) sum_.vote(kStop);
}

void Trainer::step(Totals& totals, double factor) {
  if (totals.skipped) {
    if (++skipped_in_a_row_ >= kSkipsBeforeStop) {
      throw input_error(
          "the loss was not finite in {} updates in a row; in the last, update {}, in {} of the "
          "training file",
          skipped_in_a_row_, done_ + 1, not_finite_rows())
          .as_agreed();
    }
    context_.log.warn(
        "update {}: the loss or a gradient is not finite in {} units; the update is skipped",
        done_ + 1, sum_.not_finite());
    return;
  }
  skipped_in_a_row_ = 0;
  sum_.gradient(gradient_);
  totals.loss += run_.model.add_penalty(gradient_);
  totals.grad_norm = rankwise::norm(gradient_);
  const double clip = options_.max_grad_norm > 0
                          ? std::min(1.0, options_.max_grad_norm / (totals.grad_norm + 1e-6))
                          : 1.0;
  optimizer_.step(run_.model.values(), gradient_, factor, clip);
  run_.model.method()->after_step(done_ + 1, run_.model.values(), gradient_, clip);
  if (context_.on_mixed_processors()) context_.communicator.broadcast(run_.model.values(), 0);
}

// Collective. "rows 3, 8, 9 and 4 more": of the units on all ranks, counted from 1.
std::string Trainer::not_finite_rows() const {
  constexpr size_t kNamed = 20;
  std::set<int64_t> rows;
  const Json mine(not_finite_rows_);
  for (const std::string& text : gather_texts(context_.communicator, mine.dump()))
    for (const Json& row : parse_json(text, "rows of a rank", ErrorKind::kInternal))
      rows.insert(row.get<int64_t>() + 1);
  const std::vector<int64_t> named(rows.begin(),
                                   std::next(rows.begin(), std::min(kNamed, rows.size())));
  const std::string text =
      fmt::format("{} {}", rows.size() == 1 ? "row" : "rows", fmt::join(named, ", "));
  return rows.size() > kNamed ? fmt::format("{} and {} more", text, rows.size() - kNamed) : text;
}

bool Trainer::check_due() const {
  return options_.check_steps > 0 && done_ % options_.check_steps == 0;
}

void Trainer::check_ranks() {
  expect_same_everywhere(context_.communicator, run_.model.values(),
                         fmt::format("update {}: the adapter", done_));
}

double Trainer::epoch_after(const Update& update) const {
  const int64_t in_epoch = update.number % plan_.updates_per_epoch();
  const auto rows = static_cast<double>(run_.train.rows());
  const double done = static_cast<double>(in_epoch * *options_.global_batch_size + rows_of(update));
  return static_cast<double>(update.epoch) + done / rows;
}

bool Trainer::evaluation_due() const {
  if (options_.eval_strategy == "steps")
    return done_ % options_.eval_steps.value_or(options_.logging_steps) == 0;
  return options_.eval_strategy == "epoch" && (ends_epoch() || done_ == total_);
}

bool Trainer::save_due() const {
  if (options_.load_best_model_at_end && improved_) return true;  // so that it can be loaded
  if (options_.save_strategy == "steps") return done_ % options_.save_steps == 0 || finished();
  if (options_.save_strategy == "epoch") return ends_epoch() || finished();
  return options_.save_strategy == "best" && improved_;
}

void Trainer::evaluate_now() {
  const Evaluation evaluation = evaluate(context_, run_.model, *run_.validation, run_.task,
                                         options_.per_device_eval_batch_size);
  evaluation_pending_ = evaluation.stopped;
  if (evaluation.stopped) return;
  improved_ = recorder_.evaluation(done_, recorder_.state().epoch, evaluation.values);
  if (schedule_->needs_evaluation())
    schedule_->evaluated(evaluation.values.at(options_.best_metric()));
  stop_early_ = recorder_.out_of_patience();
  context_.log.info("update {}: {}", done_, text_of(evaluation.values));
}

bool Trainer::test() {
  const Evaluation evaluation =
      evaluate(context_, run_.model, *run_.test, run_.task, options_.per_device_eval_batch_size);
  if (evaluation.stopped) return false;
  std::map<std::string, double> values;
  for (const auto& [name, value] : evaluation.values) values["test" + name.substr(4)] = value;
  recorder_.test(values);
  context_.log.info("test: {}", text_of(values));
  return true;
}

}  // namespace rankwise
