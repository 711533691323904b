// libFuzzer on the safetensors header: what is accepted lies within the file, in order, without
// gaps.
#include <cstdlib>

#include "distributed/core/error.h"
#include "peft/hub/tensor_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rankwise;
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  try {
    const std::vector<TensorEntry> entries = parse_safetensors_header(file, size, "input");
    uint64_t end = entries.empty() ? size : entries.front().offset;
    for (const TensorEntry& entry : entries) {
      if (entry.offset != end || entry.bytes > size - end) std::abort();
      end += entry.bytes;
    }
    if (end != size) std::abort();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kModel) std::abort();
  }
  return 0;
}
