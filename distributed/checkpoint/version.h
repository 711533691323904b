// The version of HDF5, for --version.
#pragma once

#include <string>

namespace rankwise {

std::string hdf5_version();

}  // namespace rankwise
