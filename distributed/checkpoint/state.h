// What a checkpoint holds, and its form as an HDF5 file: one dataset a tensor with a checksum, one
// attribute a setting. Nothing in it depends on the rank count. `h5dump -A` explains it.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

namespace rankwise {

struct State {
  // Path inside the file ("adapter/…", "optimizer/exp_avg") → CPU tensor.
  std::map<std::string, at::Tensor> tensors;
  // Texts on the root group.
  std::map<std::string, std::string> attributes;
  // Path of a tensor → what it is, stored as attribute "comment" of its dataset.
  std::map<std::string, std::string> comments;
};

// The bytes of an HDF5 file, built in memory. float32, float64, int64, int32, uint8, bfloat16 (as
// uint16 with an attribute). The same state gives the same bytes. Errors: kInternal.
std::string to_hdf5(const State& state);

// What stands behind the HDF5 file in state.h5: a checksum of every byte of it.
std::string seal_of(std::string_view hdf5_file);

// Reads and verifies every checksum. Errors: kModel, naming file and dataset.
State read_hdf5(const std::filesystem::path& file);

}  // namespace rankwise
