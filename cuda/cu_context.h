/* SPDX-License-Identifier: Apache-2.0
 * What a context of the CUDA backend has beside what all backends have. */
#ifndef SLC_CONTEXT_H
#define SLC_CONTEXT_H

#include "../src/backend/bk_context.h"
#include "cu_driver.h"

struct slc_balance_state;
struct slc_water_state;

/* A layer, and the bank that it owns, if it does. */
struct slc_layer {
    int64_t *calls;     /* on the device: remap and route calls executed; only with RANDOM */
    uint32_t *done;     /* on the device, behind it */
    void *memory;       /* on the device: the bank's tables, then its counters [P] */
    struct sl_place at; /* the tables of bank->place there */
    uint64_t *map;      /* on the device, behind them: the map's hash */
    uint64_t *landing;  /* [P] on the host, where counters are read to */
};

struct slc_mover; /* cu_mover.h */

struct slc_context {
    sluice_context shared;
    struct slc_gpu gpu;
    struct slc_mover *mover; /* NULL: this context does not dispatch */
    /* One piece of device memory: rejected [SLUICE_OP_COUNT], dead, calls and done [layers],
     * how many ranks live and their ids [1 + ranks]. */
    void *there;
    uint64_t *rejected, *dead;
    int32_t *living_there;
    struct slc_balance_state *balance; /* cu_balance.h; NULL: no policy is balanced */
    struct slc_water_state *water;     /* cu_water.h; NULL: no shared column goes by it */
    size_t share_row; /* bytes of every row of counts that ranks share (cu_share.c); 0: none is */
    /* cu_land.c: of windows of load */
    uint64_t *landing; /* pinned: [P] of every bank */
    slcu_event landed;
    struct slc_layer layers[];
};

static inline struct slc_context *slc_of(const sluice_context *context)
{
    return (struct slc_context *)(uintptr_t)context;
}

/* OK, or DEVICE (NOT_CAPTURABLE, NO_MEMORY) with the name of the driver's error. */
sluice_status slc_judge(sluice_context *context, const char *what, slcu_result error);

/* Runs `work` with the device entered; `what` is in the text where it fails. */
typedef slcu_result slc_work_fn(sluice_context *context, int32_t bank, void *stream);
sluice_status slc_run(sluice_context *context, const char *what, slc_work_fn *work, int32_t bank,
                      void *stream);

/* STREAM_CAPTURE_UNSUPPORTED while the stream is captured, which goes on; slc_run's. */
slcu_result slc_not_captured(sluice_context *context, int32_t bank, void *stream);
sluice_status slc_may_wait(sluice_context *context, void *stream);

/* Device memory, aligned to 256; the context's gpu is entered. Not zeroed. What is freed no stream
 * uses any more: it waits for the device. */
void *slc_alloc_there(const sluice_context *context, size_t bytes);
void slc_free_there(const sluice_context *context, void *data, size_t bytes);

static inline slcu_address slc_address(const void *data)
{
    return (slcu_address)(uintptr_t)data;
}

#endif
