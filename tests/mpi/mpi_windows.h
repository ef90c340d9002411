/* Windows of sluice.load/1 summed over processes. */
#ifndef MPI_WINDOWS_H
#define MPI_WINDOWS_H

#include "mpi_layer.h"

void mpi_windows(const sluice_api *api);

#endif
