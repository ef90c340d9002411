/* SPDX-License-Identifier: Apache-2.0
 * Ranks as threads of one process: a group, and for each rank the callbacks of sluice_comm. */
#ifndef SLUICE_COMM_THREADS_H
#define SLUICE_COMM_THREADS_H

#include "plugin.h"

#if defined(__cplusplus)
extern "C" {
#endif

typedef struct sluice_comm_threads sluice_comm_threads;

/* A group of `ranks` ranks; node [ranks] or NULL: all on one. NULL: no memory, or ranks is not
 * 1 ... 1024. */
sluice_comm_threads *sluice_comm_threads_create(int ranks, const int32_t *node);

/* The callbacks of one rank; valid until destroy. */
void sluice_comm_threads_get(sluice_comm_threads *group, int rank, sluice_comm *comm);

/* After every rank's context is closed. */
void sluice_comm_threads_destroy(sluice_comm_threads *group);

#if defined(__cplusplus)
}
#endif
#endif
