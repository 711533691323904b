// The files of torch.save: a zip archive (torch 1.6 and later) or pickles end to end (before). Both
// hold a dict of tensors, name → tensor, whose numbers stand in the file as they are.
#pragma once

#include <cstdint>
#include <filesystem>
#include <istream>
#include <vector>

#include "peft/hub/tensor_file.h"

namespace rankwise {

// Errors: kModel naming file and tensor: cut short or damaged, compressed, something else than a
// dict of tensors, a tensor that is not contiguous or reaches beyond its storage.
std::vector<TensorEntry> read_torch_file(const std::filesystem::path& file);
// The same on an open file of `file_bytes` bytes.
std::vector<TensorEntry> parse_torch_file(std::istream& in, uint64_t file_bytes,
                                          const std::filesystem::path& file);

}  // namespace rankwise
