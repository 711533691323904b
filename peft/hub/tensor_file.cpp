// Which files hold a model's tensors: the table of weight formats. The formats themselves are
// elsewhere (safetensors.cpp, torch_file.cpp, gguf.cpp).
#include "peft/hub/tensor_file.h"

#include <map>
#include <set>

#include "peft/hub/gguf_model.h"
#include "peft/hub/json.h"
#include "peft/hub/torch_file.h"

namespace rankwise {
namespace {

using std::filesystem::path;

using Read = std::vector<TensorEntry> (*)(const path& file);

// The shards that an index names. Each tensor must be in the shard that the index says.
std::vector<TensorEntry> read_shards(const path& index_file, Read read_shard) {
  const Json index = read_json(index_file);
  const auto refuse = [&](const std::string& what) {
    return model_error("{}: {}", index_file.string(), what);
  };
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    throw refuse("has no weight_map");
  }
  std::map<std::string, std::vector<std::string>> names_by_shard;
  for (const auto& [name, shard] : index["weight_map"].items()) {
    if (!shard.is_string() ||
        path(shard.get<std::string>()).filename() != shard.get<std::string>()) {
      throw refuse(
          fmt::format("tensor '{}' is in {}, which is not a file name", name, shard.dump()));
    }
    names_by_shard[shard.get<std::string>()].push_back(name);
  }
  std::vector<TensorEntry> all;
  std::map<std::string, std::string> shard_of;
  for (const auto& [shard, names] : names_by_shard) {
    const path file = index_file.parent_path() / shard;
    if (!std::filesystem::exists(file)) throw refuse(fmt::format("the shard {} is missing", shard));
    for (TensorEntry& entry : read_shard(file)) {
      const auto [other, is_new] = shard_of.emplace(entry.name, shard);
      if (!is_new)
        throw refuse(
            fmt::format("tensor '{}' is in {} and in {}", entry.name, other->second, shard));
      all.push_back(std::move(entry));
    }
    for (const std::string& name : names) {
      const auto found = shard_of.find(name);
      if (found == shard_of.end() || found->second != shard) {
        throw refuse(fmt::format("tensor '{}' should be in {}, but is not", name, shard));
      }
    }
  }
  return all;
}

// Looked for in this order. One more format is one more row.
constexpr struct {
  const char* file;
  Read read;
} kFormats[] = {
    {"model.safetensors", read_safetensors_header},
    {"model.safetensors.index.json",
     [](const path& file) { return read_shards(file, read_safetensors_header); }},
    {"pytorch_model.bin", read_torch_file},
    {"pytorch_model.bin.index.json",
     [](const path& file) { return read_shards(file, read_torch_file); }},
};

}  // namespace

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::vector<TensorEntry> list_model_tensors(const path& model) {
  if (is_gguf(model)) return gguf_model_tensors(read_gguf(model));
  std::vector<std::string> looked_for;
  for (const auto& format : kFormats) {
    const path file = model / format.file;
    if (std::filesystem::exists(file)) return format.read(file);
    looked_for.push_back(format.file);
  }
  throw model_error("{}: no weights found (looked for {})", model.string(),
                    fmt::join(looked_for, ", "));
}

}  // namespace rankwise
