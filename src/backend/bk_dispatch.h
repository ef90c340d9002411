/* SPDX-License-Identifier: Apache-2.0
 * A dispatch, checked. */
#ifndef SL_BK_DISPATCH_H
#define SL_BK_DISPATCH_H

#include "bk_lane.h"

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
    struct sl_ids num_valid; /* on the device: instead of valid */
    int32_t columns;
    int32_t carried; /* entries of balance behind each peer's counts */
    struct sl_view ids, weights;
    struct sl_view payloads[8], rows[8];
    struct sl_view slot_counts, slot_starts, row_slot, row_weight;
    size_t token_bytes; /* all payloads */
    int32_t multiply_type;
    sluice_fault overflow; /* kind NONE: none */
};

/* Checks the arguments but for what SEND adds, and fills in the rest of `call`, whose context and
 * args are given. A call that sends checks those next; SEND of a COUNT must have the same ids,
 * which are compared in between, where they lie. */
sluice_status sl_dispatch_check(struct sl_dispatch *call);
sluice_status sl_dispatch_check_send(struct sl_dispatch *call);

/* Keeps the first capacity that was too small. */
void sl_dispatch_overflow(struct sl_dispatch *call, int32_t capacity, int32_t rank, int64_t had,
                          int64_t needed);

/* Rows that every output of a SEND holds. */
int64_t sl_dispatch_held(const struct sl_dispatch *call);

/* Columns and the payloads' lengths, which all ranks must have alike. */
uint64_t sl_dispatch_form(const struct sl_dispatch *call);

/* Begins a SEND, or the second half of FIXED: outputs too small anywhere end it for all (INVALID),
 * and an overflow of any rank becomes this one's. */
sluice_status sl_dispatch_meet(struct sl_dispatch *call, struct sl_header *header);

#endif
