// Which files of a model folder are read, and what is said where none can be.
#include "peft/hub/tensor_file.h"

#include "tests/peft/hub/files.h"

namespace rankwise {
namespace {

std::string shard(const std::vector<std::string>& names) {
  std::vector<TensorBytes> tensors;
  for (const std::string& name : names) tensors.push_back({name, Dtype::kFloat32, {1}, "1234"});
  return to_safetensors(tensors);
}

std::vector<std::string> names_in(const TemporaryFolder& folder) {
  std::vector<std::string> names;
  for (const TensorEntry& entry : list_model_tensors(folder.path())) {
    names.push_back(entry.name + "@" + entry.file.filename().string());
  }
  return names;
}

std::string refused(const TemporaryFolder& folder) {
  return error_of([&] { list_model_tensors(folder.path()); });
}

TEST(ListModelTensors, OneFile) {
  const TemporaryFolder folder;
  folder.write("model.safetensors", shard({"b", "a"}));
  EXPECT_EQ(names_in(folder),
            (std::vector<std::string>{"a@model.safetensors", "b@model.safetensors"}));
}

TEST(ListModelTensors, Shards) {
  const TemporaryFolder folder;
  folder.write("model-1.safetensors", shard({"a", "c"}));
  folder.write("model-2.safetensors", shard({"b"}));
  folder.write("model.safetensors.index.json", R"({"metadata": {"total_size": 12},
      "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}})");
  EXPECT_EQ(names_in(folder),
            (std::vector<std::string>{"a@model-1.safetensors", "c@model-1.safetensors",
                                      "b@model-2.safetensors"}));
}

TEST(ListModelTensors, RefusesShardsThatDoNotFitTheirIndex) {
  const TemporaryFolder folder;
  folder.write("1", shard({"a"}));
  folder.write("2", shard({"b"}));
  const auto index = [&](const std::string& text) {
    folder.write("model.safetensors.index.json", text);
    return refused(folder);
  };
  expect_contains(index(R"({"weight_map": {"a": "1", "b": "3"}})"), "the shard 3 is missing");
  expect_contains(index(R"({"weight_map": {"a": "1", "b": "1"}})"), "tensor 'b' should be in 1");
  expect_contains(index(R"({"weight_map": {"a": "2", "b": "1"}})"), "should be in 1");
  expect_contains(index(R"({"weight_map": {"a": "../1"}})"), "is not a file name");
  expect_contains(index(R"({"weight_map": {"a": ".."}})"), "..");
  expect_contains(index(R"({"weight_map": {"a": 1}})"), "is not a file name");
  expect_contains(index(R"({"weight_map": []})"), "has no weight_map");
  expect_contains(index("[]"), "has no weight_map");
  folder.write("2", shard({"a", "b"}));
  expect_contains(index(R"({"weight_map": {"a": "1", "b": "2"}})"), "tensor 'a' is in 1 and in 2");
}

TEST(ListModelTensors, SaysWhatItLookedFor) {
  const TemporaryFolder folder;
  expect_contains(refused(folder),
                  "no weights found (looked for model.safetensors, model.safetensors.index.json, "
                  "pytorch_model.bin");
  folder.write("pytorch_model.bin", "PK");
  expect_contains(refused(folder), "pytorch_model.bin: ");
}

TEST(ListModelTensors, PickledWeightsAndTheirShards) {
  const TemporaryFolder folder;
  const std::string pickled = bytes_of_file(kGolden / "torch" / "zip.bin");
  folder.write("pytorch_model.bin", pickled);
  EXPECT_EQ(names_in(folder).size(), 17u);
  folder.write("other/pytorch_model-1.bin", pickled);
  folder.write("other/pytorch_model.bin.index.json",
               R"({"weight_map": {"t00": "pytorch_model-1.bin", "row": "pytorch_model-1.bin"}})");
  EXPECT_EQ(list_model_tensors(folder.path() / "other").size(), 17u);
}

}  // namespace
}  // namespace rankwise
