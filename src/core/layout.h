/* SPDX-License-Identifier: Apache-2.0
 * Who gets what in a dispatch: which tokens go to which rank, and where their rows lie there. */
#ifndef SL_LAYOUT_H
#define SL_LAYOUT_H

#include <stdbool.h>

#include "place.h"

enum { SL_ROW_NONE = -1, SL_ROW_DROPPED = -2 };

/* What this rank sends: for each living rank ("peer") the tokens that visit it, each once. */
struct sl_send {
    int32_t peers;
    int32_t *start;  /* [peers + 1] into token */
    int32_t *token;  /* [tokens * min(peers, columns)], ascending for each peer */
    uint8_t *hit;    /* [tokens] 1: dropped somewhere */
    int64_t needed;  /* greatest number of tokens any peer should have got */
    int32_t fullest; /* that peer */
};

/* Finds start, token, hit, needed and fullest, and slot_counts [peers][L], the rows for each slot
 * of each peer. ids [tokens][columns]: slot ids that are valid, or -1. peer_of [W]: number of a
 * rank among the living. At most `capacity` tokens go to one peer. scratch: [2 * peers]. */
void sl_layout_send(struct sl_send *send, const struct sl_shape *shape, int64_t tokens,
                    int32_t columns, const int32_t *ids, const int32_t *peer_of, int64_t capacity,
                    int32_t *scratch, int32_t *slot_counts);

/* Where rows lie on the receiver. */
struct sl_rows {
    int32_t peers, local; /* local: L */
    int64_t *start;       /* [L + 1] first row of each slot */
    int64_t *count;       /* [L] rows of each slot that are kept */
    int64_t *cursor;      /* [peers][L] next row of each peer in each slot */
    int64_t total;        /* rows, padding included */
    int64_t needed;       /* what the capacity had to be; at most the capacity: nothing dropped */
};

/* From counts [peers][L]. stride 0: one slot after the other, each at a multiple of align, at most
 * `capacity` rows in all; else slot s at s * stride with at most stride rows. */
void sl_layout_rows(struct sl_rows *rows, const int32_t *counts, int64_t counts_stride,
                    int64_t align, int64_t stride, int64_t capacity);

/* The same where nothing arrives, without a look at the counts; cursor is left alone. */
void sl_layout_none(struct sl_rows *rows, int64_t stride);

/* The row of the next token of `peer` in `slot`, or SL_ROW_DROPPED. */
int64_t sl_layout_next(struct sl_rows *rows, int32_t peer, int32_t slot);

#endif
