// /proc/cpuinfo and LibTorch's choice.
#include "launcher/processor.h"

#include <ATen/Version.h>
#include <fmt/format.h>

#include <fstream>
#include <map>

namespace rankwise {

std::string processor_kind() {
  std::map<std::string, std::string> values;  // of the first processor
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line) && !line.empty();) {
    const size_t colon = line.find(':'), end = line.find_last_not_of(" \t", colon - 1);
    if (colon != std::string::npos && colon + 2 < line.size())
      values[line.substr(0, end + 1)] = line.substr(colon + 2);
  }
  return fmt::format("{} ({} {}/{}, {})", values["model name"], values["vendor_id"],
                     values["cpu family"], values["model"], at::get_cpu_capability());
}

}  // namespace rankwise
