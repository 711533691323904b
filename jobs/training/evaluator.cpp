// Units are dealt to ranks; losses, counts and predictions are summed as integers.
#include "jobs/training/evaluator.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "distributed/gradients/order_free_sum.h"

namespace rankwise {
namespace {

enum Votes { kStop, kTargets, kFirstCount };

std::map<std::string, double> named(const OrderFreeSum& sum, const Metrics& metrics,
                                    const TokenStore& store, double seconds) {
  std::vector<int64_t> counts(static_cast<size_t>(metrics.size()));
  for (size_t i = 0; i < counts.size(); ++i)
    counts[i] = sum.votes(kFirstCount + static_cast<int64_t>(i));
  const double loss =
      sum.not_finite() ? NAN : sum.tail(0) / static_cast<double>(sum.votes(kTargets));
  std::map<std::string, double> values = {
      {"eval_loss", loss},
      {"eval_samples", static_cast<double>(store.rows())},
      {"eval_tokens", static_cast<double>(store.tokens())},
      {"eval_runtime", seconds},
      {"eval_samples_per_second", static_cast<double>(store.rows()) / seconds}};
  for (const auto& [name, value] : metrics.values(counts, loss)) values["eval_" + name] = value;
  return values;
}

}  // namespace

Evaluation evaluate(JobContext& context, const AdaptedModel& model, const TokenStore& store,
                    const Task& task, int64_t unit_rows, std::vector<int64_t>* predictions) {
  const auto started = std::chrono::steady_clock::now();
  Communicator& communicator = context.communicator;
  communicator.enter_phase("evaluation");
  const std::vector<UnitRows> units =
      Plan(store.lengths(), unit_rows, unit_rows, 0).in_order(unit_rows);
  const std::vector<int64_t> mine =
      Plan::dealt_to(units, communicator.world().rank, communicator.world().ranks);
  const std::unique_ptr<Metrics> metrics = task.metrics();
  OrderFreeSum sum(0, 1, kFirstCount + metrics->size());
  sum.start(static_cast<int64_t>(units.size()));
  at::Tensor classes =
      at::zeros({predictions ? store.rows() : 0}, at::TensorOptions().dtype(at::kLong));
  const at::Tensor no_gradient = at::zeros({0});
  Loader(store, task.packing()).run(units, mine, [&](const Unit& unit, int64_t) {
    if (context.stop.load()) {
      sum.vote(kStop);
      return false;
    }
    const AdaptedModel::Scores scores = model.evaluate(unit);
    sum.add(no_gradient, {scores.loss_sum});
    sum.vote(kTargets, scores.targets);
    const std::vector<int64_t> counts = metrics->counts(scores.logits, unit);
    for (size_t i = 0; i < counts.size(); ++i)
      sum.vote(kFirstCount + static_cast<int64_t>(i), counts[i]);
    if (predictions) {
      const at::Tensor best = at::argmax(scores.logits, 1);
      for (size_t i = 0; i < unit.rows.size(); ++i)
        classes[unit.rows[i]] = best[static_cast<int64_t>(i)];
    }
    return true;
  });
  sum.reduce(communicator);
  if (predictions) {
    communicator.sum(classes);
    predictions->assign(classes.const_data_ptr<int64_t>(),
                        classes.const_data_ptr<int64_t>() + classes.numel());
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return {named(sum, *metrics, store, seconds), sum.votes(kStop) > 0};
}

}  // namespace rankwise
