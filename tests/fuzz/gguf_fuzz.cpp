// libFuzzer on GGUF: what is accepted lies within the file; model, config and tokenizer of it are
// read or refused.
#include <cstdlib>
#include <sstream>

#include "peft/hub/gguf_model.h"

namespace {

template <class Call>
void try_to(Call&& call) {
  try {
    call();
  } catch (const rankwise::Error& error) {
    if (error.kind() != rankwise::ErrorKind::kModel) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rankwise;
  std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
  try_to([&] {
    const Gguf gguf = parse_gguf(in, size, "/dev/null");
    for (const TensorEntry& entry : gguf.tensors) {
      if (entry.offset > size || entry.bytes > size - entry.offset) std::abort();
    }
    try_to([&] { gguf_model_tensors(gguf); });
    try_to([&] { gguf_tokenizer(gguf); });
  });
  return 0;
}
