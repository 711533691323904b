// Finds a dict's pickle and the storages of its tensors. The file is untrusted: every offset and
// size is held against the file's size before it is used. The archive's form: PKWARE's APPNOTE 6.3.
#include "peft/hub/torch_file.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>

#include "distributed/core/error.h"
#include "peft/hub/pickle.h"

namespace rankwise {
namespace {

struct Place {
  uint64_t offset = 0, bytes = 0;
};
using Storages = std::map<std::string, Place>;  // by key

class Input {
 public:
  Input(std::istream& in, uint64_t bytes, const std::filesystem::path& file)
      : in_(in), bytes_(bytes), file_(file) {}

  uint64_t bytes() const { return bytes_; }
  std::string name() const { return file_.string(); }
  std::string read(uint64_t offset, uint64_t count) const {
    if (offset > bytes_ || count > bytes_ - offset) throw error("is cut short or damaged");
    std::string part(count, '\0');
    in_.clear();
    in_.seekg(static_cast<std::streamoff>(offset));
    if (!in_.read(part.data(), static_cast<std::streamsize>(count))) throw error("cannot be read");
    return part;
  }
  template <class... Args>
  Error error(fmt::format_string<Args...> text, Args&&... args) const {
    return model_error("{}: {}", file_.string(), fmt::format(text, std::forward<Args>(args)...));
  }

 private:
  std::istream& in_;
  uint64_t bytes_;
  const std::filesystem::path& file_;
};

// A number of a record, lowest byte first.
template <class Number>
Number number_at(const std::string& record, size_t at) {
  Number number = 0;
  if (at + sizeof number <= record.size()) std::memcpy(&number, record.data() + at, sizeof number);
  return number;
}

constexpr uint32_t kEndRecord = 0x06054b50, kEndRecord64 = 0x06064b50, kCentralRecord = 0x02014b50,
                   kLocalRecord = 0x04034b50;

// Where the central directory of a zip archive is; nothing where the file is none.
std::optional<Place> central_directory(const Input& input) {
  constexpr uint64_t kEndBytes = 22, kLocatorBytes = 20, kEnd64Bytes = 56, kLongestComment = 65535;
  if (input.bytes() < kEndBytes) return std::nullopt;
  const uint64_t searched = std::min(input.bytes(), kEndBytes + kLongestComment);
  const uint64_t begin = input.bytes() - searched;
  const std::string tail = input.read(begin, searched);
  for (size_t at = searched - kEndBytes + 1; at-- > 0;) {
    if (number_at<uint32_t>(tail, at) != kEndRecord) continue;
    const uint64_t end = begin + at;
    const Place place{number_at<uint32_t>(tail, at + 16), number_at<uint32_t>(tail, at + 12)};
    if (place.offset != 0xffffffff && place.bytes != 0xffffffff) return place;
    if (end < kLocatorBytes) return std::nullopt;
    const auto at64 = number_at<uint64_t>(input.read(end - kLocatorBytes, kLocatorBytes), 8);
    const std::string record = input.read(at64, kEnd64Bytes);
    if (number_at<uint32_t>(record, 0) != kEndRecord64) return std::nullopt;
    return Place{number_at<uint64_t>(record, 48), number_at<uint64_t>(record, 40)};
  }
  return std::nullopt;
}

// Of a member of more than 4 GB: sizes and offset are in an extra field, each only where the record
// has no room for it.
void take_zip64(const std::string& extra, Place& place, uint64_t& packed_bytes) {
  for (size_t at = 0; at + 4 <= extra.size(); at += 4 + number_at<uint16_t>(extra, at + 2)) {
    if (number_at<uint16_t>(extra, at) != 1) continue;
    size_t next = at + 4;
    for (uint64_t* field : {&place.bytes, &packed_bytes, &place.offset}) {
      if (*field != 0xffffffff) continue;
      *field = number_at<uint64_t>(extra, next);
      next += 8;
    }
  }
}

// The members of the archive, without its one top folder: "data.pkl", "data/0" …
Storages archive_members(const Input& input, const Place& directory) {
  constexpr size_t kCentralBytes = 46, kLocalBytes = 30;
  const std::string records = input.read(directory.offset, directory.bytes);
  Storages members;
  for (size_t at = 0; at + kCentralBytes <= records.size();) {
    if (number_at<uint32_t>(records, at) != kCentralRecord)
      throw input.error("its list of parts is damaged");
    const size_t name_bytes = number_at<uint16_t>(records, at + 28),
                 extra_bytes = number_at<uint16_t>(records, at + 30),
                 comment_bytes = number_at<uint16_t>(records, at + 32);
    Place place{number_at<uint32_t>(records, at + 42), number_at<uint32_t>(records, at + 24)};
    uint64_t packed_bytes = number_at<uint32_t>(records, at + 20);
    const auto method = number_at<uint16_t>(records, at + 10);
    if (at + kCentralBytes + name_bytes + extra_bytes > records.size())
      throw input.error("its list of parts is cut short");
    const std::string name = records.substr(at + kCentralBytes, name_bytes);
    take_zip64(records.substr(at + kCentralBytes + name_bytes, extra_bytes), place, packed_bytes);
    at += kCentralBytes + name_bytes + extra_bytes + comment_bytes;
    if (method != 0 || packed_bytes != place.bytes)
      throw input.error("its part '{}' is compressed", name);
    const std::string local = input.read(place.offset, kLocalBytes);
    if (number_at<uint32_t>(local, 0) != kLocalRecord)
      throw input.error("its part '{}' is not where its list of parts says", name);
    place.offset += kLocalBytes + number_at<uint16_t>(local, 26) + number_at<uint16_t>(local, 28);
    members[name.substr(name.find('/') + 1)] = place;
  }
  return members;
}

// value × factor; `error` where it leaves 63 bits.
uint64_t times(uint64_t value, uint64_t factor, const Error& error) {
  if (__builtin_mul_overflow(value, factor, &value) || value > INT64_MAX) throw error;
  return value;
}

TensorEntry entry_of(const Input& input, const std::string& name, const PickledTensor& tensor,
                     const Storages& storages) {
  const auto refuse = [&](const std::string& what) {
    return input.error("tensor '{}' {}", name, what);
  };
  const auto storage = storages.find(tensor.storage.key);
  if (storage == storages.end())
    throw refuse(fmt::format("is in the storage '{}', which is missing", tensor.storage.key));
  const auto size = static_cast<uint64_t>(layout_of(tensor.storage.dtype).bytes);
  uint64_t numbers = 1;
  for (size_t d = tensor.shape.size(); d-- > 0;) {
    if (tensor.shape[d] > 1 && static_cast<uint64_t>(tensor.strides[d]) != numbers)
      throw refuse("is not contiguous");
    numbers = times(numbers, static_cast<uint64_t>(tensor.shape[d]), refuse("is too large"));
  }
  TensorEntry entry;
  entry.name = name;
  entry.dtype = tensor.storage.dtype;
  entry.shape = tensor.shape;
  entry.bytes = times(numbers, size, refuse("is too large"));
  const uint64_t first =
      times(static_cast<uint64_t>(tensor.first), size, refuse("begins too far behind"));
  const Place& place = storage->second;
  if (place.offset > input.bytes() || place.bytes > input.bytes() - place.offset ||
      first > place.bytes || entry.bytes > place.bytes - first)
    throw refuse("reaches beyond its storage, or the file is cut short");
  entry.offset = place.offset + first;
  return entry;
}

std::vector<TensorEntry> entries_of(const Input& input, const PickledValue& value,
                                    const Storages& storages) {
  if (value.kind != PickledValue::Kind::kDict) throw input.error("holds no dict of tensors");
  std::vector<TensorEntry> entries;
  for (size_t i = 0; i < value.entries.size(); i += 2) {
    const PickledValue &key = *value.entries[i], &tensor = *value.entries[i + 1];
    if (key.kind != PickledValue::Kind::kText) throw input.error("holds a dict without names");
    if (tensor.kind != PickledValue::Kind::kTensor)
      throw input.error("'{}' is not a tensor", key.text);
    entries.push_back(entry_of(input, key.text, tensor.tensor, storages));
  }
  return entries;
}

std::vector<TensorEntry> parse_archive(const Input& input, const Place& directory) {
  const Storages members = archive_members(input, directory);
  const auto pickle = members.find("data.pkl");
  if (pickle == members.end()) throw input.error("is an archive, but has no data.pkl");
  if (const auto order = members.find("byteorder"); order != members.end()) {
    if (input.read(order->second.offset, order->second.bytes) != "little")
      throw input.error("holds numbers of the other byte order");
  }
  Storages storages;
  for (const auto& [name, place] : members) {
    if (name.starts_with("data/")) storages[name.substr(5)] = place;
  }
  const std::string bytes = input.read(pickle->second.offset, pickle->second.bytes);
  const Unpickler unpickler(bytes, input.name());
  return entries_of(input, unpickler.value(), storages);
}

// Three pickles that describe the machine, the dict, the storages' keys; then each storage: how
// many numbers, and they.
std::vector<TensorEntry> parse_legacy(const Input& input) {
  constexpr uint64_t kMostPickleBytes = uint64_t{1} << 26;
  const std::string bytes = input.read(0, std::min(input.bytes(), kMostPickleBytes));
  std::string_view left = bytes;
  const auto next = [&] {
    Unpickler unpickler(left, input.name());
    left.remove_prefix(unpickler.size());
    return unpickler;
  };
  for (int i = 0; i < 3; ++i) next();
  const Unpickler dict = next(), keys = next();
  std::map<std::string, uint64_t> number_bytes;
  for (const PickledValue* value : dict.value().entries) {
    if (value->kind != PickledValue::Kind::kTensor) continue;
    const PickledStorage& storage = value->tensor.storage;
    number_bytes[storage.key] = static_cast<uint64_t>(layout_of(storage.dtype).bytes);
  }
  Storages storages;
  uint64_t offset = bytes.size() - left.size();
  for (const PickledValue* key : keys.value().entries) {
    const auto numbers = number_at<uint64_t>(input.read(offset, 8), 0);
    Place place{offset + 8, times(numbers, number_bytes[key->text], input.error("is damaged"))};
    if (place.bytes > input.bytes() - place.offset) throw input.error("is cut short");
    storages[key->text] = place;
    offset = place.offset + place.bytes;
  }
  return entries_of(input, dict.value(), storages);
}

}  // namespace

std::vector<TensorEntry> parse_torch_file(std::istream& in, uint64_t file_bytes,
                                          const std::filesystem::path& file) {
  const Input input(in, file_bytes, file);
  const std::optional<Place> directory = central_directory(input);
  std::vector<TensorEntry> entries =
      directory ? parse_archive(input, *directory) : parse_legacy(input);
  for (TensorEntry& entry : entries) entry.file = file;
  return entries;
}

std::vector<TensorEntry> read_torch_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  const auto bytes = in.tellg();
  if (bytes < 0) throw model_error("cannot read {}", file.string());
  return parse_torch_file(in, static_cast<uint64_t>(bytes), file);
}

}  // namespace rankwise
