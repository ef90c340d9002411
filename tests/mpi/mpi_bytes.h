/* The callbacks alone, without the plugin. */
#ifndef MPI_BYTES_H
#define MPI_BYTES_H

#include "mpi_check.h"

void mpi_bytes(void);

#endif
