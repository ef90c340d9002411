/* SPDX-License-Identifier: Apache-2.0
 * dispatch: count the tokens for every rank, trade the counts, lay out the rows. */
#include <string.h>

#include "../backend/bk_balance.h"
#include "../core/mutant.h"
#include "cpu_dispatch.h"

static void reject(struct sl_dispatch *call, uint64_t count)
{
    if (count)
        atomic_fetch_add_explicit(&call->context->tally.rejected[SLUICE_OP_DISPATCH], count,
                                  memory_order_relaxed);
}

/* Returns how many ids were rejected. */
static uint64_t begin_lane(struct sl_dispatch *call)
{
    struct sl_lane *lane = call->lane;
    struct sl_ids ids = sl_ids_of(&call->ids);
    uint64_t rejected = 0;
    lane->call = ++call->exchange->calls;
    lane->state = LANE_IDLE;
    lane->layer = call->args->layer;
    lane->fixed = call->fixed;
    lane->columns = call->columns;
    lane->tokens = call->tokens;
    for (int64_t t = 0; t < call->tokens; t++)
        for (int32_t c = 0; c < call->columns; c++)
            lane->ids[t * call->columns + c] = sl_dispatch_id(call, &ids, t, c, &rejected);
    lane->send.peers = call->context->living_count;
    lane->rows.peers = call->context->living_count;
    lane->rows.local = call->layer->bank->shape.local;
    return rejected;
}

/* Of what one peer gets: rows of its slots, tokens, and what balance carries. */
static int64_t width_of(const struct sl_dispatch *call)
{
    return (int64_t)call->lane->rows.local + 1 + call->carried;
}

static sluice_status trade_counts(struct sl_dispatch *call, const struct sl_header *header)
{
    struct sl_exchange *exchange = call->exchange;
    struct sl_lane *lane = call->lane;
    int32_t local = lane->rows.local, peers = lane->send.peers;
    int32_t *packed = exchange->counts_out;
    int64_t width = width_of(call);
    /* From [peers][L] to [peers][width], back to front: the number of tokens comes behind. */
    for (int32_t p = peers - 1; p >= 0; p--) {
        int32_t *to = packed + p * width;
        memmove(to, packed + (int64_t)p * local, (size_t)local * sizeof *packed);
        to[local] = lane->send.start[p + 1] - lane->send.start[p];
    }
    for (int32_t p = 0; p < peers; p++) {
        int32_t *carried = packed + p * width + local + 1;
        if (call->carried && p == 0)
            sl_balance_carry(call->context, call->args->layer, lane->ids,
                             call->tokens * call->columns, carried);
        else if (call->carried)
            memcpy(carried, packed + local + 1, (size_t)call->carried * sizeof *packed);
        exchange->send[p] = packed + p * width;
        exchange->recv[p] = exchange->counts_in + p * width;
        exchange->send_bytes[p] = exchange->recv_bytes[p] = (size_t)width * sizeof *packed;
    }
    sluice_status status = sl_exchange_trade(call->context, SL_CHANNEL_MOVE, header);
    if (!status && call->carried)
        sl_balance_add(call->context, call->args->layer, exchange->counts_in + local + 1, width);
    return status;
}

static void lay_out(struct sl_dispatch *call)
{
    const sluice_transport *t = &call->exchange->transport;
    struct sl_lane *lane = call->lane;
    const int32_t *counts = call->exchange->counts_in;
    int32_t local = lane->rows.local;
    int64_t width = width_of(call);
    bool strided = call->fixed && t->row_layout == SLUICE_ROWS_STRIDED;
    lane->from_start[0] = 0;
    for (int32_t p = 0; p < lane->rows.peers; p++)
        lane->from_start[p + 1] = lane->from_start[p] + counts[p * width + local];
    if (lane->from_start[lane->rows.peers] == 0) {
        sl_layout_none(&lane->rows, strided ? t->capacity_slot : 0);
        return;
    }
    sl_layout_rows(&lane->rows, counts, width, t->row_align, strided ? t->capacity_slot : 0,
                   call->fixed ? (strided ? t->capacity_slot * local : t->capacity_rows)
                               : INT64_MAX);
    if (!call->fixed)
        return;
    int64_t capacity = strided ? t->capacity_slot : t->capacity_rows;
    if (lane->rows.needed > capacity)
        sl_dispatch_overflow(call, strided ? SL_CAPACITY_SLOT : SL_CAPACITY_ROWS,
                             call->context->rank, capacity, lane->rows.needed);
    if (t->combine_order != SLUICE_COMBINE_EXACT)
        return;
    for (int32_t p = 0; p < lane->rows.peers; p++) {
        int64_t back = 0;
        for (int32_t slot = 0; slot < local; slot++)
            back += counts[p * width + slot];
        if (back > t->capacity_back)
            sl_dispatch_overflow(call, SL_CAPACITY_BACK, call->context->living[p], t->capacity_back,
                                 back);
    }
}

static void put_counts(const struct sl_dispatch *call)
{
    const struct sl_rows *rows = &call->lane->rows;
    if (!call->fixed)
        *call->args->row_count = rows->total;
    struct sl_ids counts = sl_ids_of(&call->slot_counts), starts = sl_ids_of(&call->slot_starts);
    for (int32_t slot = 0; call->args->slot_counts && slot < rows->local; slot++)
        sl_id_put(&counts, slot, 0,
                  SL_MUTANT(counts_with_padding) ? rows->start[slot + 1] - rows->start[slot]
                                                 : rows->count[slot]);
    for (int32_t slot = 0; call->args->slot_starts && slot <= rows->local; slot++)
        sl_id_put(&starts, slot, 0, rows->start[slot]);
}

sluice_status sl_dispatch_count(struct sl_dispatch *call)
{
    sluice_context *context = call->context;
    struct sl_exchange *exchange = call->exchange;
    struct sl_lane *lane = call->lane;
    int64_t capacity = call->fixed ? exchange->transport.capacity_pair : INT32_MAX;
    uint64_t rejected = begin_lane(call);
    call->carried = sl_balance_carried(context, call->args->layer);
    sl_layout_send(&lane->send, &call->layer->bank->shape, call->tokens, call->columns, lane->ids,
                   exchange->peer_of, capacity, exchange->scratch, exchange->counts_out);
    if (lane->send.needed > capacity)
        sl_dispatch_overflow(call, SL_CAPACITY_PAIR, context->living[lane->send.fullest], capacity,
                             lane->send.needed);
    struct sl_header header = {.kind = call->fixed ? SL_KIND_FIXED : SL_KIND_COUNT,
                               .layer = call->args->layer,
                               .lane = call->args->lane,
                               .form = (uint64_t)call->carried << 32 | (uint64_t)call->columns,
                               .tokens =
                                   lane->send.needed < capacity ? lane->send.needed : capacity};
    sluice_status status = sl_exchange_meet(context, SL_CHANNEL_MOVE, &header);
    if (status)
        return status;
    lane->most = 0;
    for (int32_t p = 0; p < lane->send.peers; p++)
        if (exchange->headers[p].tokens > lane->most)
            lane->most = exchange->headers[p].tokens;
    if ((status = trade_counts(call, &header)))
        return status;
    reject(call, rejected);
    lay_out(call);
    put_counts(call);
    lane->state = LANE_COUNTED;
    *call->args->handle =
        (sluice_handle){{lane->call, (uint64_t)call->args->lane, (uint64_t)call->args->layer, 0}};
    return SLUICE_OK;
}
