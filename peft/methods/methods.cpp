// The list of methods. To add one: write its file, declare its maker here, add a line.
#include "peft/methods/method.h"

namespace rankwise {

std::unique_ptr<Method> make_adalora();
std::unique_ptr<Method> make_bottleneck();
std::unique_ptr<Method> make_ia3();
std::unique_ptr<Method> make_lora();
std::unique_ptr<Method> make_p_tuning();
std::unique_ptr<Method> make_prefix_tuning();
std::unique_ptr<Method> make_prompt_tuning();
std::unique_ptr<Method> make_vera();

const std::vector<MethodEntry>& methods() {
  static const std::vector<MethodEntry> list = {{"LORA", make_lora},
                                                {"IA3", make_ia3},
                                                {"VERA", make_vera},
                                                {"ADALORA", make_adalora},
                                                {"BOTTLENECK", make_bottleneck},
                                                {"PROMPT_TUNING", make_prompt_tuning},
                                                {"PREFIX_TUNING", make_prefix_tuning},
                                                {"P_TUNING", make_p_tuning}};
  return list;
}

std::unique_ptr<Method> make_method(const std::string& peft_type) {
  std::vector<std::string> known;
  for (const MethodEntry& entry : methods()) {
    if (peft_type == entry.peft_type) return entry.make();
    known.emplace_back(entry.peft_type);
  }
  const std::string near = nearest_name(peft_type, known);
  throw Error(ErrorKind::kUsage,
              fmt::format("--peft_type {}: not a method that is supported", peft_type),
              near.empty() ? fmt::format("supported: {}", fmt::join(known, ", "))
                           : fmt::format("did you mean {}?", near));
}

}  // namespace rankwise
