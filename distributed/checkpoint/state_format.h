// What the writer and the reader of state.h5 agree on: types, names of attributes, checksums.
//
// A dataset carries the attributes "dtype", "checksum" and perhaps "comment"; the root group
// carries the run's texts and a "checksum" of its own. A dataset's checksum covers its path, type,
// shape, comment and data; the root's covers all texts, and path and checksum of each dataset.
// Texts have a fixed length and end in a zero that is not part of them. Behind the end of the HDF5
// file, where its tools do not look, stands a seal: the checksum of every byte before it. HDF5 1.10
// can crash on a damaged file, so it only ever opens one whose seal holds.
#pragma once

#include <c10/core/ScalarType.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "distributed/checkpoint/hdf5.h"

namespace rankwise {

inline constexpr const char* kChecksumName = "checksum";
inline constexpr const char* kCommentName = "comment";
inline constexpr const char* kDtypeName = "dtype";

struct StoredType {
  const char* name;
  at::ScalarType type;
  hid_t hdf5;
};

// Needs the lock: HDF5 makes its types when it is first asked.
inline std::vector<StoredType> stored_types() {
  return {{"float32", at::kFloat, H5T_IEEE_F32LE}, {"float64", at::kDouble, H5T_IEEE_F64LE},
          {"int64", at::kLong, H5T_STD_I64LE},     {"int32", at::kInt, H5T_STD_I32LE},
          {"uint8", at::kByte, H5T_STD_U8LE},      {"bfloat16", at::kBFloat16, H5T_STD_U16LE}};
}

// zlib's CRC-32 over parts, each preceded by its length, so that nothing can move from one part to
// the next.
class Checksum {
 public:
  void add(std::string_view part) {
    const uint64_t size = part.size();
    add_bytes(&size, sizeof size);
    add_bytes(part.data(), part.size());
  }
  std::string text() const { return fmt::format("crc32:{:08x}", crc_); }

 private:
  void add_bytes(const void* bytes, size_t size) {
    if (size > 0) crc_ = crc32_z(crc_, static_cast<const Bytef*>(bytes), size);
  }
  uLong crc_ = crc32_z(0, nullptr, 0);
};

inline std::string dataset_checksum(std::string_view path, std::string_view dtype,
                                    std::span<const int64_t> shape, std::string_view comment,
                                    std::string_view data) {
  Checksum checksum;
  checksum.add(path);
  checksum.add(dtype);
  checksum.add(fmt::format("{}", fmt::join(shape, ",")));
  checksum.add(comment);
  checksum.add(data);
  return checksum.text();
}

using Texts = std::map<std::string, std::string>;

inline std::string root_checksum(const Texts& attributes, const Texts& dataset_checksums) {
  Checksum checksum;
  for (const Texts* texts : {&attributes, &dataset_checksums}) {
    checksum.add(std::to_string(texts->size()));
    for (const auto& [name, text] : *texts) {
      checksum.add(name);
      checksum.add(text);
    }
  }
  return checksum.text();
}

}  // namespace rankwise
