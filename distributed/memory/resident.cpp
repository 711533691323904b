// The kernel keeps a peak of resident pages, but not of proportional ones: what the peak was above
// the present is taken to have been the process's own.
#include "distributed/memory/resident.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

// "VmHWM:     123 kB"
int64_t bytes_of(const char* file, const std::string& name) {
  std::ifstream in(file);
  for (std::string word; in >> word;) {
    int64_t kilobytes = 0;
    if (word == name + ":" && in >> kilobytes) return kilobytes * 1024;
  }
  throw Error(ErrorKind::kMachine, fmt::format("{} does not tell {}", file, name));
}

}  // namespace

void reset_resident_peak() { std::ofstream("/proc/self/clear_refs") << 5; }

int64_t resident_peak_bytes() {
  const int64_t peak = bytes_of("/proc/self/status", "VmHWM");
  const int64_t now = bytes_of("/proc/self/status", "VmRSS");
  return bytes_of("/proc/self/smaps_rollup", "Pss") + std::max<int64_t>(0, peak - now);
}

}  // namespace rankwise
