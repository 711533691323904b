// Reads the header of a GGUF file. It is untrusted: a length or a count is compared with what is
// left of the file before anything is read or allocated.
#include "peft/hub/gguf.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <unordered_set>

namespace rankwise {
namespace {

constexpr uint32_t kMostDimensions = 4;  // GGML_MAX_DIMS
constexpr int kMostNesting = 8;

// The bytes of the header, in order. `what` names what is being read.
class Reader {
 public:
  Reader(std::istream& in, uint64_t file_bytes, const std::filesystem::path& file)
      : in_(in), file_bytes_(file_bytes), file_(file) {}

  template <class Number>
  Number number(const std::string& what) {
    Number value;
    read(&value, sizeof value, what);
    return value;
  }
  std::string text(const std::string& what) {
    const auto length = number<uint64_t>(what);
    check(length, what);
    std::string value(length, '\0');
    read(value.data(), length, what);
    return value;
  }
  // A number of things of at least `least_bytes` each.
  uint64_t count(uint64_t least_bytes, const std::string& what) {
    const auto count = number<uint64_t>(what);
    if (count > left() / least_bytes) {
      throw error("{} would have {} entries, but the file has only {} bytes left", what, count,
                  left());
    }
    return count;
  }
  uint64_t position() const { return position_; }
  template <class... Args>
  Error error(fmt::format_string<Args...> text, Args&&... args) const {
    return model_error("{}: {}", file_.string(), fmt::format(text, std::forward<Args>(args)...));
  }

 private:
  uint64_t left() const { return file_bytes_ - position_; }
  void check(uint64_t bytes, const std::string& what) const {
    if (bytes <= left()) return;
    throw error("cut short, or damaged: {} needs {} bytes at byte {}, the file has {}", what, bytes,
                position_, file_bytes_);
  }
  void read(void* to, uint64_t bytes, const std::string& what) {
    check(bytes, what);
    if (!in_.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes)))
      throw error("cannot be read");
    position_ += bytes;
  }

  std::istream& in_;
  uint64_t file_bytes_, position_ = 0;
  const std::filesystem::path& file_;
};

// A float32 as the double with the same shortest decimal, so that 1e-05 stays 1e-05.
double shortest(float value) {
  char text[32];
  const char* end = std::to_chars(std::begin(text), std::end(text), value).ptr;
  double result = value;
  std::from_chars(text, end, result);
  return result;
}

uint64_t least_bytes(GgufValue type) {
  switch (type) {
    case GgufValue::kUInt8:
    case GgufValue::kInt8:
    case GgufValue::kBool:
      return 1;
    case GgufValue::kUInt16:
    case GgufValue::kInt16:
      return 2;
    case GgufValue::kUInt32:
    case GgufValue::kInt32:
    case GgufValue::kFloat32:
      return 4;
    case GgufValue::kList:
      return 12;
    default:
      return 8;
  }
}

Json read_value(Reader& reader, GgufValue type, const std::string& what, int nesting = 0);

Json read_list(Reader& reader, const std::string& what, int nesting) {
  if (nesting >= kMostNesting)
    throw reader.error("{} has lists within lists, more than {} deep", what, kMostNesting);
  const auto type = GgufValue{reader.number<uint32_t>(what)};
  const uint64_t count = reader.count(least_bytes(type), what);
  Json list = Json::array();
  list.get_ref<Json::array_t&>().reserve(count);
  for (uint64_t i = 0; i < count; ++i) list.push_back(read_value(reader, type, what, nesting + 1));
  return list;
}

Json read_value(Reader& reader, GgufValue type, const std::string& what, int nesting) {
  switch (type) {
    case GgufValue::kUInt8:
      return reader.number<uint8_t>(what);
    case GgufValue::kInt8:
      return reader.number<int8_t>(what);
    case GgufValue::kUInt16:
      return reader.number<uint16_t>(what);
    case GgufValue::kInt16:
      return reader.number<int16_t>(what);
    case GgufValue::kUInt32:
      return reader.number<uint32_t>(what);
    case GgufValue::kInt32:
      return reader.number<int32_t>(what);
    case GgufValue::kFloat32:
      return shortest(reader.number<float>(what));
    case GgufValue::kBool:
      return reader.number<uint8_t>(what) != 0;
    case GgufValue::kText:
      return reader.text(what);
    case GgufValue::kList:
      return read_list(reader, what, nesting);
    case GgufValue::kUInt64:
      return reader.number<uint64_t>(what);
    case GgufValue::kInt64:
      return reader.number<int64_t>(what);
    case GgufValue::kFloat64:
      return reader.number<double>(what);
  }
  throw reader.error("{} has values of the type {}, which is not one of GGUF's", what,
                     static_cast<uint32_t>(type));
}

struct Counts {
  uint64_t tensors, values;
};

Counts read_start(Reader& reader) {
  const auto magic = reader.number<uint32_t>("the magic number");
  if (std::string_view(reinterpret_cast<const char*>(&magic), 4) != kGgufMagic)
    throw reader.error("not a GGUF file: it does not begin with 'GGUF'");
  const auto version = reader.number<uint32_t>("the version");
  if (version != 2 && version != 3) {
    const uint32_t swapped = __builtin_bswap32(version);
    if (swapped == 2 || swapped == 3)
      throw reader.error("is in big-endian byte order, which is not supported");
    throw reader.error("has GGUF version {}; 2 and 3 are supported", version);
  }
  // A tensor: length of its name, dimensions, type, offset. A value: length of its key, type, byte.
  const uint64_t tensors = reader.count(24, "the list of tensors");
  return {tensors, reader.count(13, "the metadata")};
}

GgufMetadata read_metadata(Reader& reader, uint64_t count, const std::filesystem::path& file) {
  GgufMetadata metadata(file);
  for (uint64_t i = 0; i < count; ++i) {
    const std::string key = reader.text(fmt::format("key {}", i));
    const std::string what = fmt::format("'{}'", key);
    const auto type = GgufValue{reader.number<uint32_t>(what)};
    if (!metadata.add(key, read_value(reader, type, what)))
      throw reader.error("{} is there twice", what);
  }
  return metadata;
}

// Bytes of a tensor; nothing where that leaves 63 bits. The last dimension is in whole blocks.
std::optional<uint64_t> bytes_of(const TensorEntry& entry) {
  const Layout& layout = layout_of(entry.dtype);
  int64_t bytes = layout.bytes;
  for (size_t i = 0; i < entry.shape.size(); ++i) {
    const bool last = i + 1 == entry.shape.size();
    const int64_t size = last ? entry.shape[i] / layout.numbers : entry.shape[i];
    if (__builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  }
  return static_cast<uint64_t>(bytes);
}

Dtype read_type(Reader& reader, const std::string& what) {
  const auto number = reader.number<uint32_t>(what);
  const auto type = std::find_if(std::begin(kGgufTypes), std::end(kGgufTypes),
                                 [&](const GgufType& row) { return row.number == number; });
  if (type != std::end(kGgufTypes)) return type->dtype;
  std::vector<std::string_view> known;
  for (const GgufType& row : kGgufTypes) known.push_back(layout_of(row.dtype).name);
  throw reader.error("{} has ggml's type {}, which is not supported (supported are {})", what,
                     number, fmt::join(known, ", "));
}

// Its offset is relative to the data.
TensorEntry read_tensor(Reader& reader, uint64_t index) {
  TensorEntry entry;
  entry.name = reader.text(fmt::format("the name of tensor {}", index));
  const std::string what = fmt::format("tensor '{}'", entry.name);
  const auto dimensions = reader.number<uint32_t>(what);
  if (dimensions > kMostDimensions)
    throw reader.error("{} has {} dimensions, more than {}", what, dimensions, kMostDimensions);
  for (uint32_t i = 0; i < dimensions; ++i) {
    const auto size = reader.number<uint64_t>(what);
    if (size > INT64_MAX) throw reader.error("{} has a dimension of {}", what, size);
    entry.shape.insert(entry.shape.begin(), static_cast<int64_t>(size));  // fastest first
  }
  entry.dtype = read_type(reader, what);
  const Layout& layout = layout_of(entry.dtype);
  if (layout.is_block() && (entry.shape.empty() || entry.shape.back() % layout.numbers != 0)) {
    throw reader.error("{} has shape {}, but {} holds rows of whole blocks of {}", what,
                       shape_text(entry.shape), layout.name, layout.numbers);
  }
  const std::optional<uint64_t> bytes = bytes_of(entry);
  if (!bytes) throw reader.error("{} has shape {}, too large", what, shape_text(entry.shape));
  entry.bytes = *bytes;
  entry.offset = reader.number<uint64_t>(what);
  return entry;
}

uint64_t alignment_of(const GgufMetadata& metadata) {
  const std::string key = "general.alignment";
  if (!metadata.has(key)) return kGgufAlignment;
  const int64_t value = metadata.integer(key);
  if (value <= 0 || value > (1 << 30) || (value & (value - 1)) != 0)
    throw metadata.error(key, fmt::format("is {}, not a power of two", value));
  return static_cast<uint64_t>(value);
}

// Makes offsets absolute; every tensor lies within the file and on no other.
void check_places(std::vector<TensorEntry>& tensors, uint64_t data_start, uint64_t alignment,
                  uint64_t file_bytes, const std::filesystem::path& file) {
  const uint64_t data_bytes = file_bytes - std::min(file_bytes, data_start);
  for (TensorEntry& entry : tensors) {
    const auto refuse = [&](const std::string& what) {
      return model_error("{}: tensor '{}' {}", file.string(), entry.name, what);
    };
    if (entry.offset % alignment != 0)
      throw refuse(fmt::format("starts at byte {} of the data, not a multiple of {}", entry.offset,
                               alignment));
    if (entry.offset > data_bytes || entry.bytes > data_bytes - entry.offset) {
      throw refuse(fmt::format("has {} bytes at byte {} of the data, which has {}", entry.bytes,
                               entry.offset, data_bytes));
    }
    entry.offset += data_start;
    entry.file = file;
  }
  std::vector<const TensorEntry*> ordered;
  for (const TensorEntry& entry : tensors) ordered.push_back(&entry);
  std::sort(ordered.begin(), ordered.end(), [](auto* a, auto* b) {
    return std::tie(a->offset, a->bytes) < std::tie(b->offset, b->bytes);
  });
  for (size_t i = 1; i < ordered.size(); ++i) {
    const TensorEntry &before = *ordered[i - 1], &entry = *ordered[i];
    if (entry.offset < before.offset + before.bytes) {
      throw model_error("{}: tensor '{}' starts at byte {}, but '{}' ends at {}", file.string(),
                        entry.name, entry.offset, before.name, before.offset + before.bytes);
    }
  }
}

}  // namespace

Gguf parse_gguf(std::istream& in, uint64_t file_bytes, const std::filesystem::path& file) {
  Reader reader(in, file_bytes, file);
  const Counts counts = read_start(reader);
  Gguf gguf{read_metadata(reader, counts.values, file), {}};
  std::unordered_set<std::string> names;
  for (uint64_t i = 0; i < counts.tensors; ++i) {
    gguf.tensors.push_back(read_tensor(reader, i));
    const std::string& name = gguf.tensors.back().name;
    if (!names.insert(name).second) throw reader.error("tensor '{}' is there twice", name);
  }
  const uint64_t alignment = alignment_of(gguf.metadata);
  const uint64_t data_start = (reader.position() + alignment - 1) / alignment * alignment;
  check_places(gguf.tensors, data_start, alignment, file_bytes, file);
  return gguf;
}

Gguf read_gguf(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  const auto file_bytes = in.tellg();
  if (!in.seekg(0) || file_bytes < 0) throw model_error("cannot read {}", file.string());
  return parse_gguf(in, static_cast<uint64_t>(file_bytes), file);
}

}  // namespace rankwise
