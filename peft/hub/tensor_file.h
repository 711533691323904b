// A tensor in a file: name, type, shape, place. What every weight format's parser returns; no
// LibTorch here, so that the parsers can be fuzzed alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "peft/hub/dtype.h"

namespace rankwise {

struct TensorEntry {
  std::string name;
  Dtype dtype = Dtype::kFloat32;
  std::vector<int64_t> shape;
  std::filesystem::path file;
  uint64_t offset = 0, bytes = 0;  // absolute, in the file
  // What a GGUF file does to some tensors, to be undone when they are read: in each of so many
  // heads the two halves of its rows are interleaved; this was added to every number.
  int64_t interleaved_heads = 0;
  float added = 0;
};

std::string shape_text(const std::vector<int64_t>& shape);  // "[2, 384]"

// The header of a .safetensors file (https://github.com/huggingface/safetensors#format): every
// length and offset is checked against the file's size, overlaps and gaps are refused. Errors:
// kModel naming file and tensor.
std::vector<TensorEntry> read_safetensors_header(const std::filesystem::path& file);
// The same on bytes in memory; `file_bytes` is the size of the whole file, `start` its first bytes
// (header included).
std::vector<TensorEntry> parse_safetensors_header(std::string_view start, uint64_t file_bytes,
                                                  const std::filesystem::path& file);

struct TensorBytes {
  std::string name;
  Dtype dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};
// The bytes of a .safetensors file as Hugging Face writes it: __metadata__ {"format":"pt"}, header
// padded with spaces to 8 bytes, data and header ordered by type (larger elements first, F32 before
// I32, BF16 before F16), then by name.
std::string to_safetensors(std::vector<TensorBytes> tensors);

// Every tensor of a model folder: model.safetensors or pytorch_model.bin, or the shards of their
// .index.json. Or of a .gguf file, under Hugging Face's names. Errors: kModel: no weights found
// (names what was looked for), a shard missing, a name twice.
std::vector<TensorEntry> list_model_tensors(const std::filesystem::path& model);

}  // namespace rankwise
