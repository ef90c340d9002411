/* SPDX-License-Identifier: Apache-2.0
 * The parts of dispatch: check, count and lay out, send. */
#ifndef SL_CPU_DISPATCH_H
#define SL_CPU_DISPATCH_H

#include "../core/sum.h"
#include "cpu_lane.h"

enum { SL_CAPACITY_PAIR = 1, SL_CAPACITY_ROWS = 2, SL_CAPACITY_SLOT = 3, SL_CAPACITY_BACK = 4 };

/* A checked call. */
struct sl_dispatch {
    sluice_context *context;
    struct sl_exchange *exchange;
    const sluice_dispatch_args *args;
    struct sl_layer *layer;
    struct sl_lane *lane;
    bool counts, sends, fixed;
    int64_t tokens, valid;
    int32_t columns;
    int32_t carried; /* entries of balance behind each peer's counts */
    struct sl_view ids, weights;
    struct sl_view payloads[8], rows[8];
    struct sl_view slot_counts, slot_starts, row_slot, row_weight;
    size_t token_bytes; /* all payloads */
    int32_t multiply_type;
    sluice_fault overflow; /* kind NONE: none */
};

/* Checks the arguments and fills in the rest of `call`, whose context and args are given. */
sluice_status sl_dispatch_check(struct sl_dispatch *call);

/* A slot id that is there, or -1; one that is not is added to `rejected`. */
int32_t sl_dispatch_id(const struct sl_dispatch *call, struct sl_ids *ids, int64_t t, int32_t c,
                       uint64_t *rejected);

/* Tells the ranks how many rows they get, and lays the rows out. */
sluice_status sl_dispatch_count(struct sl_dispatch *call);

/* Moves the tokens of a counted call. */
sluice_status sl_dispatch_send(struct sl_dispatch *call);

/* Keeps the first capacity that was too small. */
void sl_dispatch_overflow(struct sl_dispatch *call, int32_t capacity, int32_t rank, int64_t had,
                          int64_t needed);

#endif
