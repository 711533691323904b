// inspect: which modules an adapter will touch, parameter counts, memory and communication; needs
// only config.json.
#include "jobs/method_options.h"
#include "jobs/overview.h"
#include "jobs/scaling/cluster.h"
#include "jobs/setup.h"

namespace rankwise {
namespace {

class Inspect : public Job {
 public:
  void declare(Fields& fields) override {
    model_.declare_base(fields);
    model_.declare_adapter(fields);
    fields.add("num_labels", num_labels_, "classes of the head")
        .at_least(1)
        .default_text("the config's");
    method_.declare(fields);
    fields.group("plan");
    fields.add("per_device_train_batch_size", unit_rows_, "rows of a unit").at_least(1);
    fields.add("max_length", length_, "tokens of a row").at_least(1);
    cluster_.declare(fields);
    fields.add("json", json_, "for machines");
  }
  Outcome run(JobContext& context, Fields& fields) override;

 private:
  std::vector<ClusterPrediction> predictions(const Footprint& size) const;
  void print(JobContext& context, const AdaptedModel& model) const;
  Json as_json(const AdaptedModel& model) const;

  ModelOptions model_;
  MethodOptions method_;
  std::optional<int64_t> num_labels_;
  ClusterOptions cluster_;
  int64_t unit_rows_ = 8, length_ = 128;
  bool json_ = false;
};

Outcome Inspect::run(JobContext& context, Fields& fields) {
  if (model_.model_name_or_path.empty()) throw usage_error("--model_name_or_path must be given");
  model_.choose_task();
  const std::filesystem::path folder = find_model(model_.model_name_or_path, context.hub_cache);
  DataOptions data;
  data.num_labels = num_labels_;
  Setup setup{folder,
              read_model_config(folder),
              task_type(model_.task_type),
              precision(model_.torch_dtype, model_.bf16, model_.base_dtype),
              {},
              nullptr,
              nullptr};
  setup.task = make_task(setup.task_type, data, setup.config);
  if (!model_.adapter_name_or_path.empty())
    setup.adapter = read_adapter_folder(model_.adapter_name_or_path.front());
  const BuildOptions build{setup.task_type, label_count(setup, data), model_.model_dropout};
  const AdaptedModel model(shapes_of_model(folder, build, setup.precision),
                           method_.take(setup, fields), setup.task_type,
                           {.allow_missing_targets = model_.allow_missing_targets});
  if (json_) {
    context.out << pretty(as_json(model)) << std::endl;
  } else {
    print(context, model);
  }
  return Outcome::kDone;
}

// Empty where none are asked for.
std::vector<ClusterPrediction> Inspect::predictions(const Footprint& size) const {
  if (!cluster_.nodes) return {};
  return predict_cluster(cluster_, size, unit_rows_, unit_rows_ * length_);
}

void Inspect::print(JobContext& context, const AdaptedModel& model) const {
  for (const Method::Target& target : model.targets())
    context.out << fmt::format("{:<60} {:>12}\n", target.path, target.parameters);
  const Footprint size = footprint(model, unit_rows_ * length_);
  context.out << model.counts().text() << "\n"
              << fmt::format(
                     "base: {} a node\nadapter and optimizer: {} a rank\nactivations of {} × {} "
                     "tokens: about {} a rank\n"
                     "one reduction an update: {}\n",
                     readable_bytes(size.base_bytes_per_node),
                     readable_bytes(size.adapter_bytes_per_rank), unit_rows_, length_,
                     readable_bytes(size.activation_bytes_per_rank),
                     readable_bytes(size.reduction_bytes_per_update));
  if (const auto predicted = predictions(size); !predicted.empty())
    context.out << "\n" << cluster_table(predicted);
  context.out << std::flush;
}

Json Inspect::as_json(const AdaptedModel& model) const {
  Json targets = Json::array();
  for (const Method::Target& target : model.targets())
    targets.push_back({{"module", target.path}, {"parameters", target.parameters}});
  const Footprint size = footprint(model, unit_rows_ * length_);
  const ParameterCounts counts = model.counts();
  Json json = {{"targets", targets},
               {"trainable_params", counts.trainable},
               {"all_params", counts.all},
               {"base_bytes_per_node", size.base_bytes_per_node},
               {"adapter_bytes_per_rank", size.adapter_bytes_per_rank},
               {"activation_bytes_per_rank", size.activation_bytes_per_rank},
               {"reduction_bytes_per_update", size.reduction_bytes_per_update}};
  if (cluster_.nodes) json["cluster"] = cluster_json(predictions(size));
  return json;
}

}  // namespace

std::unique_ptr<Job> make_inspect() { return std::make_unique<Inspect>(); }

}  // namespace rankwise
