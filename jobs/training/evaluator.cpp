// Units are dealt to ranks; losses, counts and predictions are summed as integers.
#include "jobs/training/evaluator.h"

#include <ATen/ops/zeros.h>

#include <cmath>
#include <optional>

#include "data/tasks/answers.h"
#include "distributed/comm/agree.h"
#include "distributed/gradients/order_free_sum.h"

namespace rankwise {
namespace {

enum Votes { kStop, kTargets, kFirstCount };

std::map<std::string, double> values_of_store(const TokenStore& store, double seconds) {
  return {{"eval_samples", static_cast<double>(store.rows())},
          {"eval_tokens", static_cast<double>(store.tokens())},
          {"eval_runtime", seconds},
          {"eval_samples_per_second", static_cast<double>(store.rows()) / seconds}};
}

void add_metrics(const Metrics& metrics, const std::vector<int64_t>& counts, double loss,
                 std::map<std::string, double>& values) {
  values["eval_loss"] = loss;
  for (const auto& [name, value] : metrics.values(counts, loss)) values["eval_" + name] = value;
}

// Sums of one evaluation on this rank, and what comes of them.
class Sums {
 public:
  Sums(const TokenStore& store, const Metrics& metrics, int64_t units)
      : store_(store), metrics_(metrics), sum_(0, 1, kFirstCount + metrics.size()) {
    sum_.start(units);
  }
  void stop() { sum_.vote(kStop); }
  void add(const AdaptedModel::Scores& scores, const Unit& unit) {
    sum_.add(no_gradient_, {scores.loss_sum});
    sum_.vote(kTargets, scores.targets);
    if (unit.targets.defined() && !store_.questions) add(metrics_.counts(scores.logits, unit));
  }
  void add(const std::vector<int64_t>& counts) {
    for (size_t i = 0; i < counts.size(); ++i)
      sum_.vote(kFirstCount + static_cast<int64_t>(i), counts[i]);
  }
  void reduce(Communicator& communicator) { sum_.reduce(communicator); }
  bool stopped() const { return sum_.votes(kStop) > 0; }

  std::map<std::string, double> values(double seconds) const {
    std::map<std::string, double> values = values_of_store(store_, seconds);
    if (!store_.labelled()) return values;
    std::vector<int64_t> counts(static_cast<size_t>(metrics_.size()));
    for (size_t i = 0; i < counts.size(); ++i)
      counts[i] = sum_.votes(kFirstCount + static_cast<int64_t>(i));
    const double loss =
        sum_.not_finite() ? NAN : sum_.tail(0) / static_cast<double>(sum_.votes(kTargets));
    add_metrics(metrics_, counts, loss, values);
    return values;
  }

 private:
  const TokenStore& store_;
  const Metrics& metrics_;
  OrderFreeSum sum_;
  at::Tensor no_gradient_ = at::zeros({0});
};

using Lines = std::map<int64_t, std::string>;  // by row

// Collective. The lines of all ranks, one after the other.
std::string in_order(Communicator& communicator, const Lines& mine) {
  Lines all;
  for (const std::string& text : gather_texts(communicator, Json(mine).dump())) {
    for (const Json& entry : parse_json(text, "predictions", ErrorKind::kInternal))
      all.emplace(entry[0].get<int64_t>(), entry[1].get<std::string>());
  }
  std::string text;
  for (const auto& [row, line] : all) text += line + "\n";
  return text;
}

}  // namespace

Packing packing_for(const AdaptedModel& model, const Task& task) {
  Packing packing = task.packing();
  packing.virtual_tokens = model.prompt_tokens();
  return packing;
}

Evaluation evaluate(JobContext& context, const RowModels& models, const TokenStore& store,
                    const Task& task, int64_t unit_rows, std::string* predictions) {
  const auto started = std::chrono::steady_clock::now();
  Communicator& communicator = context.communicator;
  communicator.enter_phase("evaluation");
  const std::vector<UnitRows> units =
      Plan(store.lengths(), unit_rows, unit_rows, 0).in_order(unit_rows, models.of_rows);
  const std::vector<int64_t> mine =
      Plan::dealt_to(units, communicator.world().rank, communicator.world().ranks);
  const std::unique_ptr<Metrics> metrics = task.metrics();
  Sums sums(store, *metrics, static_cast<int64_t>(units.size()));
  std::optional<Answers> answers;
  if (store.questions) answers.emplace(*store.questions);
  Lines lines;
  const auto run_unit = [&](const AdaptedModel& model, const Unit& unit) {
    if (context.stop_requested()) {
      sums.stop();
      return false;
    }
    const AdaptedModel::Scores scores = model.evaluate(unit);
    sums.add(scores, unit);
    if (answers) {
      answers->add(scores.logits, unit);
    } else if (predictions) {
      const at::Tensor& said = scores.losses.defined() ? scores.losses : scores.logits;
      const std::vector<Json> rows = task.predictions(said, unit);
      for (size_t i = 0; i < rows.size(); ++i) lines[unit.rows[i]] = rows[i].dump();
    }
    return true;
  };
  for (const AdaptedModel* model : models.models) {
    std::vector<int64_t> its;  // a model's units share their packing
    for (const int64_t number : mine) {
      const UnitRows& unit = units[static_cast<size_t>(number)];
      if (&models.of(unit.rows.front()) == model) its.push_back(number);
    }
    Loader(store, packing_for(*model, task)).run(units, its, [&](const Unit& unit, int64_t) {
      return run_unit(*model, unit);
    });
  }
  if (answers) {
    answers->gather(communicator);
    if (store.labelled()) sums.add(answers->counts());
    for (const auto& [row, text] : answers->texts()) lines[row] = Json{{"prediction", text}}.dump();
  }
  sums.reduce(communicator);
  if (predictions) *predictions = in_order(communicator, lines);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return {sums.values(seconds), sums.stopped()};
}

std::vector<std::string> value_names(const Metrics& metrics) {
  std::map<std::string, double> values;
  add_metrics(metrics, std::vector<int64_t>(static_cast<size_t>(metrics.size())), 0, values);
  std::vector<std::string> names;
  for (const auto& [name, value] : values) names.push_back(name);
  return names;
}

}  // namespace rankwise
