/* SPDX-License-Identifier: Apache-2.0
 * Draft: not served yet; may change before its first release. */
#ifndef SLUICE_EXT_MIGRATE_H
#define SLUICE_EXT_MIGRATE_H

#include "plan.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* sluice.migrate/1: carries out a plan beside serving. begin -> step ... -> idle. Only what
 * get_moe_weights registered is written. Needs SLUICE_USE_MIGRATE and a communicator with isend,
 * irecv and poll.
 *
 * A plan is cut into batches: moves of one layer that fit the staging of every rank and leave a
 * valid map. Each commits as a whole and raises the epoch of its layer by one. A rank that has
 * moved and checked its bytes votes, with its weights version, for a step number S a few steps
 * ahead; no slot is overwritten before every vote is known. At S every rank writes weights, then
 * map, in the order of the stream. A rank without all votes at S waits, at most the timeout, and is
 * then fenced: topk, remap, record, route, dispatch and combine answer FENCED until `set` of
 * sluice.ranks/1 and of sluice.placement/1 for every layer in flight. So no two living ranks route
 * a token under different maps. Addresses of weights and tables never change. */
#define SLUICE_EXT_MIGRATE "sluice.migrate/1"

enum {
    SLUICE_MIGRATE_IDLE = 0,
    SLUICE_MIGRATE_MOVING = 1,
    SLUICE_MIGRATE_VOTING = 2,
    SLUICE_MIGRATE_ENDING = 3, /* aborted or failed here; the others are being told */
    SLUICE_MIGRATE_FENCED = 4
};

/* Of a layer, in the present or the last migration. */
enum {
    SLUICE_LAYER_UNCHANGED = 0,
    SLUICE_LAYER_PLANNED = 1,
    SLUICE_LAYER_MOVING = 2,
    SLUICE_LAYER_READY = 3,
    SLUICE_LAYER_COMMITTED = 4, /* all its batches */
    SLUICE_LAYER_FAILED = 5     /* some of its batches; the map says which */
};

typedef struct sluice_migrate_begin {
    size_t struct_size;
    const sluice_plan *plan; /* in use until idle */
    /* Most bytes of staging on this rank; default and least: the largest expert. */
    uint64_t staging_bytes;
    int32_t transfers; /* most messages under way at once; default 32 */
    int32_t ahead;     /* steps from a vote to its S; default 4 */
} sluice_migrate_begin;
SLUICE_ASSERT_ENDS_WITH(sluice_migrate_begin, ahead);

typedef struct sluice_migrate_step {
    size_t struct_size;
    void *stream; /* the one to which all that use the layers are ordered */
    /* The engine's number of this forward pass: from 1, rising by one, equal on all ranks. 0: there
     * is none, and batches commit by `commit` alone. */
    int64_t number;
    int64_t bytes;       /* to start moving in this step, at most; 0: without limit */
    int64_t nanoseconds; /* of the host's time, at most, a wait at S apart; 0: without limit */
    int32_t no_transfer; /* 1: start no message now (a kernel of the engine's needs the device) */
    int32_t reserved;
} sluice_migrate_step;
SLUICE_ASSERT_ENDS_WITH(sluice_migrate_step, reserved);

typedef struct sluice_migrate_status {
    size_t struct_size;
    int32_t state;     /* SLUICE_MIGRATE_* */
    int32_t peer;      /* whom the last failure named; -1: none */
    uint64_t hash[2];  /* of the plan */
    int32_t batches;   /* of the plan */
    int32_t committed; /* batches so far */
    int64_t bytes_left;
    int64_t verdict_at; /* S of the batch that is voted on; 0: none */
    int64_t
        heartbeat_ns;    /* clock at the last step (or of the plugin's own thread, if it has one) */
    int64_t changed_ns;  /* clock at the last commit or set: the age of the placement */
    int32_t last_status; /* of the last migration: OK, PEER_LOST, CANCELLED, ... */
    int32_t reserved;
} sluice_migrate_status;
SLUICE_ASSERT_ENDS_WITH(sluice_migrate_status, reserved);

typedef struct sluice_migrate_api {
    size_t struct_size;

    /* What `begin` with these arguments would allocate on this rank. */
    sluice_status (*needs)(sluice_context *context, const sluice_migrate_begin *args,
                           uint64_t *staging_bytes);

    /* Starts a migration; collective: ranks compare the plan's hash before a byte moves. Errors:
     * INVALID (the plan does not start from the map in force; a layer has no registered weights),
     * BUSY (one is under way, a reload is open), NO_MEMORY, MISMATCH (names the rank), PEER_LOST.
     * After an error no rank has begun. */
    sluice_status (*begin)(sluice_context *context, const sluice_migrate_begin *args);

    /* Once a forward pass, between two of them, on every rank: starts and ends transfers, hands
     * checked experts to staging, votes, and at S commits. Waits for a peer only at S. A lost peer,
     * a checksum that differs or a passed deadline ends the migration: what is committed stays, the
     * rest keeps its old map, and the same plan can be begun again.
     * Errors: NOT_READY (idle), PEER_LOST, CANCELLED, FENCED, INVALID (number went back). */
    sluice_status (*step)(sluice_context *context, const sluice_migrate_step *args);

    /* For engines without a common step number: moves what is left of the present batch and commits
     * it. Collective; waits. Errors: as step. */
    sluice_status (*commit)(sluice_context *context, void *stream);

    /* Ends the migration without another commit, except of a batch for which all have voted. Not
     * collective: the others learn of it by vote. Returns at once; done when the state is idle. */
    sluice_status (*abort)(sluice_context *context);

    /* [any thread] */
    sluice_status (*status)(sluice_context *context, sluice_migrate_status *status);

    /* SLUICE_LAYER_* of each layer, into [count] = [layer_count]. [any thread] */
    sluice_status (*layers)(sluice_context *context, int32_t *states, int32_t count);

    /* A bracket around new weights for a layer, or for all with layer -1: between the two nothing
     * of it commits and nothing staged survives. The engine then writes every local row by
     * sluice.placement/1's `rows`. `version` is the engine's number of what lies there now: a layer
     * commits only where all ranks have the same. Not collective. Errors: INVALID, BUSY (begin:
     * already open; a vote is out: call step first), NOT_READY (end: not open). */
    sluice_status (*reload_begin)(sluice_context *context, int32_t layer, void *stream);
    sluice_status (*reload_end)(sluice_context *context, int32_t layer, int64_t version,
                                void *stream);
} sluice_migrate_api;
SLUICE_ASSERT_ENDS_WITH(sluice_migrate_api, reload_end);

#if defined(__cplusplus)
}
#endif
#endif
