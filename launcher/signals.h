// Turns signals into a stop request. A handler only sets a flag; ranks agree on stopping at the
// next update.
#pragma once

#include <atomic>

namespace rankwise {

// SIGTERM, SIGINT and SIGUSR1 set the flag from now on; a second SIGINT ends the process at once.
// Where this is never called, signals end the process as ever (128+n).
void watch_signals();

const std::atomic<bool>& stop_request();

}  // namespace rankwise
