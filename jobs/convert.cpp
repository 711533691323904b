// convert: an adapter folder to a GGUF adapter (llama.cpp) and back, a checkpoint's state.h5 to an
// adapter folder. Reads the base's config, never its weights.
#include <algorithm>

#include "distributed/checkpoint/state.h"
#include "distributed/checkpoint/store.h"
#include "distributed/comm/agree.h"
#include "jobs/job.h"
#include "peft/hub/adapter_folder.h"
#include "peft/hub/gguf_model.h"
#include "peft/model/file_tensors.h"
#include "peft/model/lora_gguf.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

class Convert : public Job {
 public:
  void declare(Fields& fields) override {
    fields.group("convert");
    fields.add("adapter_name_or_path", adapter_,
               "an adapter folder, a .gguf adapter, or a checkpoint folder");
    fields.add("output", output_, "a folder, or a file that ends in .gguf");
    fields
        .add("model_name_or_path", model_,
             "the base: a folder, a hub name or a .gguf file; only its config is read")
        .default_text("the adapter's");
  }
  Outcome run(JobContext& context, Fields& fields) override;

 private:
  Files files(const fs::path& hub_cache) const;
  std::string base_name(const std::string& otherwise) const;

  std::string adapter_, output_, model_;
};

std::string Convert::base_name(const std::string& otherwise) const {
  const std::string name = model_.empty() ? otherwise : model_;
  if (name.empty())
    throw usage_error("--model_name_or_path must be given: {} does not name its base", adapter_);
  return name;
}

// What training left in state.h5, with the settings beside it. What a folder holds but does not
// train, or is made of what trains (P-tuning), is taken from the folder.
Files files_of_checkpoint(const fs::path& folder) {
  const AdapterFolder adapter = read_adapter_folder(folder);
  const State state = read_hdf5(folder / "state.h5");
  const std::string prefix = "adapter/";
  const auto first = state.tensors.lower_bound(prefix);
  if (first == state.tensors.end() || !first->first.starts_with(prefix))
    throw model_error("{}: has no adapter", (folder / "state.h5").string());
  std::vector<TensorBytes> tensors;
  for (const TensorEntry& entry : adapter.tensors) {
    const auto trained = state.tensors.find(prefix + entry.name);
    const bool there =
        trained != state.tensors.end() && trained->second.sizes().vec() == entry.shape;
    tensors.push_back(
        tensor_bytes(entry.name, there ? trained->second : read_tensor(entry), scalar_type(entry)));
  }
  return adapter_files(adapter.config, std::move(tensors), adapter.labels);
}

// Path in the output ("" for the output itself) → bytes.
Files Convert::files(const fs::path& hub_cache) const {
  if (is_gguf(output_)) {
    const AdapterFolder adapter = read_adapter_folder(adapter_);
    const Json named = adapter.config.value("base_model_name_or_path", Json());
    const std::string base = base_name(named.is_string() ? named.get<std::string>() : "");
    return {{"", lora_to_gguf(adapter, read_model_config(find_model(base, hub_cache)))}};
  }
  if (is_gguf(adapter_)) {
    const std::string base = base_name("");
    return gguf_to_lora(adapter_, read_model_config(find_model(base, hub_cache)), base);
  }
  if (fs::exists(fs::path(adapter_) / "state.h5")) return files_of_checkpoint(adapter_);
  throw usage_error(
      "--output {}: a folder is made of a .gguf adapter or of a checkpoint, and {} is neither; to "
      "convert an adapter folder, --output must end in .gguf",
      output_, adapter_);
}

Outcome Convert::run(JobContext& context, Fields&) {
  together(context.communicator, "converting the adapter", [&] {
    if (adapter_.empty()) throw usage_error("--adapter_name_or_path must be given");
    if (output_.empty()) throw usage_error("--output must be given");
    if (context.communicator.world().rank != 0) return;
    const Files made = files(context.hub_cache);
    const fs::path output = output_, folder = is_gguf(output) ? output.parent_path() : output;
    std::error_code failed;
    if (!folder.empty()) fs::create_directories(folder, failed);
    if (failed) throw machine_error("{}: cannot be made: {}", folder.string(), failed.message());
    for (const auto& [name, bytes] : made)
      write_file_durably(name.empty() ? output : output / name, bytes);
  });
  context.log.info("{} → {}", adapter_, output_);
  return Outcome::kDone;
}

}  // namespace

std::unique_ptr<Job> make_convert() { return std::make_unique<Convert>(); }

}  // namespace rankwise
