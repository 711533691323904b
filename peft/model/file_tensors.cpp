// Which type of a file is which of LibTorch's, and how a file's numbers become the model's.
#include "peft/model/file_tensors.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "distributed/core/error.h"
#include "peft/base/kernels/blocks.h"
#include "peft/hub/gguf_model.h"

namespace rankwise {
namespace {

constexpr int64_t kChunkBytes = 4 << 20;  // of the file at a time

void read_exactly(int file, const TensorEntry& entry, uint64_t first, uint64_t bytes, void* to) {
  for (uint64_t done = 0; done < bytes;) {
    const ssize_t got = pread(file, static_cast<char*>(to) + done, bytes - done,
                              static_cast<off_t>(entry.offset + first + done));
    if (got <= 0) throw model_error("{}: cannot read tensor '{}'", entry.file.string(), entry.name);
    done += static_cast<uint64_t>(got);
  }
}

// A tensor as a matrix: a vector is one row, or one row a number where rows are to be moved.
struct Matrix {
  int64_t rows = 1, columns = 1;
  explicit Matrix(const TensorEntry& entry) {
    for (const int64_t size : entry.shape) rows *= size;
    const bool is_vector = entry.shape.size() < 2;
    if (!entry.shape.empty() && !(is_vector && entry.interleaved_heads > 0))
      columns = entry.shape.back();
    rows /= std::max<int64_t>(columns, 1);
  }
};

// Where a row of the file belongs in the model.
int64_t target_row(const TensorEntry& entry, const Matrix& matrix, int64_t row) {
  return entry.interleaved_heads == 0 ? row : model_row(row, matrix.rows, entry.interleaved_heads);
}

// Whether its numbers are in blocks, or not those of the model, or not in their order.
bool is_packed(const TensorEntry& entry) {
  return layout_of(entry.dtype).is_block() || entry.interleaved_heads > 0 || entry.added != 0;
}

// Row by row: unpack, undo, convert.
void read_rows(int file, const TensorEntry& entry, at::ScalarType type, std::byte* to) {
  const Matrix matrix(entry);
  const Layout& layout = layout_of(entry.dtype);
  const int64_t row_bytes = matrix.columns / layout.numbers * layout.bytes;
  const int64_t chunk = std::max<int64_t>(1, kChunkBytes / std::max<int64_t>(1, row_bytes));
  const auto target_bytes = matrix.columns * static_cast<int64_t>(at::elementSize(type));
  std::vector<uint8_t> raw(static_cast<size_t>(std::min(chunk, matrix.rows) * row_bytes));
  for (int64_t begin = 0; begin < matrix.rows; begin += chunk) {
    const int64_t rows = std::min(chunk, matrix.rows - begin);
    read_exactly(file, entry, static_cast<uint64_t>(begin * row_bytes),
                 static_cast<uint64_t>(rows * row_bytes), raw.data());
    at::parallel_for(0, rows, 16, [&](int64_t first, int64_t last) {
      std::vector<float> scratch(type == at::kFloat ? 0 : static_cast<size_t>(matrix.columns));
      for (int64_t row = first; row < last; ++row) {
        std::byte* target = to + target_row(entry, matrix, begin + row) * target_bytes;
        float* numbers = type == at::kFloat ? reinterpret_cast<float*>(target) : scratch.data();
        kernels::unpack_rows(entry.dtype, raw.data(), matrix.columns, row, row + 1, numbers);
        for (int64_t i = 0; entry.added != 0 && i < matrix.columns; ++i) numbers[i] -= entry.added;
        if (type == at::kFloat) continue;
        at::from_blob(target, matrix.columns, type)
            .copy_(at::from_blob(numbers, matrix.columns, at::kFloat));
      }
    });
  }
}

}  // namespace

at::ScalarType scalar_type(const TensorEntry& entry) {
  switch (entry.dtype) {
    case Dtype::kFloat32:
      return at::kFloat;
    case Dtype::kFloat16:
      return at::kHalf;
    case Dtype::kBFloat16:
      return at::kBFloat16;
    case Dtype::kFloat64:
      return at::kDouble;
    default:
      throw model_error("{}: tensor '{}' is {}, not a floating-point type", entry.file.string(),
                        entry.name, layout_of(entry.dtype).name);
  }
}

bool is_verbatim(const TensorEntry& entry, at::ScalarType type) {
  return !is_packed(entry) && scalar_type(entry) == type;
}

Descriptor open_file(const std::filesystem::path& file) {
  Descriptor opened(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (opened.get() < 0) throw model_error("{}: cannot be opened", file.string());
  return opened;
}

void read_through(int file, const TensorEntry& entry) {
  std::vector<std::byte> chunk(kChunkBytes);
  for (uint64_t done = 0; done < entry.bytes; done += chunk.size())
    read_exactly(file, entry, done, std::min(chunk.size(), entry.bytes - done), chunk.data());
}

void read_tensor(int file, const TensorEntry& entry, at::ScalarType type, void* to) {
  if (is_packed(entry) && kernels::can_unpack(entry.dtype))
    return read_rows(file, entry, type, static_cast<std::byte*>(to));
  const at::ScalarType held = scalar_type(entry);
  if (held == type) return read_exactly(file, entry, 0, entry.bytes, to);
  at::Tensor original = at::empty(entry.shape, at::TensorOptions().dtype(held));
  read_exactly(file, entry, 0, entry.bytes, original.data_ptr());
  at::from_blob(to, entry.shape, at::TensorOptions().dtype(type)).copy_(original);
}

at::Tensor read_tensor(const TensorEntry& entry) {
  const Descriptor file = open_file(entry.file);
  at::Tensor value = at::empty(entry.shape, at::kFloat);
  read_tensor(file.get(), entry, at::kFloat, value.data_ptr());
  return value;
}

void read_blocks(int file, const TensorEntry& entry, void* to) {
  const Matrix matrix(entry);
  const uint64_t row_bytes = entry.bytes / static_cast<uint64_t>(matrix.rows);
  std::vector<std::byte> raw(entry.bytes);
  read_exactly(file, entry, 0, entry.bytes, raw.data());
  for (int64_t row = 0; row < matrix.rows; ++row) {
    const auto target = static_cast<uint64_t>(target_row(entry, matrix, row));
    std::memcpy(static_cast<std::byte*>(to) + target * row_bytes,
                raw.data() + static_cast<uint64_t>(row) * row_bytes, row_bytes);
  }
}

TensorBytes tensor_bytes(std::string name, const at::Tensor& value, at::ScalarType type) {
  const at::Tensor held = value.detach().cpu().to(type).contiguous();
  const Dtype dtype = type == at::kBFloat16 ? Dtype::kBFloat16
                      : type == at::kHalf   ? Dtype::kFloat16
                                            : Dtype::kFloat32;
  return {std::move(name), dtype, held.sizes().vec(),
          std::string(static_cast<const char*>(held.const_data_ptr()), held.nbytes())};
}

}  // namespace rankwise
