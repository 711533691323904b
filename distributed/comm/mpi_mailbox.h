// Letters as point-to-point messages of MPI, so that they take the way that collectives take.
#pragma once

#include <mpi.h>

#include <memory>

#include "distributed/watch/mailbox.h"

namespace rankwise {

// Collective. comm is duplicated: letters never meet other messages. Must be gone before MPI ends.
std::unique_ptr<Mailbox> mpi_mailbox(MPI_Comm comm);

}  // namespace rankwise
