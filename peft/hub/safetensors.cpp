// The .safetensors format, reading headers and writing files:
// https://github.com/huggingface/safetensors#format. A header is untrusted: no length or offset in
// it is used before it is checked.
#include <algorithm>
#include <fstream>

#include "peft/hub/json.h"
#include "peft/hub/tensor_file.h"

namespace rankwise {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference's own limit

// In the order in which the reference lays types out in a file.
constexpr Dtype kTypes[] = {Dtype::kInt64,    Dtype::kFloat64, Dtype::kFloat32, Dtype::kInt32,
                            Dtype::kBFloat16, Dtype::kFloat16, Dtype::kInt16,   Dtype::kInt8,
                            Dtype::kUInt8,    Dtype::kBool};

// Errors: kInternal: a block type.
const Dtype* row_of(Dtype dtype) {
  const Dtype* row = std::find(std::begin(kTypes), std::end(kTypes), dtype);
  if (row == std::end(kTypes))
    throw internal_error("safetensors has no type {}", layout_of(dtype).name);
  return row;
}

// The length of the header, from the first 8 bytes of the file. (Little-endian, as every machine
// that we build for.)
uint64_t header_bytes(std::string_view start, uint64_t file_bytes,
                      const std::filesystem::path& file) {
  uint64_t length = 0;
  if (file_bytes < kLengthBytes || start.size() < kLengthBytes) {
    throw model_error("{}: not a safetensors file: {} bytes long", file.string(), file_bytes);
  }
  std::copy_n(start.data(), kLengthBytes, reinterpret_cast<char*>(&length));
  if (length > kMaxHeaderBytes) {
    throw model_error(
        "{}: not a safetensors file, or damaged: its header would have {} bytes (at most {})",
        file.string(), length, kMaxHeaderBytes);
  }
  if (length > file_bytes - kLengthBytes) {
    throw model_error("{}: cut short: the header has {} bytes, the file {}", file.string(), length,
                      file_bytes);
  }
  return length;
}

// product × size, or nothing where it leaves 63 bits.
std::optional<uint64_t> bytes_of(const std::vector<int64_t>& shape, Dtype dtype) {
  int64_t bytes = layout_of(dtype).bytes;
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  }
  return uint64_t(bytes);
}

// One entry of the header, its offsets still relative to the data. `refuse` makes an Error that
// names file and tensor.
template <class Refuse>
TensorEntry parse_entry(const std::string& name, const Json& fields, const Refuse& refuse) {
  TensorEntry entry;
  entry.name = name;
  if (!fields.is_object()) throw refuse("is not an object");
  for (const char* field : {"dtype", "shape", "data_offsets"}) {
    if (!fields.contains(field)) throw refuse(fmt::format("has no '{}'", field));
  }
  const Json &dtype = fields["dtype"], &shape = fields["shape"], &offsets = fields["data_offsets"];
  const auto row = std::find_if(std::begin(kTypes), std::end(kTypes),
                                [&](Dtype row) { return dtype == layout_of(row).name; });
  if (row == std::end(kTypes))
    throw refuse(fmt::format("has the type {}, which is not supported", dtype.dump()));
  entry.dtype = *row;

  const auto is_size = [](const Json& number) {
    return number.is_number_unsigned() && number.get<uint64_t>() <= INT64_MAX;
  };
  if (!shape.is_array() || !std::all_of(shape.begin(), shape.end(), is_size))
    throw refuse("has a shape that is not a list of sizes");
  entry.shape = shape.get<std::vector<int64_t>>();
  if (!offsets.is_array() || offsets.size() != 2 || !is_size(offsets[0]) || !is_size(offsets[1]) ||
      offsets[0] > offsets[1]) {
    throw refuse(fmt::format("has data_offsets {}", offsets.dump()));
  }
  entry.offset = offsets[0].get<uint64_t>();
  entry.bytes = offsets[1].get<uint64_t>() - entry.offset;
  if (bytes_of(entry.shape, entry.dtype) != entry.bytes) {
    throw refuse(fmt::format("has shape {} of {} but {} bytes", shape_text(entry.shape),
                             layout_of(*row).name, entry.bytes));
  }
  return entry;
}

void check_metadata(const Json& metadata, const std::filesystem::path& file) {
  const auto is_text = [](const Json& value) { return value.is_string(); };
  if (!metadata.is_object() || !std::all_of(metadata.begin(), metadata.end(), is_text)) {
    throw model_error("{}: __metadata__ is not an object of strings", file.string());
  }
}

}  // namespace

std::vector<TensorEntry> parse_safetensors_header(std::string_view start, uint64_t file_bytes,
                                                  const std::filesystem::path& file) {
  const uint64_t length = header_bytes(start, file_bytes, file);
  const uint64_t data_start = kLengthBytes + length, data_bytes = file_bytes - data_start;
  if (start.size() < data_start) throw model_error("{}: the header is cut short", file.string());
  const Json header = parse_json(start.substr(kLengthBytes, length), file.string() + ": header",
                                 ErrorKind::kModel, RepeatedKey::kError);
  if (!header.is_object()) throw model_error("{}: the header is not an object", file.string());

  std::vector<TensorEntry> entries;
  for (const auto& [name, fields] : header.items()) {
    if (name == "__metadata__") {
      check_metadata(fields, file);
      continue;
    }
    entries.push_back(parse_entry(name, fields, [&, &name = name](const std::string& what) {
      return model_error("{}: tensor '{}' {}", file.string(), name, what);
    }));
  }
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
  });
  uint64_t end = 0;
  for (TensorEntry& entry : entries) {
    if (entry.offset != end) {
      throw model_error(
          "{}: tensor '{}' starts at byte {} of the data, but the one before it ends at {}",
          file.string(), entry.name, entry.offset, end);
    }
    end += entry.bytes;
    entry.offset += data_start;
    entry.file = file;
  }
  if (end != data_bytes) {
    throw model_error("{}: {}: its tensors have {} bytes, the file has {}", file.string(),
                      end > data_bytes ? "cut short" : "too long", end, data_bytes);
  }
  return entries;
}

std::vector<TensorEntry> read_safetensors_header(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  const auto file_bytes = in.tellg();
  std::string start(kLengthBytes, '\0');
  if (!in.seekg(0) || file_bytes < 0) throw model_error("cannot read {}", file.string());
  in.read(start.data(), kLengthBytes);
  start.resize(size_t(in.gcount()));
  const uint64_t length = header_bytes(start, uint64_t(file_bytes), file);
  start.resize(kLengthBytes + length);
  if (!in.read(start.data() + kLengthBytes, std::streamsize(length)))
    throw model_error("cannot read {}", file.string());
  return parse_safetensors_header(start, uint64_t(file_bytes), file);
}

std::string to_safetensors(std::vector<TensorBytes> tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorBytes& a, const TensorBytes& b) {
    const Dtype *left = row_of(a.dtype), *right = row_of(b.dtype);
    return std::tie(left, a.name) < std::tie(right, b.name);
  });
  std::string header = R"({"__metadata__":{"format":"pt"})";
  uint64_t end = 0;
  for (const TensorBytes& tensor : tensors) {
    if (bytes_of(tensor.shape, tensor.dtype) != tensor.bytes.size()) {
      throw internal_error("tensor '{}' has shape {} of {} but {} bytes", tensor.name,
                           shape_text(tensor.shape), layout_of(tensor.dtype).name,
                           tensor.bytes.size());
    }
    const uint64_t begin = end;
    end += tensor.bytes.size();
    header += fmt::format(R"(,{}:{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})",
                          Json(tensor.name).dump(), layout_of(tensor.dtype).name,
                          Json(tensor.shape).dump(), begin, end);
  }
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), kLengthBytes);
  file.reserve(kLengthBytes + length + end);
  file += header;
  for (const TensorBytes& tensor : tensors) file += tensor.bytes;
  return file;
}

}  // namespace rankwise
