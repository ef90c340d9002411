/* SPDX-License-Identifier: Apache-2.0
 * What dispatch and combine have on the device, sized once at open: nothing is allocated later. */
#ifndef SLC_MOVER_H
#define SLC_MOVER_H

#include "../src/backend/bk_combine.h"
#include "../src/backend/bk_dispatch.h"
#include "cu_comm.h"
#include "cu_context.h"
#include "cu_look.h"
#include "kernels/meet_job.h"

/* A lane's memory; what the host knows of its dispatch is sl_lane's and below. */
struct slc_lane {
    struct slc_move job; /* every pointer that does not depend on a call */
    void *there;         /* on the device */
    char *out, *in;      /* staging, [peers] regions of pair_bytes, and at least landing_bytes */
    /* exact: what COUNT tells and hears, [ranks] messages of said_stride each, on the device; said:
     * pinned, what both were */
    char *said_out, *said_in, *said;
    int64_t said_stride;
    struct slc_told *told; /* pinned; job.told */
    int64_t *heads_back;   /* [ranks] where the heads of the last combine are to land in `in` */
    /* exact: tokens and rows to and from each peer, [ranks] each */
    int64_t *tokens_to, *tokens_from, *rows_to, *rows_from;
};

/* Counts that ranks share in remap and route (BALANCE_NOW), on a communicator of its own: streams
 * that share one deadlock under capture. */
struct slc_share {
    struct slc_comm comm;
    struct slc_told *told;   /* pinned */
    struct slc_found *found; /* on the device: number alone */
};

/* Why no exchange is possible any more. */
struct slc_lost {
    sluice_status status; /* OK: it is */
    int32_t rank, op, layer;
    bool said; /* a call has returned it */
};

/* The thread that ends exchanges. */
struct slc_watch {
    pthread_t thread;
    bool runs;
    atomic_bool stop;
};

struct slc_mover {
    struct slc_lane lanes[SL_MOST_LANES];
    struct slc_comm comm; /* of all lanes; none where this rank is alone */
    struct slc_share share;
    struct slc_look look;
    struct slc_watch watch;
    atomic_bool looking;       /* a thread finds out who is lost */
    pthread_mutex_t told_lock; /* guards the two below, and what lanes were told */
    struct slc_lost lost;
    struct slc_short shortage; /* what no call has returned yet; kind 0: none */
    struct slc_moved *moved;   /* on the device */
    int32_t *peer_of;          /* on the device, [ranks] */
    size_t there_bytes;        /* of a lane's `there` */
    size_t pair_bytes, landing_bytes;
    size_t in_bytes;
    void *host; /* scratch of slc_comm_open, and the lanes' arrays */
    size_t host_bytes;
    void *pinned;
    size_t pinned_bytes;
    int32_t lane_count;
};

/* Does remap share counts? */
static inline bool slc_shares(const sluice_context *context)
{
    return (context->uses & SLUICE_USE_BALANCE_NOW) != 0 && context->ranks > 1;
}

/* After sl_exchange_open: makes it (slc_context.mover) for a context that dispatches or shares
 * counts; the device's context is entered. With `query` only adds to needs. */
sluice_status slc_mover_open(sluice_context *context, const struct sl_text *text,
                             sluice_needs *needs, bool query);
void slc_mover_close(sluice_context *context);

/* Makes the communicator where ranks are to talk and have none; collective. */
sluice_status slc_mover_connect(sluice_context *context, char *text, size_t text_size);

/* Can this rank exchange now, eagerly or in a capture on `stream`? What was lost is said once, then
 * NOT_READY; NOT_CAPTURABLE where a communicator must be made first. */
sluice_status slc_mover_usable(sluice_context *context);
sluice_status slc_mover_ready(sluice_context *context, void *stream);

/* OVERFLOW, once, where kernels have told of a capacity that was too small. */
sluice_status slc_mover_said(sluice_context *context);

/* Takes what kernels have told into the fault record. [any thread] */
void slc_mover_heed(sluice_context *context);

/* No exchange from now on; ends those that run. [any thread] */
void slc_mover_lose(sluice_context *context, sluice_status status, int32_t rank, int32_t op,
                    int32_t layer);
void slc_mover_cancel(sluice_context *context);
/* The same where the call that found it has said so. */
void slc_mover_part(sluice_context *context, sluice_status status, int32_t op, int32_t layer);

/* Adds what fixed dispatches counted on the device, or sets it to zero. */
sluice_status slc_mover_tally(sluice_context *context, sluice_stats *stats);
sluice_status slc_mover_zero(sluice_context *context);

/* The rank that this one exchanges with where there is but one; else -1. */
static inline int32_t slc_only_peer(const sluice_context *context)
{
    return context->living_count == 2 ? context->living[1 - context->comm.rank] : -1;
}

/* Does a thread watch? An engine that says nothing gets one. */
static inline bool slc_watched(const sluice_context *context)
{
    return context->host.threads != 1 && context->ranks > 1;
}
/* Is exchange `number` the last that has begun, and has it not ended? */
static inline bool slc_under_way(const struct slc_told *told, int64_t number)
{
    return __atomic_load_n(&told->begun, __ATOMIC_ACQUIRE) == number &&
           __atomic_load_n(&told->ended, __ATOMIC_ACQUIRE) < number;
}

/* Ends what a lane (-1: what is shared) has begun and not ended, with a fault that names who did
 * not come to it; of several threads one does it. late: its time is over; else what runs on the
 * communicator has failed, and those that are slow are waited for. True: no exchange is possible
 * any more. [any thread] */
bool slc_watch_end(sluice_context *context, int32_t index, bool late);
/* False: no thread. */
bool slc_watch_open(sluice_context *context);
void slc_watch_close(sluice_context *context);

/* After ranks were set anew, in the order of `stream`: the communicator is gone. */
slcu_result slc_mover_renew(sluice_context *context, void *stream);

/* Warps of a layout's block, so that the keys of all fit in its shared memory. */
int32_t slc_layout_warps(int32_t keys);

/* Up to whole chunks of 16 bytes, where records and their parts start. */
static inline int64_t slc_padded(int64_t bytes)
{
    return (bytes + 15) / 16 * 16;
}

sluice_status slc_dispatch(sluice_context *context, const sluice_dispatch_args *args);
sluice_status slc_combine(sluice_context *context, const sluice_combine_args *args);

/* ---- cu_share.c, with the device's context entered but in the first */

/* slc_mover_ready, for a call that shares counts. */
sluice_status slc_share_ready(sluice_context *context, void *stream);

/* Bytes of the greatest row that ranks share, 0: none; all are as long, so that what ranks that
 * make different calls send each other fits, and says so. */
size_t slc_share_row(const sluice_context *context);

/* What kernels need to meet the other ranks: rows of `bytes`, this one's at `mine`, a head and then
 * what is shared. told stays NULL where this rank is alone. */
void slc_fill_meet(const sluice_context *context, struct slc_meet *meet, int32_t layer,
                   uint64_t form, char *mine, char *rows, int64_t bytes);

/* Between the kernels that begin and end it: every rank's row to every other. */
sluice_status slc_share_trade(sluice_context *context, const struct slc_meet *meet, void *stream);

/* ---- cu_move.c: steps of both, with the device's context entered */

/* Launches `units` of work, one or `job->slices` warps each. */
slcu_result slc_move_launch(sluice_context *context, const struct slc_move *job,
                            enum slc_kernel kernel, int64_t units, void *stream);

/* What all ranks must have alike in an exchange. */
void slc_fill_exchange(const sluice_context *context, struct slc_move *job, int32_t kind,
                       int32_t layer, int32_t lane, uint64_t form);

/* How many warps share a row of that many bytes. */
int32_t slc_slices(int64_t units, int64_t bytes);

/* A view's rows as bytes, and a unit that suits both it and `other` (whose data may be NULL). */
struct slc_bytes slc_bytes_of(const struct sl_view *view, const struct sl_view *other);

/* What one round moves with each peer. */
struct slc_message {
    const char *from;
    char *to;
    int64_t send_bytes, recv_bytes;
};
typedef void slc_message_fn(const void *call, int32_t peer, struct slc_message *message);

/* Posts such a group to a communicator between slc_comm_use and slc_comm_rest, and rests it. *why:
 * what went wrong, or NULL. */
slnc_result slc_move_post(const sluice_context *context, struct slc_comm *comm, const void *call,
                          slc_message_fn *message, void *stream, const char **why);

/* One group of sends and receives with all other peers. OK where this rank is alone. */
sluice_status slc_move_group(sluice_context *context, const void *call, slc_message_fn *message,
                             void *stream);

/* Waits until the stream has done all it was given, an exchange of that lane as the last. Errors:
 * after the timeout PEER_LOST or MISMATCH, naming the rank where its message tells; CANCELLED. */
sluice_status slc_move_wait(sluice_context *context, int32_t lane, void *stream);

#endif
