// finetune: trains an adapter, evaluates and checkpoints on the way, saves; goes on where an
// earlier start stopped.
#include "jobs/finetune.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <unordered_set>

#include "distributed/comm/agree.h"
#include "distributed/core/ini.h"
#include "jobs/overview.h"
#include "jobs/training/trainer.h"

namespace rankwise {
namespace {

// Every rank gets the state that rank 0 read.
std::optional<State> broadcast_state(Communicator& communicator, std::optional<State> state) {
  Json outline;
  if (state) {
    outline["attributes"] = state->attributes;
    for (const auto& [name, tensor] : state->tensors)
      outline["tensors"][name] = {{"shape", tensor.sizes().vec()},
                                  {"type", static_cast<int>(tensor.scalar_type())}};
  }
  const Json known =
      parse_json(broadcast_text(communicator, outline.dump()), "checkpoint", ErrorKind::kModel);
  if (known.is_null()) return std::nullopt;
  if (!state) {
    state.emplace();
    state->attributes = known["attributes"].get<std::map<std::string, std::string>>();
    for (const auto& [name, entry] : known["tensors"].items()) {
      state->tensors[name] = at::empty(
          entry["shape"].get<std::vector<int64_t>>(),
          at::TensorOptions().dtype(static_cast<at::ScalarType>(entry["type"].get<int>())));
    }
  }
  for (auto& [name, tensor] : state->tensors) communicator.broadcast(tensor, 0);
  return state;
}

// The first setting that matters and differs, named with both values.
void compare_settings(const Json& stored, const std::map<std::string, std::string>& now) {
  for (const auto& [name, value] : now) {
    if (name == "threads" || name == "processor" || !stored.contains(name) || stored[name] == value)
      continue;
    throw Error(ErrorKind::kUsage,
                fmt::format("the run in this folder was started with {} = '{}', now it is '{}'",
                            name, stored[name].get<std::string>(), value),
                "--overwrite_output_dir starts anew");
  }
}

std::optional<State> newest_state(Log& log, const CheckpointStore& store) {
  const CheckpointStore::Found found = store.newest_whole();
  for (const std::string& text : found.passed_over) log.warn("{}", text);
  if (!found.update) return std::nullopt;
  return read_hdf5(store.folder(*found.update) / "state.h5");
}

// A run that begins before what its folder holds would be taken for that later by the next start.
void refuse_later_checkpoints(const CheckpointStore& store, const std::string& from,
                              const std::optional<State>& state) {
  const std::vector<int64_t> updates = store.updates();  // newest first
  const int64_t begins_at = state ? updates_done(*state) : 0;
  if (updates.empty() || updates.front() <= begins_at) return;
  throw Error(ErrorKind::kUsage,
              fmt::format("--resume_from_checkpoint {} begins at update {}, but {} is there", from,
                          begins_at, store.folder(updates.front()).string()),
              "--overwrite_output_dir removes the checkpoints of the folder");
}

}  // namespace

void Finetune::declare_model_and_data(Fields& fields) {
  model_.declare_base(fields);
  model_.declare_adapter(fields);
  fields.add("model_dropout", model_.model_dropout, "in place of the config's dropouts")
      .at_least(0)
      .less_than(1)
      .default_text("the config's")
      .changes_result();
  data_.declare(fields);
}

void Finetune::declare_shared(Fields& fields) {
  declare_model_and_data(fields);
  machine_.declare(fields);
}

void Finetune::declare(Fields& fields) {
  declare_model_and_data(fields);
  method_.declare(fields);
  training_.declare(fields);
  machine_.declare(fields);
  fields
      .add("check_steps", training_.check_steps,
           "updates between comparisons of the adapter over ranks; 0: never")
      .at_least(0);
}

void Finetune::check() const {
  training_.check(!data_.validation_file.empty());
  if (data_.train_file.empty()) throw usage_error("--train_file must be given");
  if (task_type(model_.task_type) == TaskType::kFeatureExtraction)
    throw usage_error("--task_type FEATURE_EXTRACTION: rows have no labels, nothing can be learnt");
}

Setup Finetune::set_up(JobContext& context) {
  return rankwise::set_up(context, machine_, model_, data_, [&] { check(); });
}

std::optional<State> Finetune::checkpoint(JobContext& context, CheckpointStore* store) {
  std::optional<State> state;
  together(context.communicator, "looking for a checkpoint", [&] {
    if (!store) return;
    const std::string& from = training_.resume_from_checkpoint;
    const bool search = from == "auto" || from == "true";
    if (!search && from != "false") state = read_hdf5(std::filesystem::path(from) / "state.h5");
    if (training_.overwrite_output_dir) {
      for (const int64_t update : store->updates())
        std::filesystem::remove_all(store->folder(update));
    } else if (search) {
      state = newest_state(context.log, *store);
    } else {
      refuse_later_checkpoints(*store, from, state);
    }
  });
  return broadcast_state(context.communicator, std::move(state));
}

// What depends on the number of ranks or on an earlier start: global batch and threads.
void Finetune::resolve(JobContext& context, const std::optional<Json>& stored) {
  const auto kept = [&](const char* name) -> std::optional<int64_t> {
    if (!stored || !stored->contains(name)) return std::nullopt;
    return std::stoll((*stored)[name].get<std::string>());
  };
  const std::string processor = context.processors.front(),
                    processor_before = stored ? stored->value("processor", processor) : processor;
  if (processor_before != processor)
    context.log.warn("bits will differ: the run was started on {}, now it is on {}",
                     processor_before, processor);
  if (!training_.global_batch_size) {
    training_.global_batch_size =
        kept("global_batch_size")
            .value_or(training_.per_device_train_batch_size *
                      training_.gradient_accumulation_steps * context.communicator.world().ranks);
  }
  const std::optional<int64_t> threads_before = kept("threads");
  if (!machine_.threads) machine_.threads = threads_before.value_or(context.default_threads);
  if (threads_before && *threads_before != *machine_.threads) {
    context.log.warn("bits will differ: the run was started with {} threads a rank, now it has {}",
                     *threads_before, *machine_.threads);
  }
  at::set_num_threads(static_cast<int>(*machine_.threads));
  const int64_t units = *training_.global_batch_size / training_.per_device_train_batch_size;
  const int64_t idle = context.communicator.world().ranks - units;
  if (idle > 0)
    context.log.warn("an update has {} units: {} of {} ranks will be idle", units, idle,
                     context.communicator.world().ranks);
}

std::map<std::string, std::string> Finetune::settings(const JobContext& context,
                                                      const Fields& fields,
                                                      const AdaptedModel& model,
                                                      const TokenStore& train) const {
  std::map<std::string, std::string> settings;
  for (const Field& field : fields.all()) {
    if (field.must_match_on_resume()) settings[field.name()] = field.text();
  }
  settings["global_batch_size"] = std::to_string(*training_.global_batch_size);
  settings["threads"] = std::to_string(*machine_.threads);
  settings["device kind"] = context.device_kind;
  settings["processor"] = context.processors.front();
  settings["base model"] = model.base().identity;
  settings["training rows"] = train.identity;
  return settings;
}

Outcome Finetune::run(JobContext& context, Fields& fields) {
  Setup setup = set_up(context);
  Start start = open(context);
  const Loaded loaded = load(context, setup);
  return train(context, fields, setup, loaded, start);
}

Finetune::Start Finetune::open(JobContext& context) {
  if (training_.time_limit) {
    context.deadline =
        context.started + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                              std::chrono::duration<double>(*training_.time_limit * 60));
  }
  Start start;
  together(context.communicator, "opening the output folder", [&] {
    if (context.communicator.world().rank == 0)
      start.store = std::make_unique<CheckpointStore>(training_.output_dir);
  });
  start.state = checkpoint(context, start.store.get());
  if (start.state)
    start.settings =
        parse_json(start.state->attributes.at("settings"), "checkpoint", ErrorKind::kModel);
  resolve(context, start.settings);
  return start;
}

Finetune::Loaded Finetune::load(JobContext& context, Setup& setup, bool evaluates) const {
  Loaded loaded{prepare_file(context, setup, data_, data_.train_file), {}, {}, nullptr};
  if (!data_.validation_file.empty() && (evaluates || training_.eval_strategy != "no"))
    loaded.validation = prepare_file(context, setup, data_, data_.validation_file, true);
  if (!data_.test_file.empty())
    loaded.test = prepare_file(context, setup, data_, data_.test_file, true);
  loaded.weights = load_weights(context, setup, model_, data_);
  return loaded;
}

Outcome Finetune::train(JobContext& context, Fields& fields, const Setup& setup,
                        const Loaded& loaded, Start& start) {
  Communicator& communicator = context.communicator;
  CheckpointStore* const mine = start.store.get();
  const std::optional<State>& state = start.state;
  const TokenStore& train = loaded.train;
  AdaptedModel model = build_model(
      context, setup, model_, data_, [&] { return method_.take(setup, fields); },
      static_cast<uint64_t>(training_.seed), loaded.weights);
  check_room(setup, model, train, data_.train_file);
  if (loaded.validation) check_room(setup, model, *loaded.validation, data_.validation_file);
  if (loaded.test) check_room(setup, model, *loaded.test, data_.test_file);
  model.use_gradient_checkpointing(training_.gradient_checkpointing);
  const std::map<std::string, std::string> settings = this->settings(context, fields, model, train);

  std::optional<Trainer> trainer;
  together(communicator, "setting up the training", [&] {
    if (start.settings) compare_settings(*start.settings, settings);
    const bool evaluates = loaded.validation && training_.eval_strategy != "no";
    trainer.emplace(
        context, training_,
        Run{model, *setup.task, train, evaluates ? &*loaded.validation : nullptr,
            loaded.test ? &*loaded.test : nullptr, mine, model_.model_name_or_path, settings});
    if (state) trainer->restore(*state);
  });
  if (state && trainer->finished() && trainer->results_are_written()) {
    context.log.info("{}: the run is finished ({} updates)", training_.output_dir,
                     trainer->updates_done());
    return Outcome::kDone;
  }
  introduce(context.log, model,
            train.tokens() / train.rows() * training_.per_device_train_batch_size);
  if (state)
    context.log.info("going on after update {} of {}", trainer->updates_done(),
                     trainer->updates_in_all());
  together(communicator, "writing run.ini", [&] {
    if (mine)
      write_file_durably(std::filesystem::path(training_.output_dir) / "run.ini",
                         run_ini("finetune", fields));
  });
  const Outcome outcome = trainer->run();
  if (outcome == Outcome::kDone) context.log.info("saved in {}", training_.output_dir);
  return outcome;
}

OwnTraining own_training(const Fields& given, const std::map<std::string, std::string>& settings) {
  OwnTraining own;
  own.finetune->declare(own.fields);
  for (const Field& field : given.all()) {
    if (Field* same = field.given() ? own.fields.find(field.name()) : nullptr)
      same->set(field.text());
  }
  own.fields.at("task_type").set(given.find("task_type")->text());
  for (const auto& [option, value] : settings) own.fields.at(option).set(value);
  return own;
}

std::unique_ptr<Job> make_finetune() { return std::make_unique<Finetune>(); }

}  // namespace rankwise
