// GGUF models in Hugging Face's words: config, names, tokenizer. What transformers and the config's
// author say is in models.json.
#include "peft/hub/gguf_model.h"

#include <set>

#include "tests/peft/hub/files.h"

namespace rankwise {
namespace {

const std::filesystem::path kFiles = kGolden / "gguf";

// llama.gguf with one key or tensor changed.
Gguf changed(const std::string& key, Json value) {
  Gguf gguf = read_gguf(kFiles / "llama.gguf");
  GgufMetadata metadata(gguf.metadata.file());
  metadata.add(key, std::move(value));
  for (const auto& [name, old] : gguf.metadata.values()) metadata.add(name, old);
  gguf.metadata = metadata;
  return gguf;
}

std::string refused(const std::string& key, Json value) {
  return error_of([&] { gguf_config(changed(key, std::move(value))); });
}

TEST(GgufModel, ConfigIsThatOfTheModel) {
  const Json models = read_json(kFiles / "models.json");
  EXPECT_EQ(models.size(), 4u);
  for (const auto& [name, model] : models.items()) {
    const Config config = read_model_config(kFiles / (name + ".gguf"));
    Json said = Json::object();
    for (const auto& [field, value] : model["config"].items())
      said[field] = config.json().value(field, Json());
    EXPECT_EQ(said, model["config"]) << name;
  }
}

TEST(GgufModel, TensorsHaveTheNamesAndShapesOfTransformers) {
  const Json models = read_json(kFiles / "models.json");
  for (const auto& [name, model] : models.items()) {
    std::map<std::string, Json> expected, found;
    for (const auto& [path, tensor] : model["tensors"].items()) expected[path] = tensor[0];
    for (const TensorEntry& entry : list_model_tensors(kFiles / (name + ".gguf")))
      if (entry.name != "rope_freqs.weight") found[entry.name] = entry.shape;
    EXPECT_EQ(found, expected) << name;
  }
}

TEST(GgufModel, ScalingOfPositions) {
  Gguf gguf = changed("llama.rope.scaling.type", "yarn");
  std::erase_if(gguf.tensors, [](auto& entry) { return entry.name == "rope_freqs.weight"; });
  gguf.metadata.add("llama.rope.scaling.factor", 4.0);
  gguf.metadata.add("llama.rope.scaling.original_context_length", 128);
  EXPECT_EQ(gguf_config(gguf).json()["rope_scaling"],
            Json::parse(R"({"rope_type": "yarn", "factor": 4.0,
                            "original_max_position_embeddings": 128})"));
  gguf = changed("llama.rope.scaling.type", "none");
  std::erase_if(gguf.tensors, [](auto& entry) { return entry.name == "rope_freqs.weight"; });
  EXPECT_FALSE(gguf_config(gguf).has("rope_scaling"));
  expect_contains(refused("llama.rope.freq_base", 10.0),
                  "tensor 'rope_freqs.weight' is not the scaling of llama3");
  expect_contains(refused("llama.rope.dimension_count", 8), "has 8 factors, a head has 4");
}

TEST(GgufModel, RefusesWhatItDoesNotKnow) {
  expect_contains(refused("general.architecture", "mamba"),
                  "'general.architecture' is 'mamba'; supported are llama, qwen2, qwen3, gemma2");
  expect_contains(refused("llama.expert_count", 8), "mixtures of experts are not supported");
  expect_contains(refused("llama.block_count", 0), "'llama.block_count' is 0");
  expect_contains(refused("llama.attention.head_count_kv", Json::array({1, 2})),
                  "'llama.attention.head_count_kv' is a list of 2, not an integer");
  expect_contains(refused("llama.attention.key_length", 32),
                  "'llama.rope.dimension_count' is 16, but a head has 32 numbers");
  expect_contains(error_of([] { gguf_model_tensors(changed("llama.attention.head_count", 3)); }),
                  "'blk.0.attn_q.weight' has shape [64, 64], which is not that of 3 heads");
}

TEST(GgufModel, NamesGoBothWays) {
  for (const char* architecture : {"llama", "qwen2", "qwen3", "gemma2"}) {
    std::set<std::string> names;
    for (const char* name :
         {"token_embd", "output_norm", "output", "blk.11.attn_norm", "blk.11.attn_q",
          "blk.11.attn_k_norm", "blk.11.ffn_norm", "blk.11.ffn_down", "blk.11.attn_output"}) {
      const auto there = huggingface_module(name, architecture);
      ASSERT_TRUE(there) << name;
      EXPECT_EQ(gguf_module(*there, architecture), name);
      names.insert(*there);
    }
    EXPECT_EQ(names.size(), 9u);
  }
  EXPECT_EQ(huggingface_module("blk.3.ffn_norm", "gemma2"),
            "model.layers.3.pre_feedforward_layernorm");
  EXPECT_EQ(gguf_module("model.layers.3.self_attn.q_proj", "llama"), "blk.3.attn_q");
  EXPECT_FALSE(huggingface_module("blk.3.ffn_gate_exps", "llama"));
  EXPECT_FALSE(huggingface_module("blk.3", "llama"));
  EXPECT_FALSE(gguf_module("score", "llama"));
}

TEST(GgufModel, Tokenizer) {
  const GgufTokenizer tokenizer = gguf_tokenizer(read_gguf(kFiles / "llama.gguf"));
  EXPECT_EQ(tokenizer.model, "gpt2");
  EXPECT_EQ(tokenizer.pre, "smollm");
  ASSERT_EQ(tokenizer.tokens.size(), 32u);
  EXPECT_EQ(tokenizer.tokens[31], "t31");
  EXPECT_EQ(tokenizer.merges, (std::vector<std::string>{"t 1", "t 2"}));
  ASSERT_EQ(tokenizer.token_type.size(), 32u);
  EXPECT_EQ(tokenizer.token_type[2], 3);
  EXPECT_EQ(tokenizer.token_type[3], 1);
  EXPECT_TRUE(tokenizer.scores.empty());
  EXPECT_EQ(tokenizer.bos_id, 1);
  EXPECT_EQ(tokenizer.eos_id, 2);
  EXPECT_EQ(tokenizer.padding_id, 0);
  EXPECT_FALSE(tokenizer.unknown_id);
  EXPECT_EQ(tokenizer.add_bos, false);
  EXPECT_FALSE(tokenizer.add_eos);
  EXPECT_EQ(tokenizer.chat_template, "{{ messages }}");
  expect_contains(
      error_of([] { gguf_tokenizer(changed("tokenizer.ggml.scores", Json::array({0.5}))); }),
      "'tokenizer.ggml.scores' has 1 entries, but there are 32 tokens");
  expect_contains(error_of([] { gguf_tokenizer(changed("tokenizer.ggml.eos_token_id", 32)); }),
                  "'tokenizer.ggml.eos_token_id' is 32, but there are 32 tokens");
}

}  // namespace
}  // namespace rankwise
