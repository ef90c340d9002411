/* SPDX-License-Identifier: Apache-2.0
 * What the parts of comm_mpi share: the world, its groups and their channels. */
#ifndef SL_COMM_MPI_GROUP_H
#define SL_COMM_MPI_GROUP_H

#include <pthread.h>
#include <stdatomic.h>

#include "comm_mpi.h"
#include "comm_mpi_wire.h"

enum { SL_MPI_CHANNELS = 64 };

/* One rank's share of the collective that a channel is in. */
struct part {
    size_t got;
    bool came;
    uint64_t ticket; /* of what was sent to it */
};

struct channel {
    atomic_bool cancelled; /* set by any thread, without the lock */
    uint64_t era;
    uint64_t number; /* collectives of this era */
    sluice_status verdict;
    int32_t lost;
    struct part *parts; /* [size] */
};

struct group {
    struct group *next;
    sluice_comm_mpi *world;
    int32_t number;
    int32_t rank, size;
    int32_t *members; /* [size] ranks of the world */
    int32_t *node;    /* [size] */
    struct channel channels[SL_MPI_CHANNELS];
    struct part parts[];
};

/* A send or receive that poll has not reported. */
struct request {
    struct request *next;
    struct group *group;
    int32_t channel, peer;
    bool receives, came, wrong;
    uint64_t era;
    uint64_t ticket;
    void *data;
    size_t bytes, got;
};

struct sluice_comm_mpi {
    pthread_mutex_t lock;
    struct sl_wire wire;
    bool broken; /* a rank was lost: nothing collective must follow */
    int32_t *node;
    struct group *groups;
    struct request *requests; /* in the order made */
};

/* CLOCK_MONOTONIC. */
int64_t sl_mpi_now(void);

/* Lets others run: yields at first, naps later. *spins begins at 0. */
void sl_mpi_rest(int32_t *spins);

/* What is there for the channel's collectives: verdicts are heard, frames of earlier eras dropped.
 * The lock is held. */
void sl_mpi_hear(struct group *group, int32_t number);

/* The callbacks of sluice_comm; user is the group. */
sluice_status sl_mpi_all_gather(void *user, int32_t channel, const void *send, void *recv,
                                size_t bytes, int64_t timeout_ns, int32_t *peer);
sluice_status sl_mpi_all_to_all(void *user, int32_t channel, const void *const *send,
                                const size_t *send_bytes, void *const *recv,
                                const size_t *recv_bytes, int64_t timeout_ns, int32_t *peer);
sluice_status sl_mpi_isend(void *user, int32_t channel, int32_t to, const void *data, size_t bytes,
                           uint64_t *request);
sluice_status sl_mpi_irecv(void *user, int32_t channel, int32_t from, void *data, size_t bytes,
                           uint64_t *request);
sluice_status sl_mpi_poll(void *user, uint64_t request, int32_t *done);

#endif
