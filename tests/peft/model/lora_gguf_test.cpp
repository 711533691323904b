// LoRA adapters as GGUF: against a file made as llama.cpp's script makes it, and there and back.
#include "peft/model/lora_gguf.h"

#include <ATen/ATen.h>

#include "peft/hub/gguf_model.h"
#include "tests/peft/hub/files.h"

namespace rankwise {
namespace {

const std::filesystem::path kFiles = kGolden / "gguf";

Config base() { return read_model_config(kFiles / "llama.gguf"); }

std::map<std::string, std::string> tensors_in(const std::vector<TensorEntry>& entries) {
  std::map<std::string, std::string> tensors;
  for (const TensorEntry& entry : entries) {
    tensors[fmt::format("{} {} {}", entry.name, layout_of(entry.dtype).name,
                        shape_text(entry.shape))] =
        bytes_of_file(entry.file).substr(entry.offset, entry.bytes);
  }
  return tensors;
}

AdapterFolder changed(const std::string& key, Json value) {
  AdapterFolder adapter = read_adapter_folder(kFiles / "lora");
  adapter.config[key] = std::move(value);
  return adapter;
}

std::string refused(const AdapterFolder& adapter) {
  return error_of([&] { lora_to_gguf(adapter, base()); });
}

at::Tensor floats(const std::string& bytes) {
  return at::from_blob(const_cast<char*>(bytes.data()), static_cast<int64_t>(bytes.size() / 4),
                       at::kFloat);
}

TEST(LoraGguf, WritesWhatTheScriptWrites) {
  const TemporaryFolder folder;
  const Gguf ours =
      read_gguf(folder.write("a.gguf", lora_to_gguf(read_adapter_folder(kFiles / "lora"), base())));
  const Gguf theirs = read_gguf(kFiles / "lora.gguf");
  EXPECT_EQ(ours.metadata.values(), theirs.metadata.values());
  EXPECT_EQ(theirs.tensors.size(), 8u);
  EXPECT_EQ(tensors_in(ours.tensors), tensors_in(theirs.tensors));
}

TEST(LoraGguf, ThereAndBack) {
  const TemporaryFolder folder;
  for (const auto& [name, bytes] : gguf_to_lora(kFiles / "lora.gguf", base(), "some/base"))
    folder.write(name, bytes);
  const AdapterFolder back = read_adapter_folder(folder.path()),
                      original = read_adapter_folder(kFiles / "lora");
  EXPECT_EQ(tensors_in(back.tensors), tensors_in(original.tensors));
  EXPECT_EQ(back.config["base_model_name_or_path"], "some/base");
  EXPECT_EQ(back.config["target_modules"],
            Json::parse(R"(["down_proj", "k_proj", "q_proj", "v_proj"])"));
  EXPECT_EQ(back.config["rank_pattern"], Json::parse(R"({"model.layers.0.mlp.down_proj": 3})"));
  for (const char* key : {"peft_type", "task_type", "r", "lora_alpha", "use_rslora", "use_dora"})
    EXPECT_EQ(back.config[key], original.config[key]) << key;
  EXPECT_EQ(lora_to_gguf(back, base()), lora_to_gguf(original, base()));
}

TEST(LoraGguf, ScalesThatTheFormatDoesNotHaveGoIntoB) {
  const TemporaryFolder folder;
  AdapterFolder adapter = changed("use_rslora", true);
  adapter.config["alpha_pattern"] = {{"v_proj", 12}};
  const auto scaled =
      tensors_in(read_gguf(folder.write("a.gguf", lora_to_gguf(adapter, base()))).tensors);
  for (const auto& [name, bytes] : tensors_in(read_gguf(kFiles / "lora.gguf").tensors)) {
    const bool is_b = name.find("lora_b") != std::string::npos;
    const double root = std::sqrt(name.find("ffn_down") == std::string::npos ? 2.0 : 3.0);
    const double factor = name.find("attn_v") == std::string::npos ? root : 2 * root;
    EXPECT_TRUE(at::equal(floats(scaled.at(name)), floats(bytes) * (is_b ? factor : 1))) << name;
  }
}

TEST(LoraGguf, RefusesWhatTheFormatCannotHold) {
  expect_contains(refused(changed("peft_type", "IA3")), "'peft_type' is IA3");
  expect_contains(refused(changed("use_dora", true)), "'use_dora' is true");
  expect_contains(refused(changed("lora_alpha", 0)), "'lora_alpha' is 0");
  AdapterFolder adapter = read_adapter_folder(kFiles / "lora");
  adapter.tensors.front().name = "base_model.model.score.weight";
  expect_contains(refused(adapter), "tensor 'base_model.model.score.weight' has no place");
  adapter = read_adapter_folder(kFiles / "lora");
  adapter.tensors.pop_back();
  expect_contains(refused(adapter), "has only one half of its pair");
  Json config = base().json();
  config["model_type"] = "bert";
  expect_contains(error_of([&] {
                    lora_to_gguf(read_adapter_folder(kFiles / "lora"), Config(config, "c.json"));
                  }),
                  "c.json: 'model_type' is 'bert'");
}

TEST(LoraGguf, RefusesOtherFiles) {
  const auto read = [](const char* name, const char* base_model) {
    return error_of(
        [&] { gguf_to_lora(kFiles / name, read_model_config(kFiles / base_model), "b"); });
  };
  expect_contains(read("llama.gguf", "llama.gguf"), "'general.type' is missing");
  expect_contains(read("lora.gguf", "qwen2.gguf"),
                  "'general.architecture' is 'llama', not 'qwen2'");
}

}  // namespace
}  // namespace rankwise
