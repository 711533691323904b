// Reads folders on every rank and agrees after each step; weights are for peft/model/base_model.
#include "jobs/setup.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "data/chat_template.h"
#include "data/gather_questions.h"
#include "data/prepare.h"
#include "distributed/comm/agree.h"
#include "distributed/core/hash.h"
#include "jobs/token_files.h"

namespace rankwise {
namespace {

int64_t longest(const Setup& setup, const DataOptions& data) {
  constexpr int64_t kNoLimit = 512;
  const std::optional<int64_t> limit = setup.positions;
  for (const auto& [name, length] :
       {std::pair("max_length", data.max_length), {"block_size", data.block_size}}) {
    if (!length) continue;
    if (limit && *length > *limit)
      throw usage_error("--{} {}: the model has positions for {} tokens", name, *length, *limit);
    return *length;
  }
  int64_t length = limit.value_or(kNoLimit);
  if (setup.tokenizer && setup.tokenizer->model_max_length())
    length = std::min(length, *setup.tokenizer->model_max_length());
  return length;
}

// Whether the adapter, or a base that is used as it is, has one output that is a number.
bool made_for_regression(const Setup& setup, const DataOptions& data) {
  if (setup.adapter && setup.adapter->labels) return setup.adapter->labels->empty();
  const Json names = setup.config.json().value("id2label", Json());
  return data.train_file.empty() && names.is_object() && names.size() == 1;
}

// Collective. Each host may have files of its own by these names; `mine` tells contents apart.
void expect_same_files(Communicator& communicator, const std::string& what, uint64_t mine) {
  const World& world = communicator.world();
  const std::vector<std::string> all = gather_texts(communicator, std::to_string(mine));
  for (size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    throw model_error("the ranks read different files: {} of rank {} on host {} is not rank 0's",
                      what, rank, world.hosts[rank])
        .as_agreed();
  }
}

void expect_same_folders(Communicator& communicator, const Setup& setup) {
  const std::string model = setup.model_folder.string();
  expect_same_files(communicator, model + "/config.json", hash_of_text(setup.config.json().dump()));
  expect_same_files(communicator, "the tokenizer in " + model,
                    hash_of_text(setup.tokenizer ? setup.tokenizer->identity() : ""));
  if (setup.task_type == TaskType::kCausalLm)
    expect_same_files(communicator, "the chat template in " + model,
                      hash_of_text(chat_template_text(setup.model_folder)));
  if (setup.adapter) expect_same_adapter(communicator, *setup.adapter);
}

// What is wrong with a setting is wrong with the file that it comes from.
Error in_adapter_config(const AdapterFolder& folder, const Error& error) {
  return Error(ErrorKind::kModel,
               fmt::format("{}/adapter_config.json: {}", folder.folder.string(), error.what()),
               error.hint());
}

// The bounds of the options of the same names hold; a choice may be one that only peft has.
void check_bounds(const Json& config, Method& scratch) {
  Fields fields;
  scratch.declare(fields);
  for (Field& field : fields.all()) {
    const Json value = config.value(field.name(), Json());
    if (!field.choices().empty()) continue;
    if (value.is_number()) field.set(value.dump());
    if (value.is_string()) field.set(value.get<std::string>());
  }
}

[[noreturn]] void refuse_mixed_hosts(const JobContext& context) {
  const std::vector<std::string>& kinds = context.processors;
  const auto unlike = std::adjacent_find(kinds.begin(), kinds.end(), std::not_equal_to<>());
  const auto rank = static_cast<size_t>(unlike - kinds.begin());
  const std::vector<std::string>& hosts = context.communicator.world().hosts;
  throw Error(
      ErrorKind::kUsage,
      fmt::format("rank {} on host {} computes on {}, rank {} on host {} on {}: bits would "
                  "depend on who computes what",
                  rank, hosts[rank], kinds[rank], rank + 1, hosts[rank + 1], kinds[rank + 1]),
      "--allow_mixed_hosts accepts that: rank 0 updates for all")
      .as_agreed();
}

}  // namespace

void expect_same_adapter(Communicator& communicator, const AdapterFolder& folder) {
  const std::string name = folder.folder.string();
  expect_same_files(communicator, name + "/adapter_config.json",
                    hash_of_text(folder.config.dump()));
  expect_same_files(communicator, name + "/labels.json",
                    hash_of_text(folder.labels ? Json(*folder.labels).dump() : ""));
}

Setup set_up(JobContext& context, const MachineOptions& machine, ModelOptions& model,
             const DataOptions& data, const std::function<void()>& check) {
  context.communicator.limit_waits(machine.hang_timeout);
  at::set_num_threads(static_cast<int>(machine.threads.value_or(context.default_threads)));
  if (context.on_mixed_processors() && !machine.allow_mixed_hosts) refuse_mixed_hosts(context);
  together(context.communicator, "checking the options", [&] {
    model.choose_task();
    check();
  });
  std::optional<Setup> setup;
  together(context.communicator, "reading the model folder", [&] {
    if (model.model_name_or_path.empty()) throw usage_error("--model_name_or_path must be given");
    const std::filesystem::path folder = find_model(model.model_name_or_path, context.hub_cache);
    setup.emplace(Setup{folder,
                        read_model_config(folder),
                        task_type(model.task_type),
                        precision(model.torch_dtype, model.bf16, model.base_dtype),
                        {},
                        nullptr,
                        nullptr});
    if (model.adapter_name_or_path.size() > 1)
      throw usage_error("--adapter_name_or_path takes one folder here");
    if (!model.adapter_name_or_path.empty())
      setup->adapter = read_adapter_folder(model.adapter_name_or_path.front());
    setup->tokenizer = load_tokenizer_if_usable(folder);
    DataOptions known = data;
    if (!known.num_labels && made_for_regression(*setup, data)) known.num_labels = 1;
    setup->task = make_task(setup->task_type, known, setup->config);
    setup->vocabulary = setup->config.integer("vocab_size");
    setup->positions = family_of(setup->config).position_limit(setup->config);
    setup->max_length = longest(*setup, data);
    if (setup->adapter && setup->adapter->labels) setup->task->fix_labels(*setup->adapter->labels);
  });
  expect_same_folders(context.communicator, *setup);
  return std::move(*setup);
}

int64_t token_types(const Setup& setup) { return setup.config.integer("type_vocab_size", 1); }

RowLimits row_limits(const JobContext& context, const Setup& setup,
                     const std::filesystem::path& file, bool keep_questions) {
  const auto each_row = [&context, file] {
    context.communicator.progressed();
    if (context.stop_requested())
      throw Error(
          ErrorKind::kStopped,
          fmt::format("stopped while {} was tokenised; start again to go on", file.string()));
  };
  return {setup.tokenizer.get(), setup.max_length, setup.vocabulary, setup.model_folder,
          token_types(setup),    keep_questions,   each_row};
}

namespace {

TokenStore open_store(JobContext& context, Setup& setup, const DataOptions& data,
                      const std::string& file, bool judged) {
  TokenStore store = open_token_file(context.communicator, file, expected_settings(setup, data));
  together(context.communicator, "labels of " + file, [&] {
    const std::vector<std::string>& known = setup.task->label_names();
    if (known.empty() && setup.task->counts_labels()) setup.task->fix_labels(store.label_names);
    if (known != store.label_names)
      throw input_error("{}: was prepared with the labels {}, the run has {}", file,
                        Json(store.label_names).dump(), Json(known).dump());
  });
  if (!judged || setup.task_type != TaskType::kQuestionAns) return store;
  if (store.file->before_questions())
    context.log.warn(
        "{}: an older store without its questions' texts: answers are judged by token "
        "spans; by their texts once it is prepared again",
        file);
  else
    store.questions = read_questions(context.communicator, store);
  return store;
}

}  // namespace

TokenStore prepare_file(JobContext& context, Setup& setup, const DataOptions& data,
                        const std::string& file, bool judged) {
  context.communicator.enter_phase("tokenising " + file);
  TokenStore store = is_token_file(file) ? open_store(context, setup, data, file, judged)
                                         : prepare(context.communicator, *setup.task, file,
                                                   row_limits(context, setup, file, judged));
  context.log.info("{}: {} rows, {} tokens, {} rows cut to {} tokens", file, store.rows(),
                   store.tokens(), store.truncated_rows, setup.max_length);
  return store;
}

int64_t label_count(const Setup& setup, const DataOptions& data) {
  if (setup.task->regression()) return 1;
  if (data.num_labels) return *data.num_labels;
  if (!setup.task->label_names().empty())
    return std::max<int64_t>(2, static_cast<int64_t>(setup.task->label_names().size()));
  const Json& config = setup.config.json();
  if (config.contains("id2label") && config["id2label"].is_object())
    return static_cast<int64_t>(config["id2label"].size());
  return setup.config.integer("num_labels", 2);
}

std::unique_ptr<Method> method_of(const std::optional<AdapterFolder>& folder) {
  if (!folder) return nullptr;
  const auto type = folder->config["peft_type"].get<std::string>();
  try {
    check_bounds(folder->config, *make_method(type));
    std::unique_ptr<Method> method = make_method(type);
    method->read_config(folder->config);
    return method;
  } catch (const Error& error) {
    throw in_adapter_config(*folder, error);
  }
}

namespace {

BuildOptions build_options(const Setup& setup, const ModelOptions& options,
                           const DataOptions& data) {
  return {setup.task_type, label_count(setup, data), options.model_dropout};
}

// Of the text that a method wants to begin with.
std::vector<int64_t> initial_ids(const Setup& setup, const Method* method) {
  const std::string text = method ? method->initial_text() : "";
  if (text.empty()) return {};
  if (!setup.tokenizer)
    throw model_error("{}: a prompt of text, but the folder has no tokenizer",
                      setup.model_folder.string());
  const std::vector<int32_t> ids =
      setup.tokenizer->encode(text, std::nullopt, setup.max_length).ids;
  return {ids.begin(), ids.end()};
}

}  // namespace

void check_room(const Setup& setup, const RowModels& models, const TokenStore& store,
                const std::string& file) {
  if (!setup.positions) return;
  for (int64_t row = 0; row < store.rows(); ++row) {
    const int64_t before = models.of(row).virtual_tokens();
    if (before == 0 || store.length(row) + before <= *setup.positions) continue;
    throw input_error(
        "{}: row {} has {} tokens; with {} virtual ones the model has positions for {} in all: "
        "--max_length {} cuts it",
        file, row + 1, store.length(row), before, *setup.positions, *setup.positions - before)
        .as_agreed();  // the store is the same on all ranks
  }
}

std::shared_ptr<const BaseWeights> load_weights(JobContext& context, const Setup& setup,
                                                const ModelOptions& options,
                                                const DataOptions& data) {
  return load_weights(context.communicator, setup.model_folder, build_options(setup, options, data),
                      setup.precision);
}

namespace {

struct Part {
  std::function<std::unique_ptr<Method>()> make;
  const AdapterFolder* folder;  // null: it begins
};

void attach(AdaptedModel& model, std::unique_ptr<Method> method, const Setup& setup,
            const ModelOptions& options, const AdapterFolder* folder, uint64_t seed) {
  const AttachOptions attach{seed, options.allow_missing_targets || folder,
                             initial_ids(setup, method.get())};
  try {
    model.stack(std::move(method), attach);
  } catch (const Error& error) {
    if (!folder || error.kind() != ErrorKind::kUsage) throw;
    throw in_adapter_config(*folder, error);
  }
  if (folder) model.load(*folder);
}

AdaptedModel build(JobContext& context, const Setup& setup, const ModelOptions& options,
                   const DataOptions& data, const std::vector<Part>& parts, uint64_t seed,
                   std::shared_ptr<const BaseWeights> weights) {
  std::vector<std::unique_ptr<Method>> methods;
  together(context.communicator, "choosing the method", [&] {
    for (const Part& part : parts) methods.push_back(part.make());
  });
  if (!weights) weights = load_weights(context, setup, options, data);
  AdaptedModel model(build_base(std::move(weights), build_options(setup, options, data), seed),
                     nullptr, setup.task_type, {});
  together(context.communicator, "attaching the adapter", [&] {
    for (size_t i = 0; i < parts.size(); ++i) {
      if (methods[i]) attach(model, std::move(methods[i]), setup, options, parts[i].folder, seed);
    }
    model.move_to(context.device);
    model.when_progressed([&ranks = context.communicator] { ranks.progressed(); });
  });
  expect_same_files(context.communicator, "the header of weights in " + setup.model_folder.string(),
                    hash_of_text(model.base().identity));
  for (const Part& part : parts) {
    if (!part.folder) continue;
    Hash hash;
    hash.add(model.values().const_data_ptr(), model.values().nbytes());
    expect_same_files(context.communicator,
                      part.folder->folder.string() + "/adapter_model.safetensors", hash.value());
  }
  return model;
}

}  // namespace

AdaptedModel build_model(JobContext& context, const Setup& setup, const ModelOptions& options,
                         const DataOptions& data,
                         const std::function<std::unique_ptr<Method>()>& make_method, uint64_t seed,
                         std::shared_ptr<const BaseWeights> weights) {
  const AdapterFolder* folder = setup.adapter ? &*setup.adapter : nullptr;
  return build(context, setup, options, data, {{make_method, folder}}, seed, std::move(weights));
}

AdaptedModel build_model(JobContext& context, const Setup& setup, const ModelOptions& options,
                         const DataOptions& data, const std::vector<const AdapterFolder*>& folders,
                         std::shared_ptr<const BaseWeights> weights) {
  std::vector<Part> parts;
  for (const AdapterFolder* folder : folders)
    parts.push_back({[folder] { return method_of(*folder); }, folder});
  return build(context, setup, options, data, parts, 42, std::move(weights));
}

}  // namespace rankwise
