/* SPDX-License-Identifier: Apache-2.0
 * A communicator of NCCL that belongs to one context: made with the engine's help, never shared
 * with it, and aborted when a peer is lost. */
#ifndef SLC_COMM_H
#define SLC_COMM_H

#include <pthread.h>

#include "../plugin.h"
#include "cu_nccl.h"

/* Zero: none. Calls on `comm` are made by one thread, between slc_comm_use and slc_comm_rest, so
 * that another may abort it. */
struct slc_comm {
    struct slc_nccl nccl;
    slnc_comm comm;
    pthread_mutex_t lock; /* guards comm, and its use */
    bool made;            /* the lock is there */
    int64_t (*clock)(void *user);
    void *user;
    int32_t ranks;
    uint64_t sent; /* bytes that slc_move_post gave it for other ranks */
};

/* How a communicator is made. */
struct slc_comm_plan {
    const sluice_comm *host; /* who is there; all_gather, or native */
    int32_t channel;         /* of all_gather */
    int64_t timeout_ns;
    int64_t (*clock)(void *user);
    void *user;
    void *scratch; /* slc_comm_scratch(host->size) bytes on the host */
};

size_t slc_comm_scratch(int32_t ranks);

/* Makes it; collective, all of host->size ranks come. One that cannot says so to the others, and
 * all get UNAVAILABLE with its number. The device's context is entered. Nobody waits longer than
 * the timeout: PEER_LOST, *peer is the rank in host (or -1). CANCELLED, DEVICE. On failure nothing
 * is held. */
sluice_status slc_comm_open(struct slc_comm *comm, const struct slc_comm_plan *plan, int32_t *peer,
                            char *text, size_t text_size);

/* Has what runs on it failed? [any thread] */
bool slc_comm_failed(struct slc_comm *comm);

/* Ends all that runs on it, and it. [any thread] */
void slc_comm_abort(struct slc_comm *comm);

/* Ends it. What this rank has sent is given a moment to arrive; no peer is waited for. */
void slc_comm_close(struct slc_comm *comm);

/* Begins calls on it; false: there is none any more. */
bool slc_comm_use(struct slc_comm *comm);
void slc_comm_rest(struct slc_comm *comm);

/* After GroupEnd, or a call outside a group, gave `result`, still in use: waits until NCCL has
 * enqueued it all; SLNC_IN_PROGRESS: the time is over; SLNC_REMOTE_ERROR: it was aborted
 * meanwhile. Does not wait for the device. */
slnc_result slc_comm_settle(struct slc_comm *comm, slnc_result result, int64_t timeout_ns);

#endif
