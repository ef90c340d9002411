/* SPDX-License-Identifier: Apache-2.0
 * dispatch: count, lay out, send. Exact and fixed mode differ in capacities alone. */
#include <string.h>

#include "../core/mutant.h"
#include "../core/sum.h"
#include "cpu_lane.h"

enum { CAPACITY_PAIR = 1, CAPACITY_ROWS = 2, CAPACITY_SLOT = 3, CAPACITY_BACK = 4 };

/* A checked call. */
struct call {
    sluice_context *context;
    struct sl_exchange *exchange;
    const sluice_dispatch_args *args;
    struct sl_layer *layer;
    struct sl_lane *lane;
    bool counts, sends, fixed;
    int64_t tokens, valid;
    int32_t columns;
    struct sl_view ids, weights;
    struct sl_view payloads[8], rows[8];
    struct sl_view slot_counts, slot_starts, row_slot, row_weight;
    size_t token_bytes; /* all payloads */
    int32_t multiply_type;
    sluice_fault overflow; /* kind NONE: none */
};

static void reject(struct call *call, uint64_t count)
{
    if (count)
        atomic_fetch_add_explicit(&call->context->tally.rejected[SLUICE_OP_DISPATCH], count,
                                  memory_order_relaxed);
}

/* ------------------------------------------------------------------------------------ checks */

static sluice_status check_phase(struct call *call)
{
    sluice_context *context = call->context;
    const sluice_dispatch_args *args = call->args;
    int32_t phase = args->phase;
    if (phase < SLUICE_DISPATCH_COUNT || phase > SLUICE_DISPATCH_FIXED)
        return sl_fail(context, SLUICE_INVALID, "phase is %d: must be COUNT 1, SEND 2 or FIXED 3",
                       phase);
    call->fixed = phase == SLUICE_DISPATCH_FIXED;
    call->counts = phase != SLUICE_DISPATCH_SEND;
    call->sends = phase != SLUICE_DISPATCH_COUNT;
    int32_t use = call->fixed ? SLUICE_USE_FIXED : SLUICE_USE_EXACT;
    if (!(context->uses & use))
        return sl_fail(context, SLUICE_UNSUPPORTED,
                       "phase is %d: config.uses did not have %s at open", phase,
                       call->fixed ? "FIXED" : "EXACT");
    call->exchange = context->exchange;
    if (args->lane < 0 || args->lane >= call->exchange->transport.lanes)
        return sl_fail(context, SLUICE_INVALID, "lane is %d: must be 0 to %d", args->lane,
                       call->exchange->transport.lanes - 1);
    call->lane = &call->exchange->lanes[SL_MUTANT(lanes_shared) ? 0 : args->lane];
    if (!args->handle)
        return sl_fail(context, SLUICE_INVALID, "handle is NULL");
    if (phase == SLUICE_DISPATCH_SEND && !SL_MUTANT(stale_send_accepted) &&
        (args->handle->opaque[0] != call->lane->call || call->lane->state != LANE_COUNTED ||
         call->lane->layer != args->layer))
        return sl_fail(context, SLUICE_STALE,
                       "handle is not that of the last COUNT of lane %d, layer %d", args->lane,
                       args->layer);
    return SLUICE_OK;
}

static sluice_status check_ids(struct call *call)
{
    sluice_context *context = call->context;
    int32_t widest = call->layer->rule.top_k + call->layer->shared;
    const sluice_transport *t = &call->exchange->transport;
    int64_t most = call->fixed ? t->fixed_tokens : t->max_tokens;
    sluice_status status = sl_check_tensor(context, "dispatch_ids", call->args->dispatch_ids, -1,
                                           -1, SL_T_IDS, &call->ids);
    if (status)
        return status;
    call->tokens = call->ids.rows;
    call->columns = (int32_t)call->ids.columns;
    if (call->ids.columns < 1 || call->ids.columns > widest)
        return sl_fail(context, SLUICE_INVALID, "dispatch_ids has %lld columns: must be 1 to %d",
                       (long long)call->ids.columns, widest);
    if (call->tokens > most)
        return sl_fail(context, SLUICE_INVALID,
                       "dispatch_ids has %lld rows: at most %lld were asked for at open",
                       (long long)call->tokens, (long long)most);
    status =
        sl_check_scalar(context, "num_valid", call->args->num_valid, call->tokens, &call->valid);
    if (!status && (call->valid < 0 || call->valid > call->tokens))
        return sl_fail(context, SLUICE_INVALID, "num_valid is %lld: must be 0 to %lld",
                       (long long)call->valid, (long long)call->tokens);
    return status;
}

/* A slot id that is there, or -1. */
static int32_t clean_id(const struct call *call, struct sl_ids *ids, int64_t t, int32_t c,
                        uint64_t *rejected)
{
    const struct sl_shape *shape = &call->layer->bank->shape;
    bool valid = t < call->valid || SL_MUTANT(padding_sent);
    int64_t id = valid ? sl_id_at(ids, t, c) : -1;
    if (id == -1)
        return -1;
    if (SL_MUTANT(outside_slots_sent) && id != -1)
        return (int32_t)((uint64_t)id % ((uint64_t)shape->ranks * (uint64_t)shape->local));
    bool inside = id >= 0 && id < (int64_t)shape->ranks * shape->local;
    if (!inside || call->exchange->peer_of[id / shape->local] < 0) {
        *rejected += !SL_MUTANT(outside_slots_not_counted);
        return -1;
    }
    return (int32_t)id;
}

static sluice_status check_same_ids(struct call *call)
{
    const struct sl_lane *lane = call->lane;
    struct sl_ids ids = sl_ids_of(&call->ids);
    uint64_t again = 0;
    bool same = call->tokens == lane->tokens && call->columns == lane->columns;
    for (int64_t t = 0; same && t < call->tokens; t++)
        for (int32_t c = 0; c < call->columns; c++)
            same = same && clean_id(call, &ids, t, c, &again) == lane->ids[t * call->columns + c];
    if (!same)
        return sl_fail(call->context, SLUICE_INVALID,
                       "dispatch_ids are not those of the COUNT that made the handle");
    return SLUICE_OK;
}

static sluice_status check_payload(struct call *call, int32_t i)
{
    sluice_context *context = call->context;
    const sluice_dispatch_args *args = call->args;
    sluice_status status;
    if ((status = sl_check_bytes(context, "payloads[i]", args->payloads[i], call->tokens,
                                 &call->payloads[i])) ||
        (status = sl_check_bytes(context, "rows[i]", args->rows[i], -1, &call->rows[i])))
        return status;
    if (call->rows[i].columns != call->payloads[i].columns)
        return sl_fail(context, SLUICE_INVALID,
                       "rows[%d] has rows of %lld bytes: payloads[%d] has %lld", i,
                       (long long)call->rows[i].columns, i, (long long)call->payloads[i].columns);
    if (SL_MUTANT(payload_read_dense))
        call->payloads[i].stride = call->payloads[i].columns;
    call->token_bytes += (size_t)call->payloads[i].columns;
    return SLUICE_OK;
}

static sluice_status check_multiply(struct call *call)
{
    sluice_context *context = call->context;
    const sluice_dispatch_args *args = call->args;
    if (args->multiply != 0 && args->multiply != 1)
        return sl_fail(context, SLUICE_INVALID, "multiply is %d: must be 0 or 1", args->multiply);
    if (args->multiply) {
        int32_t type = call->payloads[0].type;
        if (args->payload_count < 1 || !(type & SL_T_FLOATS) || type != call->rows[0].type)
            return sl_fail(context, SLUICE_INVALID,
                           "multiply is 1: payloads[0] must be float32, float16 or bfloat16");
        call->multiply_type = type == SL_T_F32 ? SL_F32 : type == SL_T_F16 ? SL_F16 : SL_BF16;
    }
    if (call->layer->rule.weight_on == SLUICE_WEIGHT_ON_INPUT && !args->multiply &&
        !args->row_weight)
        return sl_fail(context, SLUICE_INVALID,
                       "the layer's weights go on the input: multiply must be 1, or row_weight "
                       "given so that the engine multiplies");
    return SLUICE_OK;
}

static sluice_status check_send(struct call *call)
{
    sluice_context *context = call->context;
    const sluice_dispatch_args *args = call->args;
    const sluice_transport *t = &call->exchange->transport;
    sluice_status status;
    if ((status = sl_check_tensor(context, "dispatch_weights", args->dispatch_weights, call->tokens,
                                  call->columns, SL_T_F32, &call->weights)))
        return status;
    if (args->payload_count < 0 || args->payload_count > t->max_payloads)
        return sl_fail(context, SLUICE_INVALID, "payload_count is %d: must be 0 to %d",
                       args->payload_count, t->max_payloads);
    if (args->payload_count && (!args->payloads || !args->rows))
        return sl_fail(context, SLUICE_INVALID, "%s is NULL: payload_count is %d",
                       args->payloads ? "rows" : "payloads", args->payload_count);
    for (int32_t i = 0; i < args->payload_count; i++)
        if ((status = check_payload(call, i)))
            return status;
    if (call->token_bytes > (size_t)t->payload_row_bytes)
        return sl_fail(context, SLUICE_INVALID,
                       "payloads have %zu bytes a token: at most %lld were asked for at open",
                       call->token_bytes, (long long)t->payload_row_bytes);
    if (args->row_slot && (status = sl_check_tensor(context, "row_slot", args->row_slot, -1, 1,
                                                    SL_T_IDS, &call->row_slot)))
        return status;
    if (args->row_weight && (status = sl_check_tensor(context, "row_weight", args->row_weight, -1,
                                                      1, SL_T_F32, &call->row_weight)))
        return status;
    return check_multiply(call);
}

static sluice_status check_counts(struct call *call)
{
    sluice_context *context = call->context;
    const sluice_dispatch_args *args = call->args;
    int64_t local = call->layer->bank->shape.local;
    sluice_status status;
    if (args->slot_counts && (status = sl_check_tensor(context, "slot_counts", args->slot_counts,
                                                       local, 1, SL_T_IDS, &call->slot_counts)))
        return status;
    if (args->slot_starts && (status = sl_check_tensor(context, "slot_starts", args->slot_starts,
                                                       local + 1, 1, SL_T_IDS, &call->slot_starts)))
        return status;
    if (args->phase == SLUICE_DISPATCH_COUNT && !args->row_count)
        return sl_fail(context, SLUICE_INVALID, "row_count is NULL: COUNT needs a place for it");
    return SLUICE_OK;
}

static sluice_status check(struct call *call)
{
    sluice_status status;
    if ((status = sl_check_layer(call->context, call->args->layer, &call->layer)) ||
        (status = check_phase(call)) || (status = check_ids(call)) || (status = check_counts(call)))
        return status;
    if (call->args->phase == SLUICE_DISPATCH_SEND && (status = check_same_ids(call)))
        return status;
    return call->sends ? check_send(call) : SLUICE_OK;
}

/* ------------------------------------------------------------------------------------- count */

static void note_overflow(struct call *call, int32_t capacity, int32_t rank, int64_t had,
                          int64_t needed)
{
    if (call->overflow.kind != SLUICE_FAULT_NONE)
        return;
    call->overflow = (sluice_fault){.struct_size = sizeof call->overflow,
                                    .kind = SLUICE_FAULT_OVERFLOW,
                                    .op = SLUICE_OP_DISPATCH,
                                    .layer = call->args->layer,
                                    .lane = call->args->lane,
                                    .rank = rank,
                                    .capacity = capacity,
                                    .had = had,
                                    .needed = SL_MUTANT(overflow_needs_unknown) ? had : needed};
}

static void begin_lane(struct call *call)
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
            lane->ids[t * call->columns + c] = clean_id(call, &ids, t, c, &rejected);
    reject(call, rejected);
    lane->send.peers = call->context->living_count;
    lane->rows.peers = call->context->living_count;
    lane->rows.local = call->layer->bank->shape.local;
}

static sluice_status trade_counts(struct call *call, const struct sl_header *header)
{
    struct sl_exchange *exchange = call->exchange;
    struct sl_lane *lane = call->lane;
    int32_t local = lane->rows.local, peers = lane->send.peers;
    int32_t *packed = exchange->counts_out;
    /* From [peers][L] to [peers][L + 1], back to front: the last is the number of tokens. */
    for (int32_t p = peers - 1; p >= 0; p--) {
        memmove(packed + (int64_t)p * (local + 1), packed + (int64_t)p * local,
                (size_t)local * sizeof *packed);
        packed[(int64_t)p * (local + 1) + local] = lane->send.start[p + 1] - lane->send.start[p];
    }
    for (int32_t p = 0; p < peers; p++) {
        exchange->send[p] = packed + (int64_t)p * (local + 1);
        exchange->recv[p] = exchange->counts_in + (int64_t)p * (local + 1);
        exchange->send_bytes[p] = exchange->recv_bytes[p] = ((size_t)local + 1) * sizeof *packed;
    }
    return sl_exchange_trade(call->context, SL_CHANNEL_MOVE, header);
}

static void lay_out(struct call *call)
{
    const sluice_transport *t = &call->exchange->transport;
    struct sl_lane *lane = call->lane;
    const int32_t *counts = call->exchange->counts_in;
    int32_t local = lane->rows.local;
    bool strided = call->fixed && t->row_layout == SLUICE_ROWS_STRIDED;
    sl_layout_rows(&lane->rows, counts, local + 1, t->row_align, strided ? t->capacity_slot : 0,
                   call->fixed ? (strided ? t->capacity_slot * local : t->capacity_rows)
                               : INT64_MAX);
    lane->from_start[0] = 0;
    for (int32_t p = 0; p < lane->rows.peers; p++)
        lane->from_start[p + 1] = lane->from_start[p] + counts[(int64_t)p * (local + 1) + local];
    if (!call->fixed)
        return;
    int64_t capacity = strided ? t->capacity_slot : t->capacity_rows;
    if (lane->rows.needed > capacity)
        note_overflow(call, strided ? CAPACITY_SLOT : CAPACITY_ROWS, call->context->rank, capacity,
                      lane->rows.needed);
    if (t->combine_order != SLUICE_COMBINE_EXACT)
        return;
    for (int32_t p = 0; p < lane->rows.peers; p++) {
        int64_t back = 0;
        for (int32_t slot = 0; slot < local; slot++)
            back += counts[(int64_t)p * (local + 1) + slot];
        if (back > t->capacity_back)
            note_overflow(call, CAPACITY_BACK, call->context->living[p], t->capacity_back, back);
    }
}

static void put_counts(const struct call *call)
{
    const struct sl_rows *rows = &call->lane->rows;
    if (call->args->row_count)
        *call->args->row_count = rows->total;
    struct sl_ids counts = sl_ids_of(&call->slot_counts), starts = sl_ids_of(&call->slot_starts);
    for (int32_t slot = 0; slot < rows->local; slot++)
        if (call->args->slot_counts)
            sl_id_put(&counts, slot, 0,
                      SL_MUTANT(counts_with_padding) ? rows->start[slot + 1] - rows->start[slot]
                                                     : rows->count[slot]);
    for (int32_t slot = 0; slot <= rows->local; slot++)
        if (call->args->slot_starts)
            sl_id_put(&starts, slot, 0, rows->start[slot]);
}

static sluice_status count(struct call *call)
{
    sluice_context *context = call->context;
    struct sl_exchange *exchange = call->exchange;
    struct sl_lane *lane = call->lane;
    int64_t capacity = call->fixed ? exchange->transport.capacity_pair : INT32_MAX;
    begin_lane(call);
    sl_layout_send(&lane->send, &call->layer->bank->shape, call->tokens, call->columns, lane->ids,
                   exchange->peer_of, capacity, exchange->scratch, exchange->counts_out);
    if (lane->send.needed > capacity)
        note_overflow(call, CAPACITY_PAIR, context->living[lane->send.fullest], capacity,
                      lane->send.needed);
    struct sl_header header = {.kind = call->fixed ? SL_KIND_FIXED : SL_KIND_COUNT,
                               .layer = call->args->layer,
                               .lane = call->args->lane,
                               .form = (uint64_t)call->columns,
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
    lay_out(call);
    put_counts(call);
    lane->state = LANE_COUNTED;
    *call->args->handle =
        (sluice_handle){{lane->call, (uint64_t)call->args->lane, (uint64_t)call->args->layer, 0}};
    return SLUICE_OK;
}

/* -------------------------------------------------------------------------------------- send */

static int32_t *meta_of(const struct call *call, int32_t *base, int64_t token)
{
    return base + token * (1 + 2 * (int64_t)call->columns);
}

static sluice_status trade_meta(struct call *call, const struct sl_header *header)
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
static void place_rows(struct call *call)
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
static void put_rows(const struct call *call, const int32_t *meta, int32_t k, const char *from)
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
            sl_scale_row(to, from, call->multiply_type, n, weight);
        } else {
            memcpy(to, from, (size_t)out->columns);
        }
    }
}

struct own_job {
    const struct call *call;
    int32_t peer;
};

/* Tokens to oneself go straight from the payload to the rows. */
static void put_own(void *argument, int32_t part, int32_t parts)
{
    const struct own_job *job = argument;
    const struct call *call = job->call;
    const struct sl_lane *lane = call->lane;
    int64_t from = lane->from_start[job->peer], count = lane->from_start[job->peer + 1] - from;
    for (int64_t i = from + count * part / parts; i < from + count * (part + 1) / parts; i++) {
        const int32_t *meta = meta_of(call, lane->meta, i);
        for (int32_t k = 0; k < call->args->payload_count; k++)
            put_rows(call, meta, k, call->payloads[k].data + meta[0] * call->payloads[k].stride);
    }
}

static void zero_padding(const struct call *call)
{
    const struct sl_rows *rows = &call->lane->rows;
    if (SL_MUTANT(padding_rows_left) ||
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

static void pack_round(const struct call *call, int64_t round, int64_t most, int32_t own)
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

static void unpack_round(const struct call *call, int64_t round, int64_t most, int32_t own)
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

static void tally_moved(const struct call *call, int32_t own)
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
    uint64_t frame = others * (2 * sizeof(struct sl_header) + ((uint64_t)lane->rows.local + 1) * 4);
    atomic_fetch_add_explicit(&tally->dispatch_useful, useful, memory_order_relaxed);
    atomic_fetch_add_explicit(&tally->dispatch_moved, useful + meta + frame, memory_order_relaxed);
}

static sluice_status move(struct call *call, const struct sl_header *header)
{
    struct sl_lane *lane = call->lane;
    int32_t own = call->exchange->peer_of[call->context->rank], peers = lane->send.peers;
    struct own_job job = {call, own};
    int64_t own_tokens = lane->from_start[own + 1] - lane->from_start[own];
    (void)sl_pool_run(call->context->pool, put_own, &job, own_tokens, 16);
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

/* Rows that an output must hold. */
static int64_t rows_wanted(const struct call *call)
{
    return call->lane->rows.total;
}

static int64_t rows_held(const struct call *call)
{
    int64_t held = INT64_MAX;
    for (int32_t k = 0; k < call->args->payload_count; k++)
        held = call->rows[k].rows < held ? call->rows[k].rows : held;
    if (call->args->row_slot && call->row_slot.rows < held)
        held = call->row_slot.rows;
    if (call->args->row_weight && call->row_weight.rows < held)
        held = call->row_weight.rows;
    return held;
}

/* What the ranks said of this exchange: too small an output anywhere ends it for all. */
static sluice_status heard(struct call *call)
{
    for (int32_t p = 0; p < call->lane->send.peers; p++) {
        const struct sl_header *said = &call->exchange->headers[p];
        if (said->state == SL_SAID_SMALL)
            return sl_fail(call->context, SLUICE_INVALID,
                           "rows of rank %d hold %lld rows: dispatch needs %lld",
                           call->context->living[p], (long long)said->tokens,
                           (long long)said->detail);
        if (said->state == SL_SAID_OVERFLOW && call->overflow.kind == SLUICE_FAULT_NONE)
            note_overflow(call, (int32_t)said->reserved, call->context->living[p], said->tokens,
                          said->detail);
    }
    return SLUICE_OK;
}

static sluice_status send(struct call *call)
{
    struct sl_lane *lane = call->lane;
    bool small = rows_held(call) < rows_wanted(call);
    bool over = call->overflow.kind != SLUICE_FAULT_NONE;
    struct sl_header header = {.kind = SL_KIND_SEND,
                               .layer = call->args->layer,
                               .lane = call->args->lane,
                               .form = (call->token_bytes << 8) + (uint64_t)call->columns,
                               .tokens = small ? rows_held(call) : call->overflow.had,
                               .detail = small ? rows_wanted(call) : call->overflow.needed,
                               .state = small  ? SL_SAID_SMALL
                                        : over ? SL_SAID_OVERFLOW
                                               : SL_SAID_OK,
                               .reserved = call->overflow.capacity};
    sluice_status status = sl_exchange_meet(call->context, SL_CHANNEL_MOVE, &header);
    if (status || (status = heard(call)))
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

sluice_status cpu_dispatch(sluice_context *context, const sluice_dispatch_args *args)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_DISPATCH, &started);
    if (status)
        return status;
    struct call call = {.context = context, .args = args};
    if ((status = sl_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args)) ||
        (status = check(&call)) || (call.counts && (status = count(&call))))
        return status;
    if (!call.sends)
        return SLUICE_OK; /* counted as a call by its SEND */
    return sl_leave(context, SLUICE_OP_DISPATCH, started, send(&call));
}
