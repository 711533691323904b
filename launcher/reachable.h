// Whether a program on another host can be reached at all.
#pragma once

#include <string>

namespace rankwise {

// address: "10.1.0.4:35001", IPv4. Tries to connect for at most half a second, and says nothing to
// whoever answers.
bool is_reachable(const std::string& address);

}  // namespace rankwise
