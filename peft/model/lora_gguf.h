// LoRA adapters as GGUF files, as llama.cpp's convert_lora_to_gguf.py writes them and llama.cpp
// loads them, and back to peft's folders. For llama-like bases only.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "peft/hub/adapter_folder.h"
#include "peft/hub/model_folder.h"

namespace rankwise {

// The bytes of the file. llama.cpp scales every pair by alpha / rank; where the adapter means
// another scale (rsLoRA, alpha_pattern), the rest goes into B. Errors: kModel: not LoRA, or what
// the format cannot hold (DoRA, biases, modules_to_save, embeddings, other bases).
std::string lora_to_gguf(const AdapterFolder& adapter, const Config& base);

// The files of an adapter folder, name → bytes. `base_name` goes into adapter_config.json. Errors:
// kModel: not a LoRA adapter, of another base than `base`, one half of a pair missing.
std::map<std::string, std::string> gguf_to_lora(const std::filesystem::path& file,
                                                const Config& base, const std::string& base_name);

}  // namespace rankwise
