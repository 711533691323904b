// GGUF files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2 and 3: their
// metadata and where their tensors lie. What that means to a model is for gguf_model.
#pragma once

#include <filesystem>
#include <istream>
#include <map>
#include <string>
#include <vector>

#include "peft/hub/json.h"
#include "peft/hub/tensor_file.h"

namespace rankwise {

// Key → value; lists are JSON arrays, numbers keep whether they are whole. Readers name file and
// key where one is missing, of another kind or out of range (kModel).
class GgufMetadata {
 public:
  explicit GgufMetadata(std::filesystem::path file = {}) : file_(std::move(file)) {}
  bool has(const std::string& key) const { return values_.count(key) > 0; }
  std::string text(const std::string& key) const;
  int64_t integer(const std::string& key) const;
  double number(const std::string& key) const;  // of a float32: its shortest decimal
  bool boolean(const std::string& key) const;
  std::vector<std::string> texts(const std::string& key) const;
  std::vector<int64_t> integers(const std::string& key) const;
  std::vector<double> numbers(const std::string& key) const;
  int64_t size(const std::string& key) const;  // of a list

  bool add(const std::string& key, Json value);  // false: it is there already
  const std::map<std::string, Json>& values() const { return values_; }
  const std::filesystem::path& file() const { return file_; }
  Error error(const std::string& key, const std::string& what) const;  // "file: 'key' what"

 private:
  const Json& at(const std::string& key) const;
  const Json& list(const std::string& key) const;
  std::map<std::string, Json> values_;
  std::filesystem::path file_;
};

struct Gguf {
  GgufMetadata metadata;
  std::vector<TensorEntry> tensors;  // under GGUF's names, shapes as PyTorch has them
};

// Every length and offset is checked against the file's size before it is used. Errors: kModel
// naming the file and the key or tensor: cut short, another version or byte order, a type that is
// not supported, a name twice, tensors that overlap.
Gguf read_gguf(const std::filesystem::path& file);
// The same on a stream that begins with the file; `file_bytes` is the size of the whole file.
Gguf parse_gguf(std::istream& in, uint64_t file_bytes, const std::filesystem::path& file);

// Numbers of the format, for the reader and the writer.
inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr uint64_t kGgufAlignment = 32;  // of tensors, where the file says nothing else
enum class GgufValue : uint32_t {
  kUInt8,
  kInt8,
  kUInt16,
  kInt16,
  kUInt32,
  kInt32,
  kFloat32,
  kBool,
  kText,
  kList,
  kUInt64,
  kInt64,
  kFloat64
};
struct GgufType {
  uint32_t number;
  Dtype dtype;
};
inline constexpr GgufType kGgufTypes[] = {
    {0, Dtype::kFloat32}, {1, Dtype::kFloat16}, {2, Dtype::kQ4_0},     {3, Dtype::kQ4_1},
    {6, Dtype::kQ5_0},    {7, Dtype::kQ5_1},    {8, Dtype::kQ8_0},     {12, Dtype::kQ4_K},
    {13, Dtype::kQ5_K},   {14, Dtype::kQ6_K},   {24, Dtype::kInt8},    {25, Dtype::kInt16},
    {26, Dtype::kInt32},  {27, Dtype::kInt64},  {28, Dtype::kFloat64}, {30, Dtype::kBFloat16}};

}  // namespace rankwise
