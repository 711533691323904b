// libFuzzer on the JSON parser. What it reads it can write, and reads back as the same value.
#include <cstdlib>

#include "peft/hub/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rankwise;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const RepeatedKey repeated : {RepeatedKey::kLastWins, RepeatedKey::kError}) {
    try {
      const Json value = parse_json(text, "input", ErrorKind::kInput, repeated);
      if (parse_json(pretty(value), "output", ErrorKind::kInternal) != value) std::abort();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kInput) std::abort();
    }
  }
  return 0;
}
