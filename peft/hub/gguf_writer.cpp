// The GGUF format, version 3, written (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
#include "peft/hub/gguf_writer.h"

#include <algorithm>

namespace rankwise {
namespace {

constexpr uint32_t kVersion = 3;

template <class Number>
void put(std::string& file, Number number) {
  file.append(reinterpret_cast<const char*>(&number), sizeof number);
}
void put(std::string& file, const std::string& text) {
  put(file, static_cast<uint64_t>(text.size()));
  file += text;
}

void put_field(std::string& file, const GgufField& field) {
  constexpr GgufValue kTypes[] = {GgufValue::kUInt32, GgufValue::kFloat32, GgufValue::kText};
  put(file, field.first);
  put(file, kTypes[field.second.index()]);
  std::visit([&](const auto& value) { put(file, value); }, field.second);
}

uint32_t type_of(const TensorBytes& tensor) {
  const auto row = std::find_if(std::begin(kGgufTypes), std::end(kGgufTypes),
                                [&](const GgufType& type) { return type.dtype == tensor.dtype; });
  if (row == std::end(kGgufTypes))
    throw internal_error("tensor '{}': GGUF has no type {}", tensor.name,
                         layout_of(tensor.dtype).name);
  return row->number;
}

void check_size(const TensorBytes& tensor) {
  const Layout& layout = layout_of(tensor.dtype);
  int64_t numbers = 1;
  for (const int64_t size : tensor.shape) numbers *= size;
  if (static_cast<size_t>(numbers / layout.numbers * layout.bytes) == tensor.bytes.size()) return;
  throw internal_error("tensor '{}' has shape {} of {} but {} bytes", tensor.name,
                       shape_text(tensor.shape), layout.name, tensor.bytes.size());
}

uint64_t aligned(uint64_t bytes) {
  return (bytes + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment;
}

}  // namespace

std::string to_gguf(const std::vector<GgufField>& metadata,
                    const std::vector<TensorBytes>& tensors) {
  std::string file(kGgufMagic);
  put(file, kVersion);
  put(file, static_cast<uint64_t>(tensors.size()));
  put(file, static_cast<uint64_t>(metadata.size()));
  for (const GgufField& field : metadata) put_field(file, field);
  uint64_t offset = 0;
  for (const TensorBytes& tensor : tensors) {
    check_size(tensor);
    put(file, tensor.name);
    put(file, static_cast<uint32_t>(tensor.shape.size()));
    for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size)
      put(file, static_cast<uint64_t>(*size));
    put(file, type_of(tensor));
    put(file, offset);
    offset = aligned(offset + tensor.bytes.size());
  }
  for (const TensorBytes& tensor : tensors) {
    file.resize(aligned(file.size()));
    file += tensor.bytes;
  }
  file.resize(aligned(file.size()));
  return file;
}

}  // namespace rankwise
