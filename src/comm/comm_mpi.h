/* SPDX-License-Identifier: Apache-2.0
 * Ranks as processes of MPI: the callbacks of sluice_comm over a communicator of the engine.
 *
 * The engine calls create once on every rank after MPI_Init, while all live, and get once for every
 * context, with another group number each time:
 *
 *     sluice_comm comm;
 *     sluice_comm_mpi *world = sluice_comm_mpi_create(MPI_COMM_WORLD, NULL);
 *     if (!world || sluice_comm_mpi_get(world, 0, NULL, &comm) != SLUICE_OK) ...
 *     config.comm = &comm;
 *
 * ownership  The engine's communicator is duplicated and may be freed. Everything sent and received
 *            is staged in memory of this library, so that a buffer of the caller is never in MPI's
 *            hands and is free again when the call has ended, at its deadline too.
 * threads    Callbacks may come from any thread; a lock lets one at a time into MPI. So
 *            MPI_THREAD_SERIALIZED is enough where the engine makes no call of MPI meanwhile,
 *            MPI_THREAD_MULTIPLE where it does, and FUNNELED where one thread does all. `cancel`
 *            does not call MPI. Messages move only while a call of this library runs.
 * deadline   Only non-blocking point-to-point calls are used, and every wait ends at its own
 *            deadline with PEER_LOST and the lowest rank that has not answered. The rank that
 *            notices first tells the others of the group, so that they name the same. A collective
 *            is no barrier: a rank that has all its parts may learn of a failure one call later.
 * errors     The communicator has MPI_ERRORS_RETURN; what MPI reports about a rank is PEER_LOST of
 *            that rank. Many launchers end all ranks when one is killed; to survive, they must be
 *            told not to (Open MPI: mpiexec --enable-recovery), and over TCP the engine must ignore
 *            SIGPIPE. A failure stands on its channel until `resume`. Every message carries its
 *            group and era, so that late ones are not taken for new ones. After a loss the engine
 *            goes on with a smaller group: get with the new mask, then `set` of sluice.ranks/1.
 *            That takes no message. */
#ifndef SLUICE_COMM_MPI_H
#define SLUICE_COMM_MPI_H

#include <mpi.h>

#include "plugin.h"

#if defined(__cplusplus)
extern "C" {
#endif

#if defined(__GNUC__)
#define SLUICE_COMM_MPI_PUBLIC __attribute__((visibility("default")))
#else
#define SLUICE_COMM_MPI_PUBLIC
#endif

typedef struct sluice_comm_mpi sluice_comm_mpi;

/* Collective over `comm`, and waits for it as MPI does. node [size] or NULL: ranks that share
 * memory are on one. NULL: MPI is not running or refuses, no memory, or over 1024 ranks. */
SLUICE_COMM_MPI_PUBLIC sluice_comm_mpi *sluice_comm_mpi_create(MPI_Comm comm, const int32_t *node);

/* The callbacks of this rank among those with alive[r] = 1 (alive [size of the communicator], NULL:
 * all); they are numbered in ascending rank. `group` names these callbacks in messages: equal on
 * all members, never used twice. Not collective. Valid until destroy.
 * Errors: INVALID (this rank is not alive, group is negative or taken), NO_MEMORY. */
SLUICE_COMM_MPI_PUBLIC sluice_status sluice_comm_mpi_get(sluice_comm_mpi *world, int32_t group,
                                                         const uint8_t *alive, sluice_comm *comm);

/* After the contexts are closed; before MPI_Finalize or after it. Waits at most a tenth of a second
 * for what is still on its way. What a lost rank never took stays allocated, as MPI may still read
 * it. NULL is fine. */
SLUICE_COMM_MPI_PUBLIC void sluice_comm_mpi_destroy(sluice_comm_mpi *world);

#if defined(__cplusplus)
}
#endif
#endif
