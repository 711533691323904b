// Arrays and texts in HDF5 files, as token stores have them: one-dimensional, in compressed chunks
// with checksums. All of it needs hdf5_lock().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "distributed/checkpoint/hdf5.h"

namespace rankwise {

template <class Number>
hid_t hdf5_type();
template <>
inline hid_t hdf5_type<int64_t>() {
  return H5T_STD_I64LE;
}
template <>
inline hid_t hdf5_type<int32_t>() {
  return H5T_STD_I32LE;
}
template <>
inline hid_t hdf5_type<char>() {
  return H5T_STD_U8LE;
}
template <>
inline hid_t hdf5_type<float>() {
  return H5T_IEEE_F32LE;
}

inline void write_array(hid_t file, const char* name, hid_t type, const void* numbers,
                        hsize_t count) {
  constexpr hsize_t kChunk = 16384;
  const Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose, "making a space");
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "making a property list");
  checked(H5Pset_obj_track_times(creation, false), "turning times off");
  if (count > 0) {
    const hsize_t chunk = std::min(count, kChunk);
    checked(H5Pset_chunk(creation, 1, &chunk), "setting chunks");
    checked(H5Pset_shuffle(creation), "setting the order of bytes");
    checked(H5Pset_deflate(creation, 1), "setting compression");
    checked(H5Pset_fletcher32(creation), "setting checksums");
  }
  const Handle dataset(H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT),
                       H5Dclose, "making a dataset");
  if (count > 0)
    checked(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers), "writing a dataset");
}

template <class Number>
void write_array(hid_t file, const char* name, const std::vector<Number>& numbers) {
  write_array(file, name, hdf5_type<Number>(), numbers.data(), numbers.size());
}

inline void write_array(hid_t file, const char* name, const std::string& bytes) {
  write_array(file, name, hdf5_type<char>(), bytes.data(), bytes.size());
}

// Numbers begin … end - 1.
inline void read_array(hid_t dataset, hid_t type, hsize_t begin, hsize_t count, void* numbers) {
  if (count == 0) return;
  const Handle space(H5Dget_space(dataset), H5Sclose, "reading the shape");
  checked(H5Sselect_hyperslab(space, H5S_SELECT_SET, &begin, nullptr, &count, nullptr),
          "selecting numbers");
  const Handle memory(H5Screate_simple(1, &count, nullptr), H5Sclose, "making a space");
  checked(H5Dread(dataset, type, memory, space, H5P_DEFAULT, numbers), "reading a dataset");
}

// The whole array. Its length must be `count`.
template <class Number>
std::vector<Number> read_whole_array(hid_t file, const char* name, int64_t count) {
  const Handle dataset(H5Dopen2(file, name, H5P_DEFAULT), H5Dclose, "opening a dataset");
  const Handle space(H5Dget_space(dataset), H5Sclose, "reading the shape");
  if (H5Sget_simple_extent_ndims(space) != 1 || H5Sget_simple_extent_npoints(space) != count)
    throw Hdf5Failure{"finding a dataset's length right"};
  std::vector<Number> numbers(static_cast<size_t>(count));
  read_array(dataset, hdf5_type<Number>(), 0, static_cast<hsize_t>(count), numbers.data());
  return numbers;
}

}  // namespace rankwise
