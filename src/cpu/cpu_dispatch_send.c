/* SPDX-License-Identifier: Apache-2.0
 * dispatch: move the tokens. */
#include <string.h>

#include "../core/mutant.h"
#include "cpu_dispatch.h"

static int32_t *meta_of(const struct sl_dispatch *call, int32_t *base, int64_t token)
{
    return base + token * (1 + 2 * (int64_t)call->columns);
}

static sluice_status trade_meta(struct sl_dispatch *call, const struct sl_header *header)
{
    struct sl_exchange *exchange = call->exchange;
    struct sl_lane *lane = call->lane;
    const struct sl_shape *shape = &call->layer->bank->shape;
    size_t bytes = (size_t)(1 + 2 * call->columns) * sizeof(int32_t);
    for (int32_t p = 0; p < lane->send.peers; p++) {
        int32_t rank = call->context->living[p];
        for (int32_t i = lane->send.start[p]; i < lane->send.start[p + 1]; i++) {
            int32_t *meta = meta_of(call, exchange->meta_out, i);
            int64_t t = lane->send.token[i];
            meta[0] = (int32_t)t;
            for (int32_t c = 0; c < call->columns; c++) {
                int32_t id = lane->ids[t * call->columns + c];
                bool there = id >= 0 && id / shape->local == rank;
                meta[1 + c] = there ? id % shape->local : SL_ROW_NONE;
            }
            memcpy(meta + 1 + call->columns, lane->weights + t * call->columns,
                   (size_t)call->columns * sizeof(float));
        }
        exchange->send[p] = meta_of(call, exchange->meta_out, lane->send.start[p]);
        exchange->recv[p] = meta_of(call, lane->meta, lane->from_start[p]);
        exchange->send_bytes[p] = bytes * (size_t)(lane->send.start[p + 1] - lane->send.start[p]);
        exchange->recv_bytes[p] = bytes * (size_t)(lane->from_start[p + 1] - lane->from_start[p]);
    }
    return sl_exchange_trade(call->context, SL_CHANNEL_MOVE, header);
}

/* From the slots in meta to rows, in (slot, source, token, column) order; fills in row_slot and
 * row_weight. */
static void place_rows(struct sl_dispatch *call)
{
    struct sl_lane *lane = call->lane;
    const sluice_transport *t = &call->exchange->transport;
    bool limited = call->fixed && t->combine_order == SLUICE_COMBINE_EXACT;
    struct sl_ids slots = sl_ids_of(&call->row_slot);
    float *weights = (float *)(void *)call->row_weight.data;
    for (int64_t row = 0; call->args->row_slot && row < call->row_slot.rows; row++)
        sl_id_put(&slots, row, 0, SL_MUTANT(padding_has_slot) ? 0 : -1);
    for (int64_t row = 0; weights && row < call->row_weight.rows; row++)
        weights[row * call->row_weight.stride] = 0.0F;
    for (int32_t p = 0; p < lane->rows.peers; p++) {
        int64_t back = 0;
        for (int32_t i = lane->from_start[p]; i < lane->from_start[p + 1]; i++) {
            int32_t *meta = meta_of(call, lane->meta, i);
            for (int32_t c = 0; c < call->columns; c++) {
                int32_t slot = meta[1 + c];
                if (slot < 0)
                    continue;
                int64_t row = sl_layout_next(&lane->rows, p, slot);
                if (limited && ++back > t->capacity_back)
                    row = SL_ROW_DROPPED;
                meta[1 + c] = (int32_t)row;
                if (row < 0)
                    continue;
                if (call->args->row_slot)
                    sl_id_put(&slots, row, 0, slot);
                if (weights)
                    memcpy(&weights[row * call->row_weight.stride], &meta[1 + call->columns + c],
                           sizeof *weights);
            }
        }
    }
}

/* Payload `k` of one received token into all its rows. */
static void put_rows(const struct sl_dispatch *call, const int32_t *meta, int32_t k,
                     const char *from)
{
    const struct sl_view *out = &call->rows[k];
    for (int32_t c = 0; c < call->columns; c++) {
        int64_t row = meta[1 + c];
        if (row < 0)
            continue;
        char *to = out->data + row * out->stride;
        if (k == 0 && call->args->multiply) {
            float weight;
            memcpy(&weight, &meta[1 + call->columns + c], sizeof weight);
            int64_t n = out->columns / (call->multiply_type == SL_F32 ? 4 : 2);
            if (SL_MUTANT(multiplied_twice))
                weight *= weight;
            sl_cpu_of(call->context)->sums.scale(to, from, call->multiply_type, 0, n, weight);
        } else {
            memcpy(to, from, (size_t)out->columns);
        }
    }
}

struct own_job {
    const struct sl_dispatch *call;
    int32_t peer;
};

/* Tokens to oneself go straight from the payload to the rows. */
static void put_own(void *argument, int32_t part, int32_t parts)
{
    const struct own_job *job = argument;
    const struct sl_dispatch *call = job->call;
    const struct sl_lane *lane = call->lane;
    int64_t from = lane->from_start[job->peer], count = lane->from_start[job->peer + 1] - from;
    if (SL_MUTANT(last_part_not_put) && part > 0 && part == parts - 1)
        return;
    for (int64_t i = from + count * part / parts; i < from + count * (part + 1) / parts; i++) {
        const int32_t *meta = meta_of(call, lane->meta, i);
        for (int32_t k = 0; k < call->args->payload_count; k++)
            put_rows(call, meta, k, call->payloads[k].data + meta[0] * call->payloads[k].stride);
    }
}

static void zero_padding(const struct sl_dispatch *call)
{
    const struct sl_rows *rows = &call->lane->rows;
    if (SL_MUTANT(padding_rows_left) || rows->total == 0 ||
        (call->fixed && call->exchange->transport.row_layout == SLUICE_ROWS_STRIDED))
        return;
    for (int32_t slot = 0; slot < rows->local; slot++)
        for (int64_t row = rows->start[slot] + rows->count[slot]; row < rows->start[slot + 1];
             row++)
            for (int32_t k = 0; k < call->args->payload_count; k++)
                memset(call->rows[k].data + row * call->rows[k].stride, 0,
                       (size_t)call->rows[k].columns);
}

/* Tokens [first, last) of a list of `count` that belong to round `round` of `most` tokens. */
static void round_of(int64_t round, int64_t most, int64_t count, int64_t *first, int64_t *last)
{
    *first = round * most < count ? round * most : count;
    *last = *first + most < count ? *first + most : count;
}

static void pack_round(const struct sl_dispatch *call, int64_t round, int64_t most, int32_t own)
{
    struct sl_exchange *exchange = call->exchange;
    const struct sl_lane *lane = call->lane;
    char *out = exchange->staging_out, *in = exchange->staging_in;
    for (int32_t p = 0; p < lane->send.peers; p++) {
        int64_t first, last, first_in, last_in;
        round_of(round, most, p == own ? 0 : lane->send.start[p + 1] - lane->send.start[p], &first,
                 &last);
        round_of(round, most, p == own ? 0 : lane->from_start[p + 1] - lane->from_start[p],
                 &first_in, &last_in);
        exchange->send[p] = out;
        exchange->recv[p] = in;
        exchange->send_bytes[p] = (size_t)(last - first) * call->token_bytes;
        exchange->recv_bytes[p] = (size_t)(last_in - first_in) * call->token_bytes;
        in += exchange->recv_bytes[p];
        for (int64_t i = first; i < last; i++) {
            int64_t t = lane->send.token[lane->send.start[p] + i];
            for (int32_t k = 0; k < call->args->payload_count; k++) {
                const struct sl_view *payload = &call->payloads[k];
                memcpy(out, payload->data + t * payload->stride, (size_t)payload->columns);
                out += payload->columns;
            }
        }
    }
}

static void unpack_round(const struct sl_dispatch *call, int64_t round, int64_t most, int32_t own)
{
    const struct sl_lane *lane = call->lane;
    for (int32_t p = 0; p < lane->send.peers; p++) {
        int64_t first, last;
        round_of(round, most, p == own ? 0 : lane->from_start[p + 1] - lane->from_start[p], &first,
                 &last);
        const char *from = call->exchange->recv[p];
        for (int64_t i = first; i < last; i++) {
            const int32_t *meta = meta_of(call, lane->meta, lane->from_start[p] + i);
            for (int32_t k = 0; k < call->args->payload_count; k++) {
                put_rows(call, meta, k, from);
                from += call->payloads[k].columns;
            }
        }
    }
}

static void tally_moved(const struct sl_dispatch *call, int32_t own)
{
    const struct sl_lane *lane = call->lane;
    uint64_t tokens = 0;
    for (int32_t p = 0; p < lane->send.peers; p++)
        if (p != own)
            tokens += (uint64_t)(lane->send.start[p + 1] - lane->send.start[p]);
    struct sl_tally *tally = &call->context->tally;
    uint64_t useful = tokens * call->token_bytes;
    uint64_t others = (uint64_t)lane->send.peers - 1;
    uint64_t meta = tokens * (uint64_t)(1 + 2 * call->columns) * 4;
    uint64_t counts = (uint64_t)lane->rows.local + 1 + (uint64_t)call->carried;
    uint64_t frame = others * (2 * sizeof(struct sl_header) + counts * 4);
    atomic_fetch_add_explicit(&tally->dispatch_useful, useful, memory_order_relaxed);
    atomic_fetch_add_explicit(&tally->dispatch_moved, useful + meta + frame, memory_order_relaxed);
}

static sluice_status move(struct sl_dispatch *call, const struct sl_header *header)
{
    struct sl_lane *lane = call->lane;
    int32_t own = call->exchange->peer_of[call->context->rank], peers = lane->send.peers;
    struct own_job job = {call, own};
    int64_t own_tokens = lane->from_start[own + 1] - lane->from_start[own];
    (void)sl_pool_run(sl_cpu_of(call->context)->pool, put_own, &job, own_tokens, 16);
    zero_padding(call);
    if (call->token_bytes == 0 || peers == 1)
        return SLUICE_OK;
    int64_t most = (int64_t)(call->exchange->staging_bytes / ((size_t)peers * call->token_bytes));
    for (int64_t round = 0; round * most < lane->most; round++) {
        pack_round(call, round, most, own);
        sluice_status status = sl_exchange_trade(call->context, SL_CHANNEL_MOVE, header);
        if (SL_MUTANT(token_sent_twice) && !status)
            status = sl_exchange_trade(call->context, SL_CHANNEL_MOVE, header);
        if (status)
            return status;
        unpack_round(call, round, most, own);
    }
    return SLUICE_OK;
}

sluice_status sl_dispatch_send(struct sl_dispatch *call)
{
    struct sl_lane *lane = call->lane;
    struct sl_header header;
    sluice_status status = sl_dispatch_meet(call, &header);
    if (status)
        return status;
    for (int64_t t = 0; t < call->tokens; t++)
        memcpy(lane->weights + t * call->columns,
               call->weights.data + t * call->weights.stride * (int64_t)sizeof(float),
               (size_t)call->columns * sizeof(float));
    if ((status = trade_meta(call, &header)))
        return status;
    place_rows(call);
    if ((status = move(call, &header)))
        return status;
    tally_moved(call, call->exchange->peer_of[call->context->rank]);
    lane->state = LANE_SENT;
    if (call->overflow.kind == SLUICE_FAULT_NONE || SL_MUTANT(overflow_silent))
        return SLUICE_OK;
    call->overflow.call = (int64_t)lane->call;
    sl_fault(call->context, &call->overflow);
    atomic_fetch_add_explicit(&call->context->tally.overflows, 1, memory_order_relaxed);
    static const char *const names[] = {"", "capacity_pair", "capacity_rows", "capacity_slot",
                                        "capacity_back"};
    return sl_fail(call->context, SLUICE_OVERFLOW,
                   "%s of transport is %lld: %lld were needed (rank %d); the tokens hit get NaN",
                   names[call->overflow.capacity], (long long)call->overflow.had,
                   (long long)call->overflow.needed, call->overflow.rank);
}
