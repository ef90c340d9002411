/* SPDX-License-Identifier: Apache-2.0
 * The step balance (src/backend/bk_balance.h) on the device: counts, quotas and what a call needs
 * lie there, and remap and route under a balanced policy are a few launches. */
#ifndef SLC_BALANCE_H
#define SLC_BALANCE_H

#include "../src/backend/bk_balance.h"
#include "cu_context.h"

struct sl_call;
struct slc_job;

/* Of one layer; see kernels/balance_job.h. */
struct slc_layer_balance {
    int64_t *step;
    int32_t *next, *stale;
    uint32_t *finished;
    int32_t *column;
    char *mine;   /* a head, then int32 [entries + 1]: this rank's row */
    void *counts; /* [ranks]: NOW such rows, STALE int64 [entries + 1], sums over the window */
    int64_t *quota, *whole;
    int64_t *columns, *line;
    int32_t *call, *tiles;
    uint64_t *drawn; /* [P] */
    void *scratch;   /* NULL: the solver has room in shared memory */
    void *cost;      /* COST: beside it */
};

/* Bytes of the NOW rows; and of what is in them. */
size_t slc_balance_row(const sluice_context *context, const struct sl_layer *layer);
size_t slc_balance_least(const sluice_context *context, const struct sl_layer *layer);

/* context->balance on the device; NULL: no policy is balanced. */
struct slc_balance_state {
    struct slc_layer_balance *layers; /* [layer_count], on the host */
    char *memory;
    size_t bytes;
    int32_t *leader; /* [ranks] */
};

size_t slc_balance_needs(const sluice_context *context, size_t *host);

/* After context->balance; the device is entered. False: no memory, or the driver failed. */
bool slc_balance_open(sluice_context *context, slcu_result *error);
void slc_balance_close(sluice_context *context);

/* The bank's tables are new; -1: the ranks are. In the order of `stream`. */
slcu_result slc_balance_renew(sluice_context *context, int32_t bank, void *stream);

/* remap, or `route`, of a checked call whose layer is balanced. job: filled in with its map; its
 * counters are those that quotas are added to. */
sluice_status slc_balance_run(const struct sl_call *call, struct slc_job *job, bool route,
                              void *stream);

extern const struct sl_balance_there slc_balance_there;

#endif
