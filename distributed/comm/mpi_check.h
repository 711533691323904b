// MPI's return codes as errors.
#pragma once

#include <mpi.h>

#include <array>
#include <string_view>

#include "distributed/core/error.h"

namespace rankwise {

// Errors: kCommunication, with MPI's text.
inline void check_mpi(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw communication_error("{}: {}", what, std::string_view(text.data(), length));
}

}  // namespace rankwise
