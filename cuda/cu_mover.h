/* SPDX-License-Identifier: Apache-2.0
 * What dispatch and combine have on the device, sized once at open: nothing is allocated later. */
#ifndef SLC_MOVER_H
#define SLC_MOVER_H

#include "../src/backend/bk_combine.h"
#include "../src/backend/bk_dispatch.h"
#include "cu_comm.h"
#include "cu_context.h"
#include "kernels/move_job.h"

/* A lane's memory; what the host knows of its dispatch is sl_lane's and below. */
struct slc_lane {
    struct slc_move job; /* every pointer that does not depend on a call */
    void *there;         /* on the device */
    char *out, *in;      /* staging, [peers] regions of pair_bytes, and at least landing_bytes */
    int32_t *totals;     /* pinned, [keys]: what job.totals came to */
    int32_t *counts;     /* pinned, [ranks][L + 1]: what comes, on its way to job.counts_in */
    /* exact: tokens and rows to and from each peer, [ranks] each */
    int64_t *tokens_to, *tokens_from, *rows_to, *rows_from;
};

struct slc_mover {
    struct slc_lane lanes[SL_MOST_LANES];
    struct slc_comm comm; /* of all lanes; none where this rank is alone */
    int32_t *peer_of;     /* on the device, [ranks] */
    size_t there_bytes;   /* of a lane's `there` */
    size_t pair_bytes, landing_bytes;
    size_t in_bytes;
    void *host; /* scratch of slc_comm_open, and the lanes' arrays */
    size_t host_bytes;
    void *pinned;
    size_t pinned_bytes;
    int32_t lane_count;
};

/* After sl_exchange_open: makes it (slc_context.mover) for a context that dispatches; the device's
 * context is entered. With `query` only adds to needs. */
sluice_status slc_mover_open(sluice_context *context, const struct sl_text *text,
                             sluice_needs *needs, bool query);
void slc_mover_close(sluice_context *context);

/* Makes the communicator where ranks are to talk and have none; collective. */
sluice_status slc_mover_connect(sluice_context *context, char *text, size_t text_size);

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

/* ---- cu_move.c: steps of both, with the device's context entered */

/* Launches `units` of work, one or `job->slices` warps each. */
slcu_result slc_move_launch(sluice_context *context, const struct slc_move *job,
                            enum slc_kernel kernel, int64_t units, void *stream);

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

/* One group of sends and receives with all other peers. OK where this rank is alone. */
sluice_status slc_move_group(sluice_context *context, const void *call, slc_message_fn *message,
                             void *stream);

/* Waits until the stream has done all it was given. Errors: PEER_LOST after the timeout. */
sluice_status slc_move_wait(sluice_context *context, void *stream);

#endif
