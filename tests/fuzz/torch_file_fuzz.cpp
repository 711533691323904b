// libFuzzer on files of torch.save: what is accepted lies within the file.
#include <cstdlib>
#include <sstream>

#include "distributed/core/error.h"
#include "peft/hub/torch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rankwise;
  std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
  try {
    for (const TensorEntry& entry : parse_torch_file(in, size, "input")) {
      if (entry.offset > size || entry.bytes > size - entry.offset) std::abort();
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kModel) std::abort();
  }
  return 0;
}
