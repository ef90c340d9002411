/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLUICE_EXT_RANKS_H
#define SLUICE_EXT_RANKS_H

#include "../../plugin.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* sluice.ranks/1: who lives, what went wrong, and a way to end every wait. The plugin suspects; who
 * lives is the engine's verdict, with a generation number. Rank numbers and slot ids never change:
 * the dead are masked, newcomers take reserved numbers. */
#define SLUICE_EXT_RANKS "sluice.ranks/1"

typedef struct sluice_ranks {
    size_t struct_size;
    int64_t generation;   /* greater than the last; equal on all ranks that go on together */
    const uint8_t *alive; /* [max_ranks], 1 = lives; this rank must */
    /* How the living talk from now on: comm->rank and size number the living in ascending rank
     * order. NULL: the present one, whose size must still fit. */
    const sluice_comm *comm;
} sluice_ranks;
SLUICE_ASSERT_ENDS_WITH(sluice_ranks, comm);

enum {
    SLUICE_FAULT_NONE = 0,
    SLUICE_FAULT_OVERFLOW = 1,
    SLUICE_FAULT_PEER = 2,
    SLUICE_FAULT_MISMATCH = 3,
    SLUICE_FAULT_DEVICE = 4
};

/* The first fault since the last clear, and how many there were. */
typedef struct sluice_fault {
    size_t struct_size;
    int32_t kind;  /* SLUICE_FAULT_* */
    int32_t op;    /* SLUICE_OP_* of sluice.stats/1; RECORD: the sum of a window */
    int32_t layer; /* -1: none */
    int32_t lane;
    int32_t rank;     /* the peer, or whose capacity; -1: unknown */
    int32_t capacity; /* OVERFLOW: 1 pair, 2 rows, 3 slot, 4 back */
    int64_t had, needed;
    int64_t call; /* number of the exchange */
    uint64_t count;
} sluice_fault;
SLUICE_ASSERT_ENDS_WITH(sluice_fault, count);

typedef struct sluice_ranks_api {
    size_t struct_size;

    /* Takes the verdict: masks the dead in every table, takes the communicator, ends the state left
     * by PEER_LOST, MISMATCH and quiesce, raises the communicator generation: graphs that hold an
     * exchange must have been destroyed and are captured again; others stay valid. Not collective
     * by itself, but every living rank calls it with the same arguments before the next exchange.
     * On a device it ends the exchanges that still wait there, then [waits], and refuses a capture
     * without harm to it; outputs of exchanges since the loss are void. The next exchange makes the
     * communicator anew, and so may not be captured (NOT_CAPTURABLE): make one eagerly, then
     * capture. Errors: INVALID, STALE (generation has passed), NOT_CAPTURABLE (`stream` is being
     * captured); DEVICE: the last verdict stays in force, but every wait has ended, and no exchange
     * is possible (NOT_READY) until a `set` succeeds. */
    sluice_status (*set)(sluice_context *context, const sluice_ranks *ranks, void *stream);

    /* The generation in force: 0 at open. [any thread] */
    int64_t (*generation)(const sluice_context *context);

    /* The alive mask, into [max_ranks]. */
    sluice_status (*alive)(sluice_context *context, uint8_t *alive, int32_t count);

    /* Copies the fault record. Makes no device call. [any thread] */
    sluice_status (*poll)(const sluice_context *context, sluice_fault *fault);
    sluice_status (*clear)(sluice_context *context);

    /* Ends every wait of the context for a peer with CANCELLED, now and until `set`. Without effect
     * once `generation` has passed, so that a late watchdog does not end the waits of the next.
     * [any thread] */
    sluice_status (*quiesce)(sluice_context *context, int64_t generation);
} sluice_ranks_api;
SLUICE_ASSERT_ENDS_WITH(sluice_ranks_api, quiesce);

#if defined(__cplusplus)
}
#endif
#endif
