// Adapter folders and model cards: the bytes are those of peft (tests/golden/hub/make.py).
#include "peft/hub/adapter_folder.h"

#include "tests/peft/hub/files.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

std::vector<TensorBytes> tensors_of(const AdapterFolder& adapter) {
  const std::string bytes = bytes_of_file(adapter.folder / "adapter_model.safetensors");
  std::vector<TensorBytes> tensors;
  for (const TensorEntry& e : adapter.tensors)
    tensors.push_back({e.name, e.dtype, e.shape, bytes.substr(e.offset, e.bytes)});
  return tensors;
}

TEST(AdapterFolder, WritesTheBytesOfPeft) {
  const AdapterFolder adapter = read_adapter_folder(kGolden / "adapter");
  EXPECT_EQ(adapter.config["lora_alpha"], 32);
  EXPECT_FALSE(adapter.labels);
  Json config = adapter.config;
  for (const char* common : {"auto_mapping", "inference_mode", "peft_version", "revision"})
    config.erase(common);
  const auto files = adapter_files(config, tensors_of(adapter), std::nullopt);
  EXPECT_EQ(files.size(), 3u);
  for (const auto& [name, bytes] : files)
    EXPECT_EQ(bytes, bytes_of_file(kGolden / "adapter" / name)) << name;
}

TEST(AdapterFolder, CommonKeys) {
  const auto files =
      adapter_files({{"peft_type", "IA3"}, {"inference_mode", false}, {"peft_version", "0.9.0"}},
                    {}, std::nullopt);
  EXPECT_EQ(
      parse_json(files.at("adapter_config.json"), "", ErrorKind::kModel),
      parse_json(
          R"({"auto_mapping": null, "base_model_name_or_path": null, "inference_mode": true, "peft_type": "IA3",
                           "peft_version": "0.9.0", "revision": null, "task_type": null})",
          "", ErrorKind::kModel));
}

TEST(AdapterFolder, LabelsComeBack) {
  const TemporaryFolder folder;
  std::vector<std::string> labels;
  for (int i = 0; i < 12; ++i) labels.push_back("label é " + std::to_string(11 - i));
  for (const auto& [name, bytes] : adapter_files({{"peft_type", "LORA"}}, {}, labels))
    folder.write(name, bytes);
  EXPECT_EQ(read_adapter_folder(folder.path()).labels, labels);
  folder.write("labels.json", R"({"id2label": {"0": "a", "2": "b"}})");
  expect_contains(error_of([&] { read_adapter_folder(folder.path()); }),
                  "labels.json: 'id2label' has 2 names, but none for 1");
  folder.write("labels.json", R"(["a"])");
  expect_contains(error_of([&] { read_adapter_folder(folder.path()); }),
                  "labels.json: has no 'id2label'");
}

TEST(AdapterFolder, NamesWhatIsWrong) {
  const TemporaryFolder folder;
  const auto refused = [&] { return error_of([&] { read_adapter_folder(folder.path()); }); };
  expect_contains(error_of([&] { read_adapter_folder(folder.path() / "none"); }),
                  "none: no such adapter folder");
  expect_contains(refused(), "has no adapter_config.json");
  folder.write("adapter_config.json", "[]");
  expect_contains(refused(), "adapter_config.json: is not a JSON object");
  folder.write("adapter_config.json", R"({"r": 8})");
  expect_contains(refused(), "adapter_config.json: has no 'peft_type'\n");
  folder.write("adapter_config.json", R"({"config": {}, "model_type": "bert"})");
  expect_contains(refused(), "has no adapter.safetensors");
  folder.write("adapter_config.json",
               R"({"config": {"architecture": "lora"}, "model_type": "bert"})");
  expect_contains(refused(), "'architecture' is \"lora\"");
  folder.write("adapter_config.json", R"({"peft_type": 3})");
  expect_contains(refused(), "'peft_type' is not a string: 3");
  folder.write("adapter_config.json", R"({"peft_type": "LORA"})");
  expect_contains(refused(), "has no adapter_model.safetensors");
  folder.write("adapter_model.bin", "PK");
  expect_contains(refused(), "adapter_model.bin: ");
  folder.write("adapter_model.safetensors", "1234");
  expect_contains(refused(), "adapter_model.safetensors: not a safetensors file");
}

TEST(ModelCard, MetadataIsThatOfPeft) {
  const std::string lora_card = bytes_of_file(kGolden / "adapter" / "README.md");
  const std::string rest = lora_card.substr(lora_card.find("---\n", 4) + 4);
  const Json rows = read_json(kGolden / "cards.json");
  ASSERT_GE(rows.size(), 40u);
  for (const Json& row : rows) {
    std::optional<std::string> pipeline_tag;
    if (row["task_type"] == "CAUSAL_LM") pipeline_tag = "text-generation";
    const std::string card =
        model_card(row["base_model"], row["peft_type"], pipeline_tag, row["body_is_model"]);
    ASSERT_TRUE(card.ends_with(rest)) << card;
    EXPECT_EQ(card.substr(0, card.size() - rest.size()), row["metadata"].get<std::string>());
  }
}

}  // namespace
}  // namespace rankwise
