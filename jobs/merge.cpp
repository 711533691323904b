// merge: folds an adapter into the base and writes a model folder in Hugging Face's form; says how
// far any logit moved.
#include <ATen/ATen.h>

#include <fstream>

#include "data/loader.h"
#include "distributed/checkpoint/store.h"
#include "distributed/comm/agree.h"
#include "jobs/setup.h"
#include "peft/model/combine.h"
#include "peft/model/file_tensors.h"
#include "peft/model/loss.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

class Merge : public Job {
 public:
  void declare(Fields& fields) override {
    model_.declare_base(fields);
    model_.declare_adapter(fields);
    fields.add("num_labels", data_.num_labels, "classes of the head")
        .at_least(1)
        .default_text("the adapter's");
    fields.group("several adapters");
    fields.add("weights", combination_.weights, "of each adapter, where there are several")
        .default_text("1 each");
    fields
        .add("combination_type", combination_.type,
             "how several adapters become one, as peft's add_weighted_adapter has it")
        .one_of(Combination::types());
    fields.add("svd_rank", combination_.svd_rank, "rank of what the svd forms give")
        .at_least(1)
        .default_text("the adapters' largest");
    fields.add("svd_clamp", combination_.svd_clamp, "quantile that bounds what they give")
        .at_least(0)
        .at_most(1)
        .default_text("none");
    fields
        .add("density", combination_.density,
             "share of numbers that ties, dare, magnitude_prune keep")
        .more_than(0)
        .at_most(1)
        .default_text("none");
    fields.add("majority_sign_method", combination_.majority_sign_method, "whose sign ties keep")
        .one_of({"total", "frequency"});
    fields.add("seed", combination_.seed, "of what dare leaves out");
    fields.group("merge");
    fields.add("output_dir", output_dir_, "folder of the merged model");
    machine_.declare(fields);
  }
  Outcome run(JobContext& context, Fields& fields) override;

 private:
  void check() const;
  void combine();

  ModelOptions model_;
  DataOptions data_;
  MachineOptions machine_;
  Combination combination_;
  std::string output_dir_;
};

// Fixed rows of ids that reach the whole vocabulary, to compare logits on: at every token where the
// task has one for each.
Unit probe(int64_t vocabulary, TaskType task) {
  constexpr int64_t kRows = 8, kLength = 16;
  Unit unit;
  unit.text.tokens = at::arange(kRows * kLength).mul(7919).remainder(vocabulary).to(at::kLong);
  for (int64_t row = 0; row <= kRows; ++row) unit.text.bounds.push_back(row * kLength);
  for (int64_t row = 0; row < kRows; ++row) unit.rows.push_back(row);
  unit.target_index = at::arange(kRows * kLength, at::kLong);
  if (task == TaskType::kSeq2SeqLm) unit.decoder_text = unit.text;
  return unit;
}

std::vector<TensorBytes> tensors_of(const AdaptedModel& model, at::ScalarType type) {
  std::vector<TensorBytes> tensors;
  const Sites& sites = model.base().base->sites;
  for (const NamedTensor& parameter : sites.tensors) {
    const at::Tensor& value = *parameter.tensor;
    if (!parameter.tied_to.empty()) {
      if (at::equal(value, *sites.find(parameter.tied_to))) continue;  // the file has it once
      throw model_error("the adapter changes '{}', which config.json ties to '{}'", parameter.path,
                        parameter.tied_to);
    }
    tensors.push_back(tensor_bytes(parameter.path, parameter.transposed ? value.t() : value, type));
  }
  return tensors;
}

Json merged_config(const Setup& setup, const std::string& torch_dtype) {
  Json config = setup.config.json();
  std::vector<std::string> labels = setup.task->label_names();
  if (setup.task->regression()) labels = {"LABEL_0"};
  // A language model keeps the base's class.
  if (!is_language_model(setup.task_type))
    config["architectures"] = {class_name(family_of(setup.config), setup.task_type)};
  config.erase("torch_dtype");
  config["dtype"] = torch_dtype;
  if (labels.empty()) return config;
  config["id2label"] = Json::object();
  config["label2id"] = Json::object();
  for (size_t index = 0; index < labels.size(); ++index) {
    config["id2label"][std::to_string(index)] = labels[index];
    config["label2id"][labels[index]] = index;
  }
  return config;
}

void write_folder(const Setup& setup, const AdaptedModel& model, const fs::path& folder,
                  const std::string& torch_dtype) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw machine_error("{}: cannot be made: {}", folder.string(), failed.message());
  write_file_durably(folder / "model.safetensors",
                     to_safetensors(tensors_of(model, setup.precision.base)));
  write_file_durably(folder / "config.json", pretty(merged_config(setup, torch_dtype)));
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                           "vocab.txt", "vocab.json", "merges.txt", "spiece.model",
                           "tokenizer.model", "chat_template.jinja", "generation_config.json"}) {
    if (fs::exists(setup.model_folder / name))
      write_file_durably(folder / name,
                         read_text_file(setup.model_folder / name, ErrorKind::kModel));
  }
}

// As transformers saves that of a model whose config.json has these ids.
void write_generation_config(const Config& config, const fs::path& folder) {
  Json generation = {{"_from_model_config", true}};
  for (const char* name : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (config.json().contains(name)) generation[name] = config.json()[name];
  }
  write_file_durably(folder / "generation_config.json", pretty(generation));
}

// The tokenizer in a .gguf file becomes files of the folder.
void write_tokenizer(Log& log, const fs::path& gguf, const fs::path& folder) try {
  for (const auto& [name, bytes] : tokenizer_files_of_gguf(gguf))
    write_file_durably(folder / name, bytes);
} catch (const Error& error) {
  if (error.kind() != ErrorKind::kModel) throw;
  log.warn("{}: no tokenizer is written: {}", folder.string(), error.what());
}

void Merge::check() const {
  if (output_dir_.empty()) throw usage_error("--output_dir must be given");
  if (model_.adapter_name_or_path.empty())
    throw usage_error("--adapter_name_or_path must be given");
  if (model_.base_dtype == "keep")
    throw usage_error(
        "--base_dtype keep does not apply to merge: sums of blocks and adapters are no blocks, so "
        "the merged model is written as numbers (--torch_dtype)");
  if (model_.bf16)
    throw usage_error(
        "--bf16 does not apply to merge: --torch_dtype says how the merged model is written");
}

// Writes the adapter that several make together; it takes their place.
void Merge::combine() {
  std::vector<AdapterFolder> adapters;
  for (const std::string& folder : model_.adapter_name_or_path)
    adapters.push_back(read_adapter_folder(folder));
  const fs::path folder = fs::path(output_dir_) / "combined_adapter";
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw machine_error("{}: cannot be made: {}", folder.string(), failed.message());
  for (const auto& [name, bytes] : combined_adapter(adapters, combination_))
    write_file_durably(folder / name, bytes);
}

Outcome Merge::run(JobContext& context, Fields&) {
  context.device = at::kCPU;  // weights are folded in main memory
  together(context.communicator, "combining the adapters", [&] {
    check();
    if (model_.adapter_name_or_path.size() < 2) return;
    model_.choose_task();  // before one adapter takes the place of all
    if (combination_.weights.empty())
      combination_.weights.assign(model_.adapter_name_or_path.size(), 1);
    if (context.communicator.world().rank == 0) combine();
  });
  if (model_.adapter_name_or_path.size() > 1)
    model_.adapter_name_or_path = {(fs::path(output_dir_) / "combined_adapter").string()};
  Setup setup = set_up(context, machine_, model_, data_, [] {});
  AdaptedModel model = build_model(
      context, setup, model_, data_, [&] { return method_of(setup.adapter); }, 42);
  const Unit unit = probe(setup.vocabulary, setup.task_type);
  const at::Tensor adapted = model.evaluate(unit).logits;
  together(context.communicator, "merging", [&] { model.merge(setup.precision.base); });
  const double change = (model.evaluate(unit).logits - adapted).abs().max().item<double>();
  const double largest = adapted.abs().max().item<double>();
  together(context.communicator, "writing the merged model", [&] {
    if (context.communicator.world().rank != 0) return;
    write_folder(setup, model, output_dir_, model_.torch_dtype);
    if (!is_gguf(setup.model_folder)) return;
    write_generation_config(setup.config, output_dir_);
    write_tokenizer(context.log, setup.model_folder, output_dir_);
  });
  context.out << Json{{"largest_logit", largest},
                      {"largest_logit_change", change},
                      {"output_dir", output_dir_}}
                     .dump()
              << std::endl;
  return Outcome::kDone;
}

}  // namespace

std::unique_ptr<Job> make_merge() { return std::make_unique<Merge>(); }

}  // namespace rankwise
