/* SPDX-License-Identifier: Apache-2.0
 * dispatch, exact: count, then send. Counts cross by the engine's callbacks, which name who is
 * missing or differs; rows cross by NCCL, in rounds that staging has room for. */
#include <string.h>

#include "../src/core/mutant.h"
#include "cu_dispatch.h"

/* -------------------------------------------------------------------------------------- count */

static sluice_status refuse_capture(const struct sl_dispatch *call)
{
    unsigned int capturing = 0;
    const struct slcu_driver *driver = slc_of(call->context)->gpu.driver;
    slcu_result error = driver->StreamIsCapturing(call->args->stream, &capturing);
    if (error)
        return slc_judge(call->context, "cuStreamIsCapturing", error);
    if (capturing)
        return sl_fail(call->context, SLUICE_NOT_CAPTURABLE,
                       "phase is %d: an exact dispatch waits for its counts and cannot be "
                       "captured, FIXED can",
                       call->args->phase);
    return SLUICE_OK;
}

static slcu_result enqueue_layout(const struct sl_dispatch *call, const struct slc_move *job)
{
    const struct slcu_driver *driver = slc_of(call->context)->gpu.driver;
    void *stream = call->args->stream;
    slcu_result error = slc_move_launch(call->context, job, SLC_K_lay_out, call->tokens, stream);
    return error ? error
                 : driver->MemcpyDtoHAsync(slc_lane_of(call)->totals, slc_address(job->totals),
                                           (size_t)job->keys * sizeof(int32_t), stream);
}

/* From what the layout found to what each peer is told: rows of its slots, then tokens. */
static void fill_counts(const struct sl_dispatch *call)
{
    struct sl_exchange *exchange = call->exchange;
    const struct slc_lane *lane = slc_lane_of(call);
    int32_t local = call->lane->rows.local, ranks = call->context->ranks;
    int64_t width = local + 1;
    for (int32_t p = 0; p < call->lane->send.peers; p++) {
        int32_t rank = call->context->living[p];
        int32_t *to = exchange->counts_out + p * width;
        memcpy(to, lane->totals + (ptrdiff_t)rank * local, (size_t)local * sizeof *to);
        to[local] = lane->totals[ranks * local + rank];
        exchange->send[p] = to;
        exchange->recv[p] = exchange->counts_in + p * width;
        exchange->send_bytes[p] = exchange->recv_bytes[p] = (size_t)width * sizeof *to;
    }
}

static int64_t sum_of(const int32_t *counts, int32_t local)
{
    int64_t sum = 0;
    for (int32_t slot = 0; slot < local; slot++)
        sum += counts[slot];
    return sum;
}

static void lay_out(const struct sl_dispatch *call)
{
    const struct sl_exchange *exchange = call->exchange;
    struct slc_lane *lane = slc_lane_of(call);
    int32_t local = call->lane->rows.local;
    int64_t width = local + 1;
    for (int32_t p = 0; p < call->lane->rows.peers; p++) {
        const int32_t *out = exchange->counts_out + p * width;
        const int32_t *in = exchange->counts_in + p * width;
        lane->tokens_to[p] = out[local];
        lane->tokens_from[p] = in[local];
        lane->rows_to[p] = sum_of(out, local);
        lane->rows_from[p] = sum_of(in, local);
        memcpy(lane->counts + p * width, in, (size_t)width * sizeof *in);
    }
    sl_layout_rows(&call->lane->rows, exchange->counts_in, width, exchange->transport.row_align, 0,
                   INT32_MAX);
}

static slcu_result enqueue_rows(const struct sl_dispatch *call, const struct slc_move *job)
{
    const struct slcu_driver *driver = slc_of(call->context)->gpu.driver;
    size_t bytes = (size_t)job->peers * (size_t)job->counts_stride * sizeof(int32_t);
    slcu_result error =
        driver->MemcpyHtoDAsync(slc_address(slc_lane_of(call)->counts_there),
                                slc_lane_of(call)->counts, bytes, call->args->stream);
    return error ? error
                 : slc_move_launch(call->context, job, SLC_K_lay_rows, 1, call->args->stream);
}

sluice_status slc_dispatch_count(struct sl_dispatch *call)
{
    sluice_context *context = call->context;
    struct slc_move *job = &slc_lane_of(call)->job;
    struct sl_header header = {.kind = SL_KIND_COUNT,
                               .layer = call->args->layer,
                               .lane = call->args->lane,
                               .form = (uint64_t)call->columns};
    sluice_status status = refuse_capture(call);
    if (status || (status = slc_mover_usable(context)))
        return status;
    slc_begin_lane(call);
    slc_fill_layout(call, job);
    job->counts_in = slc_lane_of(call)->counts_there;
    status = slc_judge(context, "laying out a dispatch", enqueue_layout(call, job));
    if (status || (status = sl_exchange_meet(context, SL_CHANNEL_MOVE, &header)) ||
        (status = slc_mover_ready(context, call->args->stream)) ||
        (status = slc_move_wait(context, call->args->stream)))
        return status;
    fill_counts(call);
    if ((status = sl_exchange_trade(context, SL_CHANNEL_MOVE, &header)))
        return status;
    lay_out(call);
    status = slc_judge(context, "laying out rows", enqueue_rows(call, job));
    if (status)
        return status;
    *call->args->row_count = call->lane->rows.total;
    call->lane->state = LANE_COUNTED;
    *call->args->handle = (sluice_handle){
        {call->lane->call, (uint64_t)call->args->lane, (uint64_t)call->args->layer, 0}};
    return SLUICE_OK;
}

/* --------------------------------------------------------------------------------------- send */

struct round {
    const struct slc_lane *lane;
    const struct slc_move *job;
    int64_t first, most; /* tokens of each pair */
};

static int64_t part_of(const struct round *round, int64_t count)
{
    int64_t left = count - round->first;
    return left < 0 ? 0 : left < round->most ? left : round->most;
}

static void message(const void *data, int32_t peer, struct slc_message *message)
{
    const struct round *round = data;
    const struct slc_move *job = round->job;
    message->from = job->out + peer * job->out_stride;
    message->to = job->in + peer * job->in_stride;
    message->send_bytes = part_of(round, round->lane->tokens_to[peer]) * job->record;
    message->recv_bytes = part_of(round, round->lane->tokens_from[peer]) * job->record;
}

/* The greatest number of tokens that this round has from a peer, and whether it has any at all. */
static int64_t widest(const struct sl_dispatch *call, const struct round *round, bool *any)
{
    int64_t most = 0;
    for (int32_t p = 0; p < call->lane->send.peers; p++) {
        int64_t from = part_of(round, round->lane->tokens_from[p]);
        if (p == round->job->own)
            continue;
        most = from > most ? from : most;
        *any = *any || from > 0 || part_of(round, round->lane->tokens_to[p]) > 0;
    }
    return most;
}

static sluice_status run_round(const struct sl_dispatch *call, struct round *round, int64_t from,
                               bool last)
{
    struct slc_move job = *round->job;
    void *stream = call->args->stream;
    job.first = round->first;
    job.most = round->most;
    int64_t units = call->tokens ? call->tokens : 1; /* the exchange is numbered */
    slcu_result error = slc_move_launch(call->context, &job, SLC_K_pack, units, stream);
    sluice_status status = slc_judge(call->context, "packing tokens", error);
    if (status || (status = slc_move_group(call->context, round, message, stream)))
        return status;
    if (SL_MUTANT(token_sent_twice) &&
        (status = slc_move_group(call->context, round, message, stream)))
        return status;
    job.most = from > 0 ? from : 1;
    job.ends = last;
    error =
        round->first == 0 ? slc_enqueue_padding(call, &job, call->lane->rows.total) : SLCU_SUCCESS;
    if (!error)
        error = slc_move_launch(call->context, &job, SLC_K_unpack,
                                units + (from > 0 ? job.peers * from : 0), stream);
    return slc_judge(call->context, "unpacking rows", error);
}

static sluice_status move(const struct sl_dispatch *call)
{
    const struct slc_mover *mover = slc_of(call->context)->mover;
    struct slc_lane *lane = slc_lane_of(call);
    struct slc_move *job = &lane->job;
    struct round round = {.lane = lane, .job = job, .most = INT32_MAX};
    job->out = lane->out;
    job->in = lane->in;
    job->out_stride = job->in_stride = (int64_t)mover->pair_bytes;
    job->front = 0;
    if (mover->pair_bytes)
        round.most = (int64_t)mover->pair_bytes / job->record;
    for (bool goes_on = true; goes_on; round.first += round.most) {
        struct round next = round;
        bool ignored = false;
        int64_t from = widest(call, &round, &ignored);
        goes_on = false;
        next.first += round.most;
        (void)widest(call, &next, &goes_on);
        sluice_status status = run_round(call, &round, from, !goes_on);
        if (status)
            return status;
    }
    return SLUICE_OK;
}

static void add(atomic_uint_least64_t *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

/* sent: bytes that crossed by NCCL. */
static void tally(const struct sl_dispatch *call, uint64_t sent)
{
    const struct slc_lane *lane = slc_lane_of(call);
    uint64_t tokens = 0, others = (uint64_t)call->lane->send.peers - 1;
    for (int32_t p = 0; p < call->lane->send.peers; p++)
        tokens += p == lane->job.own ? 0 : (uint64_t)lane->tokens_to[p];
    uint64_t frame = others * (2 * sizeof(struct sl_header) + ((uint64_t)lane->job.local + 1) * 4);
    add(&call->context->tally.dispatch_useful, tokens * call->token_bytes);
    add(&call->context->tally.dispatch_moved, sent + frame);
}

sluice_status slc_dispatch_send(struct sl_dispatch *call)
{
    struct sl_header header;
    sluice_status status;
    if (call->tokens != call->lane->tokens || call->columns != call->lane->columns)
        return sl_fail(call->context, SLUICE_INVALID,
                       "dispatch_ids are not those of the COUNT that made the handle");
    if ((status = refuse_capture(call)) || (status = slc_mover_usable(call->context)) ||
        (status = sl_dispatch_meet(call, &header)))
        return status;
    struct slc_move *job = &slc_lane_of(call)->job;
    job->in_ids = sl_ids_of(&call->ids);
    slc_fill_send(call, job);
    slc_fill_exchange(call->context, job, SL_KIND_SEND, call->args->layer, call->args->lane, 0);
    uint64_t before = slc_of(call->context)->mover->sent;
    if ((status = move(call)))
        return status;
    tally(call, slc_of(call->context)->mover->sent - before);
    call->lane->state = LANE_SENT;
    return SLUICE_OK;
}
