// Reads folders on every rank and agrees after each step; weights are for peft/model/base_model.
#include "jobs/setup.h"

#include <algorithm>

#include "data/prepare.h"
#include "distributed/comm/agree.h"

namespace rankwise {
namespace {

int64_t longest(const Setup& setup, const DataOptions& data) {
  int64_t limit = setup.config.integer("max_position_embeddings", 512);
  if (setup.tokenizer && setup.tokenizer->model_max_length())
    limit = std::min(limit, *setup.tokenizer->model_max_length());
  if (!data.max_length) return limit;
  if (*data.max_length > setup.config.integer("max_position_embeddings", 512)) {
    throw usage_error("--max_length {}: the model has positions for {} tokens", *data.max_length,
                      limit);
  }
  return *data.max_length;
}

// Token types come from the rows themselves; the model has a row of its table for each.
void check_token_types(const TokenStore& store, const Config& config, const std::string& file) {
  const int64_t known = config.integer("type_vocab_size", 1);
  const auto worst = std::max_element(store.token_type_ids.begin(), store.token_type_ids.end());
  if (worst == store.token_type_ids.end() || *worst < known) return;
  const auto row = std::upper_bound(store.offsets.begin(), store.offsets.end(),
                                    worst - store.token_type_ids.begin());
  throw input_error("{}: row {}: token_type_ids has {}, but the model knows {} token types", file,
                    row - store.offsets.begin(), *worst, known);
}

}  // namespace

Setup set_up(JobContext& context, const ModelOptions& model, const DataOptions& data) {
  std::optional<Setup> setup;
  together(context.communicator, "reading the model folder", [&] {
    if (model.model_name_or_path.empty()) throw usage_error("--model_name_or_path must be given");
    const std::filesystem::path folder = find_model(model.model_name_or_path, context.hub_cache);
    setup.emplace(Setup{folder,
                        read_model_config(folder),
                        task_type(model.task_type),
                        precision(model.torch_dtype, model.bf16),
                        {},
                        nullptr,
                        nullptr});
    if (model.adapter_name_or_path.size() > 1)
      throw usage_error("--adapter_name_or_path takes one folder here");
    if (!model.adapter_name_or_path.empty())
      setup->adapter = read_adapter_folder(model.adapter_name_or_path.front());
    setup->tokenizer = load_tokenizer(folder);
    setup->task = make_task(setup->task_type, data);
    setup->vocabulary = setup->config.integer("vocab_size");
    setup->max_length = longest(*setup, data);
    if (setup->adapter && setup->adapter->labels) setup->task->fix_labels(*setup->adapter->labels);
  });
  return std::move(*setup);
}

TokenStore prepare_file(JobContext& context, Setup& setup, const std::string& file) {
  context.communicator.enter_phase("tokenising " + file);
  TokenStore store = prepare(context.communicator, *setup.task, file, setup.tokenizer.get(),
                             setup.max_length, setup.vocabulary);
  check_token_types(store, setup.config, file);
  context.log.info("{}: {} rows, {} tokens, {} rows cut to {} tokens", file, store.rows(),
                   store.tokens(), store.truncated_rows, setup.max_length);
  return store;
}

int64_t label_count(const Setup& setup, const DataOptions& data) {
  if (data.num_labels) return *data.num_labels;
  if (!setup.task->label_names().empty())
    return std::max<int64_t>(2, static_cast<int64_t>(setup.task->label_names().size()));
  const Json& config = setup.config.json();
  if (config.contains("id2label") && config["id2label"].is_object())
    return static_cast<int64_t>(config["id2label"].size());
  return setup.config.integer("num_labels", 2);
}

std::unique_ptr<Method> method_of(const AdapterFolder& folder) {
  const Json& type = folder.config["peft_type"];
  try {
    std::unique_ptr<Method> method = make_method(type.get<std::string>());
    method->read_config(folder.config);
    return method;
  } catch (const Error& error) {
    throw Error(ErrorKind::kModel,
                fmt::format("{}/adapter_config.json: {}", folder.folder.string(), error.what()),
                error.hint());
  }
}

AdaptedModel build_model(JobContext& context, Setup& setup, const ModelOptions& options,
                         const DataOptions& data, std::unique_ptr<Method> method, uint64_t seed) {
  const BuildOptions build{setup.task_type, label_count(setup, data), options.model_dropout};
  BaseModel base =
      load_model(context.communicator, setup.model_folder, build, setup.precision, seed);
  std::optional<AdaptedModel> model;
  together(context.communicator, "attaching the adapter", [&] {
    const AttachOptions attach{setup.config.text("model_type"), seed,
                               options.allow_missing_targets || setup.adapter.has_value()};
    model.emplace(std::move(base), std::move(method), setup.task_type, attach);
    if (setup.adapter) model->load(*setup.adapter);
  });
  return std::move(*model);
}

}  // namespace rankwise
