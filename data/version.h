// The version of ICU, for --version.
#pragma once

#include <string>

namespace rankwise {

std::string icu_version();

}  // namespace rankwise
