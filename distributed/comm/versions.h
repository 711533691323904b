// The versions of the libraries behind the communicators, for --version.
#pragma once

#include <string>

namespace rankwise {

std::string mpi_version();   // "Open MPI v4.1.4"; MPI need not be started
std::string nccl_version();  // "2.30.7"; "" where it is not built in (nccl.cpp, nccl_absent.cpp)

}  // namespace rankwise
