/* SPDX-License-Identifier: Apache-2.0
 * combine: rows go back to the tokens' homes and are added in column order (EXACT), or each rank
 * adds its own first (PER_RANK). A row that a capacity dropped is NaN. */
#include <math.h>
#include <string.h>

#include "../backend/bk_combine.h"
#include "../core/mutant.h"
#include "cpu_dispatch.h"

/* ---------------------------------------------------------------------------------- the sums */

static const int32_t *meta_at(const struct sl_combine *call, int32_t peer, int64_t i)
{
    return call->lane->meta +
           (call->lane->from_start[peer] + i) * (1 + 2 * (int64_t)call->lane->columns);
}

static const void *row_at(const struct sl_combine *call, int64_t row)
{
    return call->rows.data + row * call->rows.stride * call->rows.size;
}

/* What one token adds up. */
struct sum {
    const void *rows[SL_MAX_K + SL_MAX_SHARED];
    float weights[SL_MAX_K + SL_MAX_SHARED];
    int32_t count;
    bool dropped;
};

static void finish_token(const struct sl_combine *call, int64_t t, const struct sum *sum,
                         int32_t row_type)
{
    char *out = call->out.data + t * call->out.stride * call->out.size;
    if (sum->dropped && SL_MUTANT(overflow_gives_zero)) {
        memset(out, 0, call->row_bytes);
        return;
    }
    struct sum backward;
    if (SL_MUTANT(combine_backward) && !sum->dropped) {
        backward.count = sum->count;
        backward.dropped = false;
        for (int32_t i = 0; i < sum->count; i++) {
            backward.rows[i] = sum->rows[sum->count - 1 - i];
            backward.weights[i] = sum->weights[sum->count - 1 - i];
        }
        sum = &backward;
    }
    if (sum->dropped) {
        sl_nan_row(out, call->type, call->out.columns);
        return;
    }
    struct sl_sum_job job = {.rows = sum->rows,
                             .weights = sum->weights,
                             .count = sum->count,
                             .row_type = row_type,
                             .out_type = call->type,
                             .n = call->out.columns,
                             .scale = call->scale,
                             .out = out};
    if (call->args->x && !SL_MUTANT(zero_weight_ignored)) {
        job.x = call->x.data + t * call->x.stride * call->x.size;
        job.zero_weight =
            ((const float *)(void *)call->zero_weight.data)[t * call->zero_weight.stride];
    }
    sl_cpu_of(call->context)->sums.sum(&job);
}

/* Does token t stand in what was sent to `peer`, whose list has come to cursor? */
static bool was_sent(const struct sl_combine *call, int32_t peer, int64_t t)
{
    int64_t at = call->lane->send.start[peer] + call->exchange->cursor[peer];
    return at < call->lane->send.start[peer + 1] && call->lane->send.token[at] == t;
}

static void rewind_cursors(const struct sl_combine *call)
{
    memset(call->exchange->cursor, 0,
           (size_t)call->lane->send.peers * sizeof *call->exchange->cursor);
}

/* Every peer's cursor past token t. */
static void pass_token(const struct sl_combine *call, int64_t t)
{
    const int32_t *ids = call->lane->ids + t * call->lane->columns;
    int32_t local = call->lane->rows.local;
    for (int32_t c = 0; c < call->lane->columns; c++) {
        if (ids[c] < 0)
            continue;
        int32_t peer = call->exchange->peer_of[ids[c] / local];
        if (was_sent(call, peer, t))
            call->exchange->cursor[peer]++;
    }
}

/* EXACT: the rows of token t, in column order; those of other ranks are taken off in [peers]. */
static void gather_token(const struct sl_combine *call, int64_t t, const char **in, struct sum *sum)
{
    const struct sl_lane *lane = call->lane;
    const int32_t *ids = lane->ids + t * lane->columns;
    sum->count = 0;
    sum->dropped = false;
    for (int32_t c = 0; c < lane->columns; c++) {
        if (ids[c] < 0)
            continue;
        int32_t peer = call->exchange->peer_of[ids[c] / lane->rows.local];
        if (!was_sent(call, peer, t)) {
            sum->dropped = true;
            continue;
        }
        const void *row;
        if (peer == call->own) {
            int32_t at = meta_at(call, peer, call->exchange->cursor[peer])[1 + c];
            sum->dropped = sum->dropped || at < 0;
            row = at < 0 ? NULL : row_at(call, at);
        } else {
            row = in[peer];
            in[peer] += call->row_bytes;
        }
        sum->rows[sum->count] = row;
        sum->weights[sum->count++] = call->weighs ? lane->weights[t * lane->columns + c] : 1.0F;
    }
}

/* ------------------------------------------------------------------------------------- EXACT */

/* Rows of the tokens [first, last) of every home, packed by home. back [peers]: tokens done. */
static void pack_exact(const struct sl_combine *call, int64_t first, int64_t last, int64_t *back)
{
    struct sl_exchange *exchange = call->exchange;
    const struct sl_lane *lane = call->lane;
    char *out = exchange->staging_out;
    (void)first;
    for (int32_t p = 0; p < lane->rows.peers; p++) {
        exchange->send[p] = out;
        int64_t count = lane->from_start[p + 1] - lane->from_start[p];
        for (; p != call->own && back[p] < count; back[p]++) {
            const int32_t *meta = meta_at(call, p, back[p]);
            if (meta[0] >= last)
                break;
            for (int32_t c = 0; c < lane->columns; c++) {
                if (meta[1 + c] == SL_ROW_NONE)
                    continue;
                if (meta[1 + c] == SL_ROW_DROPPED)
                    sl_nan_row(out, call->type, call->rows.columns);
                else
                    memcpy(out, row_at(call, meta[1 + c]), call->row_bytes);
                out += call->row_bytes;
            }
        }
        exchange->send_bytes[p] = (size_t)(out - (const char *)exchange->send[p]);
    }
}

/* What comes back for the tokens [first, last): recv and recv_bytes. */
static void expect_exact(const struct sl_combine *call, int64_t first, int64_t last)
{
    struct sl_exchange *exchange = call->exchange;
    const struct sl_lane *lane = call->lane;
    int32_t local = lane->rows.local;
    char *in = exchange->staging_in;
    for (int32_t p = 0; p < lane->send.peers; p++) {
        exchange->recv[p] = in;
        exchange->recv_bytes[p] = 0;
        int64_t at = lane->send.start[p] + exchange->cursor[p];
        for (; p != call->own && at < lane->send.start[p + 1] && lane->send.token[at] < last;
             at++) {
            const int32_t *ids = lane->ids + (int64_t)lane->send.token[at] * lane->columns;
            for (int32_t c = 0; c < lane->columns; c++)
                if (ids[c] >= 0 && exchange->peer_of[ids[c] / local] == p)
                    exchange->recv_bytes[p] += call->row_bytes;
        }
        in += exchange->recv_bytes[p];
    }
    (void)first;
}

static sluice_status run_exact(struct sl_combine *call, const struct sl_header *header,
                               int64_t most)
{
    struct sl_exchange *exchange = call->exchange;
    const struct sl_lane *lane = call->lane;
    int32_t peers = lane->send.peers;
    size_t token = call->row_bytes * (size_t)lane->columns * (size_t)peers;
    int64_t step = most;
    if (peers > 1 && (size_t)most * token > exchange->staging_bytes)
        step = (int64_t)(exchange->staging_bytes / token);
    int64_t *back = exchange->back;
    const char **in = exchange->in;
    memset(back, 0, (size_t)peers * sizeof *back);
    rewind_cursors(call);
    for (int64_t first = 0; first < most; first += step) {
        int64_t last = first + step;
        if (peers > 1) {
            pack_exact(call, first, last, back);
            expect_exact(call, first, last);
            sluice_status status = sl_exchange_trade(call->context, SL_CHANNEL_MOVE, header);
            if (status)
                return status;
            for (int32_t p = 0; p < peers; p++)
                in[p] = exchange->recv[p];
        }
        for (int64_t t = first; t < last && t < lane->tokens; t++) {
            struct sum sum;
            gather_token(call, t, in, &sum);
            pass_token(call, t);
            finish_token(call, t, &sum, call->type);
        }
    }
    return SLUICE_OK;
}

/* ---------------------------------------------------------------------------------- PER_RANK */

/* This rank's share of one token, in f32. */
static void add_partial(const struct sl_combine *call, const int32_t *meta, float *out)
{
    const struct sl_lane *lane = call->lane;
    struct sum sum = {.count = 0};
    for (int32_t c = 0; c < lane->columns; c++) {
        int32_t row = meta[1 + c];
        if (row == SL_ROW_NONE)
            continue;
        if (row == SL_ROW_DROPPED) {
            sl_nan_row(out, SL_F32, call->rows.columns);
            return;
        }
        sum.rows[sum.count] = row_at(call, row);
        sum.weights[sum.count] = 1.0F;
        if (call->weighs)
            memcpy(&sum.weights[sum.count], &meta[1 + lane->columns + c], sizeof(float));
        sum.count++;
    }
    struct sl_sum_job job = {.rows = sum.rows,
                             .weights = sum.weights,
                             .count = sum.count,
                             .row_type = call->type,
                             .out_type = SL_F32,
                             .n = call->rows.columns,
                             .scale = 1.0F,
                             .out = out};
    sl_cpu_of(call->context)->sums.sum(&job);
}

static int64_t before(const int32_t *tokens, int64_t from, int64_t to, int64_t last)
{
    while (from < to && tokens[from] < last)
        from++;
    return from;
}

/* Partial sums of the tokens before `last` of every home, and what comes back for them. */
static void pack_partial(const struct sl_combine *call, int64_t last, int64_t *back)
{
    struct sl_exchange *exchange = call->exchange;
    const struct sl_lane *lane = call->lane;
    size_t bytes = (size_t)call->rows.columns * sizeof(float);
    char *out = exchange->staging_out, *in = exchange->staging_in;
    for (int32_t p = 0; p < lane->rows.peers; p++) {
        exchange->send[p] = out;
        exchange->recv[p] = in;
        int64_t count = lane->from_start[p + 1] - lane->from_start[p];
        for (; p != call->own && back[p] < count && meta_at(call, p, back[p])[0] < last;
             back[p]++) {
            add_partial(call, meta_at(call, p, back[p]), (float *)(void *)out);
            out += bytes;
        }
        int64_t at = lane->send.start[p] + exchange->cursor[p];
        int64_t end =
            p == call->own ? at : before(lane->send.token, at, lane->send.start[p + 1], last);
        in += (size_t)(end - at) * bytes;
        exchange->send_bytes[p] = (size_t)(out - (const char *)exchange->send[p]);
        exchange->recv_bytes[p] = (size_t)(end - at) * bytes;
    }
}

static void gather_partial(const struct sl_combine *call, int64_t t, const char **in,
                           struct sum *sum)
{
    const struct sl_lane *lane = call->lane;
    const int32_t *ids = lane->ids + t * lane->columns;
    sum->count = 0;
    sum->dropped = false;
    for (int32_t c = 0; c < lane->columns; c++)
        if (ids[c] >= 0 && !was_sent(call, call->exchange->peer_of[ids[c] / lane->rows.local], t))
            sum->dropped = true;
    for (int32_t p = 0; p < lane->send.peers; p++) {
        if (!was_sent(call, p, t))
            continue;
        if (p == call->own) {
            add_partial(call, meta_at(call, p, call->exchange->cursor[p]), call->exchange->sum);
            sum->rows[sum->count] = call->exchange->sum;
        } else {
            sum->rows[sum->count] = in[p];
            in[p] += (size_t)call->rows.columns * sizeof(float);
        }
        sum->weights[sum->count++] = 1.0F;
    }
}

static sluice_status run_per_rank(struct sl_combine *call, const struct sl_header *header,
                                  int64_t most)
{
    struct sl_exchange *exchange = call->exchange;
    const struct sl_lane *lane = call->lane;
    int32_t peers = lane->send.peers;
    size_t token = (size_t)call->rows.columns * sizeof(float) * (size_t)peers;
    int64_t step = most;
    if (peers > 1 && (size_t)most * token > exchange->staging_bytes)
        step = (int64_t)(exchange->staging_bytes / token);
    const char **in = exchange->in;
    memset(exchange->back, 0, (size_t)peers * sizeof *exchange->back);
    rewind_cursors(call);
    for (int64_t first = 0; first < most; first += step) {
        int64_t last = first + step;
        if (peers > 1) {
            pack_partial(call, last, exchange->back);
            sluice_status status = sl_exchange_trade(call->context, SL_CHANNEL_MOVE, header);
            if (status)
                return status;
            for (int32_t p = 0; p < peers; p++)
                in[p] = exchange->recv[p];
        }
        for (int64_t t = first; t < last && t < lane->tokens; t++) {
            struct sum sum;
            gather_partial(call, t, in, &sum);
            pass_token(call, t);
            finish_token(call, t, &sum, SL_F32);
        }
    }
    return SLUICE_OK;
}

/* -------------------------------------------------------------------------------- the call */

static void tally_moved(const struct sl_combine *call, bool exact)
{
    const struct sl_lane *lane = call->lane;
    uint64_t rows = 0;
    for (int32_t p = 0; p < lane->rows.peers; p++)
        for (int64_t i = 0; p != call->own && i < lane->from_start[p + 1] - lane->from_start[p];
             i++) {
            const int32_t *meta = meta_at(call, p, i);
            for (int32_t c = 0; exact && c < lane->columns; c++)
                rows += meta[1 + c] != SL_ROW_NONE;
            rows += !exact;
        }
    uint64_t bytes = rows * (exact ? call->row_bytes : (uint64_t)call->rows.columns * 4);
    uint64_t frame = ((uint64_t)lane->rows.peers - 1) * sizeof(struct sl_header);
    struct sl_tally *tally = &call->context->tally;
    atomic_fetch_add_explicit(&tally->combine_useful, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&tally->combine_moved, bytes + frame, memory_order_relaxed);
}

static sluice_status run(struct sl_combine *call)
{
    bool exact = call->exchange->transport.combine_order == SLUICE_COMBINE_EXACT;
    struct sl_header header = {.kind = SL_KIND_COMBINE,
                               .layer = call->args->layer,
                               .lane = (int32_t)(call->lane - call->exchange->lanes),
                               .form = ((uint64_t)call->row_bytes << 8) + (uint64_t)call->type,
                               .tokens = call->lane->tokens};
    sluice_status status = sl_exchange_meet(call->context, SL_CHANNEL_MOVE, &header);
    if (status)
        return status;
    int64_t most = 0;
    for (int32_t p = 0; p < call->lane->send.peers; p++)
        if (call->exchange->headers[p].tokens > most)
            most = call->exchange->headers[p].tokens;
    status = exact ? run_exact(call, &header, most) : run_per_rank(call, &header, most);
    if (!status)
        tally_moved(call, exact);
    return status;
}

sluice_status cpu_combine(sluice_context *context, const sluice_combine_args *args)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_COMBINE, &started);
    if (status)
        return status;
    struct sl_combine call = {.context = context, .args = args};
    if ((status = sl_combine_check(&call)))
        return status;
    return sl_leave(context, SLUICE_OP_COMBINE, started, run(&call));
}
