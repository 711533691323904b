// libFuzzer on chat templates. A template that is not understood, or fails on a conversation, is an
// error of kind kModel or, raised by itself, kInput; the turns lie inside the text, in order.
#include <cstdlib>

#include "data/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rankwise;
  static const OrderedJson conversation = OrderedJson::parse(
      R"({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "na\u00efve"}], "tools": [{"a": [1, null, 2.5]}]})");
  if (size > 4096) return 0;
  try {
    const ChatTemplate made({reinterpret_cast<const char*>(data), size}, "input",
                            {{"eos_token", "</s>"}});
    const ChatText chat = made.render_turns(conversation, true, 0);
    for (const auto& [begin, end] : chat.assistant) {
      if (begin > end || end > chat.text.size()) std::abort();
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kModel && error.kind() != ErrorKind::kInput) std::abort();
  }
  return 0;
}
