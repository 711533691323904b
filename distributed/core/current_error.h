// Any exception as an Error.
#pragma once

#include <string_view>

#include "distributed/core/error.h"

namespace rankwise {

// To be called in a catch block. An Error stays itself; no memory, LibTorch's included, is
// kMachine; anything else is kInternal: a bug of ours. `doing` says what was going on.
Error current_error(std::string_view doing);

}  // namespace rankwise
