// How much physical memory a process takes, as Linux counts it (proc(5)).
#pragma once

#include <cstdint>

namespace rankwise {

// From here on resident_peak_bytes() tells the peak. Where the kernel does not allow it, the peak
// is that of the process's life.
void reset_resident_peak();

// The peak of this process; of pages that others map too, its part. Summed over the ranks of a
// node: what the job takes there. Errors: kMachine: no /proc.
int64_t resident_peak_bytes();

}  // namespace rankwise
