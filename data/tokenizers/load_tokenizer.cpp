// A model folder's tokenizer files to a Tokenizer: which file there is decides.
#include "data/tokenizers/model_folder.h"
#include "data/tokenizers/sentencepiece.h"
#include "peft/hub/gguf_model.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

// tokenizer_config.json, and what only special_tokens_map.json says.
Json config_of(const fs::path& folder) {
  const fs::path file = folder / "tokenizer_config.json", map = folder / "special_tokens_map.json";
  Json config = fs::exists(file) ? read_json(file) : Json::object();
  if (!config.is_object()) throw model_error("{}: must be an object", file.string());
  if (config.contains("added_tokens_decoder") || !fs::exists(map)) return config;
  const Json special = read_json(map);
  if (!special.is_object()) throw model_error("{}: must be an object", map.string());
  config.insert(special.begin(), special.end());  // keeps what is there
  return config;
}

std::unique_ptr<Tokenizer> made_of(Json root, const fs::path& file, const Section& config,
                                   bool clean_up_spaces) {
  const Section section(root, file.string());
  section.has("model");  // an object, or an error
  apply_config(config, root);
  return std::make_unique<Pipeline>(section, settings_of(config, clean_up_spaces));
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& folder) {
  if (is_gguf(folder)) return tokenizer_of_gguf(folder);
  const Json config_json = config_of(folder);
  const Section config(config_json, (folder / "tokenizer_config.json").string());
  if (const fs::path full = folder / "tokenizer.json"; fs::exists(full)) {
    return made_of(read_json(full), full, config, false);
  }
  if (const fs::path words = folder / "vocab.txt"; fs::exists(words)) {
    if (const auto name = tokenizer_class(config, "BertTokenizer"); !is_bert_class(name)) {
      throw model_error("{}: a {} needs a tokenizer.json", words.string(), name);
    }
    return made_of(bert_from_vocabulary(words, config), words, config, true);
  }
  const fs::path words = folder / "vocab.json", merges = folder / "merges.txt";
  if (fs::exists(words) && fs::exists(merges)) {
    return made_of(gpt2_from_vocabulary(words, merges, config), words, config, false);
  }
  for (const char* name : {"spiece.model", "tokenizer.model"}) {
    if (fs::exists(folder / name)) return tokenizer_of_sentencepiece(folder / name, config);
  }
  return nullptr;
}

}  // namespace rankwise
