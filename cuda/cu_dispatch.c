/* SPDX-License-Identifier: Apache-2.0
 * dispatch, exact: count, then send. Counts cross by the engine's callbacks, rows by NCCL. */
#include <string.h>

#include "../src/backend/bk_dispatch.h"
#include "cu_mover.h"

static struct slc_lane *lane_of(const struct sl_dispatch *call)
{
    return &slc_of(call->context)->mover->lanes[call->args->lane];
}

static bool exact_order(const struct sl_dispatch *call)
{
    return call->exchange->transport.combine_order == SLUICE_COMBINE_EXACT;
}

/* ------------------------------------------------------------------------------------ the job */

static void fill_shape(const struct sl_dispatch *call, struct slc_move *job)
{
    const sluice_context *context = call->context;
    const struct sl_shape *shape = &call->layer->bank->shape;
    int32_t keys = shape->ranks * (shape->local + 1), warps = slc_layout_warps(keys);
    bool all_live = context->living_count == context->ranks;
    while (warps > 1 && (int64_t)(warps / 2) * SLC_WARP >= call->tokens)
        warps /= 2;
    job->local = shape->local;
    job->ranks = shape->ranks;
    job->peers = context->living_count;
    job->own = call->exchange->peer_of[context->rank];
    job->rank = context->rank;
    job->living = slc_of(context)->living_there;
    job->peer_of = all_live ? NULL : slc_of(context)->mover->peer_of;
    job->divide =
        shape->local == 1 ? 0 : (uint32_t)(((uint64_t)1 << 32) / (uint64_t)shape->local + 1);
    job->columns = call->columns;
    job->keys = keys;
    job->room = (int64_t)keys * 4 > SLC_MOST_SHARED ? SLC_MOST_SHARED / 4 : keys;
    job->block_shift = 5 + (warps > 1) + (warps > 2) + (warps > 4);
}

static void fill_layout(const struct sl_dispatch *call, struct slc_move *job)
{
    const sluice_transport *t = &call->exchange->transport;
    bool strided = call->fixed && t->row_layout == SLUICE_ROWS_STRIDED;
    fill_shape(call, job);
    job->tokens = call->tokens;
    job->in_ids = sl_ids_of(&call->ids);
    job->num_valid = call->num_valid;
    job->valid_rows = call->valid;
    job->rejected = slc_of(call->context)->rejected + SLUICE_OP_DISPATCH;
    job->per_rank = !exact_order(call);
    job->capacity_pair = INT32_MAX;
    job->row_align = t->row_align;
    job->slot_stride = strided ? t->capacity_slot : 0;
    job->row_capacity = INT32_MAX;
    job->slot_counts = sl_ids_of(&call->slot_counts);
    job->slot_starts = sl_ids_of(&call->slot_starts);
    job->counts_stride = job->local + 1;
    job->slices = 1;
}

static void fill_send(const struct sl_dispatch *call, struct slc_move *job)
{
    int64_t place = call->columns * (int64_t)sizeof(struct slc_item);
    job->in_weights =
        (struct slc_floats){(float *)(void *)call->weights.data, call->weights.stride};
    job->row_slot = sl_ids_of(&call->row_slot);
    job->slots_given = call->row_slot.rows;
    job->row_weight =
        (struct slc_floats){(float *)(void *)call->row_weight.data, call->row_weight.stride};
    job->weights_given = call->row_weight.rows;
    job->payload_count = call->args->payload_count;
    job->multiply = call->args->multiply;
    job->multiply_type = call->multiply_type;
    for (int32_t k = 0; k < call->args->payload_count; k++) {
        job->payloads[k] = slc_bytes_of(&call->payloads[k], &call->rows[k]);
        job->rows[k] = slc_bytes_of(&call->rows[k], &call->payloads[k]);
        job->place_of[k] = (int32_t)place;
        place += slc_padded(call->payloads[k].columns);
    }
    job->record = place;
    job->slices = slc_slices(call->tokens, (int64_t)call->token_bytes);
}

/* -------------------------------------------------------------------------------------- count */

static void begin_lane(const struct sl_dispatch *call)
{
    struct sl_lane *lane = call->lane;
    lane->call = ++call->exchange->calls;
    lane->state = LANE_IDLE;
    lane->layer = call->args->layer;
    lane->fixed = call->fixed;
    lane->columns = call->columns;
    lane->tokens = call->tokens;
    lane->send.peers = call->context->living_count;
    lane->rows.peers = call->context->living_count;
    lane->rows.local = call->layer->bank->shape.local;
}

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
    slcu_result error = slc_move_launch(call->context, job, SLC_LAY_OUT, call->tokens, stream);
    return error ? error
                 : driver->MemcpyDtoHAsync(lane_of(call)->totals, slc_address(job->totals),
                                           (size_t)job->keys * sizeof(int32_t), stream);
}

/* From what the layout found to what each peer is told: rows of its slots, then tokens. */
static void fill_counts(const struct sl_dispatch *call)
{
    struct sl_exchange *exchange = call->exchange;
    const struct slc_lane *lane = lane_of(call);
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
    struct slc_lane *lane = lane_of(call);
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
    slcu_result error = driver->MemcpyHtoDAsync(slc_address(job->counts_in), lane_of(call)->counts,
                                                bytes, call->args->stream);
    return error ? error : slc_move_launch(call->context, job, SLC_LAY_ROWS, 1, call->args->stream);
}

static sluice_status count(struct sl_dispatch *call)
{
    sluice_context *context = call->context;
    struct slc_move *job = &lane_of(call)->job;
    struct sl_header header = {.kind = SL_KIND_COUNT,
                               .layer = call->args->layer,
                               .lane = call->args->lane,
                               .form = (uint64_t)call->columns};
    sluice_status status = refuse_capture(call);
    if (status)
        return status;
    begin_lane(call);
    fill_layout(call, job);
    status = slc_judge(context, "laying out a dispatch", enqueue_layout(call, job));
    if (status || (status = sl_exchange_meet(context, SL_CHANNEL_MOVE, &header)) ||
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

/* Rows of padding, and those that have no slot until a token comes. */
static slcu_result enqueue_padding(const struct sl_dispatch *call, const struct slc_move *job)
{
    const sluice_transport *t = &call->exchange->transport;
    int64_t ids = job->row_slot.data ? job->slots_given : 0;
    int64_t weights = job->row_weight.data ? job->weights_given : 0;
    int64_t units = ((ids > weights ? ids : weights) + SLC_WARP - 1) / SLC_WARP;
    bool pads = t->row_layout == SLUICE_ROWS_GROUPED && t->row_align > 1;
    if (pads && call->lane->rows.total > units)
        units = call->lane->rows.total;
    return slc_move_launch(call->context, job, SLC_PAD_ROWS, units, call->args->stream);
}

static sluice_status run_round(const struct sl_dispatch *call, struct round *round, int64_t from)
{
    struct slc_move job = *round->job;
    void *stream = call->args->stream;
    job.first = round->first;
    job.most = round->most;
    slcu_result error = slc_move_launch(call->context, &job, SLC_PACK, call->tokens, stream);
    sluice_status status = slc_judge(call->context, "packing tokens", error);
    if (status || (status = slc_move_group(call->context, round, message, stream)))
        return status;
    job.most = from > 0 ? from : 1;
    error = round->first == 0 ? enqueue_padding(call, &job) : SLCU_SUCCESS;
    if (!error)
        error = slc_move_launch(call->context, &job, SLC_UNPACK,
                                call->tokens + (from > 0 ? job.peers * from : 0), stream);
    return slc_judge(call->context, "unpacking rows", error);
}

static sluice_status move(const struct sl_dispatch *call)
{
    const struct slc_mover *mover = slc_of(call->context)->mover;
    struct slc_lane *lane = lane_of(call);
    struct slc_move *job = &lane->job;
    struct round round = {.lane = lane, .job = job, .most = INT32_MAX};
    job->out = lane->out;
    job->in = lane->in;
    job->out_stride = job->in_stride = (int64_t)mover->pair_bytes;
    job->front = 0;
    if (mover->pair_bytes)
        round.most = (int64_t)mover->pair_bytes / job->record;
    for (;; round.first += round.most) {
        bool any = round.first == 0;
        int64_t from = widest(call, &round, &any);
        if (!any)
            return SLUICE_OK;
        sluice_status status = run_round(call, &round, from);
        if (status)
            return status;
    }
}

static void add(atomic_uint_least64_t *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

static void tally(const struct sl_dispatch *call)
{
    const struct slc_lane *lane = lane_of(call);
    uint64_t tokens = 0, others = (uint64_t)call->lane->send.peers - 1;
    for (int32_t p = 0; p < call->lane->send.peers; p++)
        tokens += p == lane->job.own ? 0 : (uint64_t)lane->tokens_to[p];
    uint64_t frame = others * (2 * sizeof(struct sl_header) + ((uint64_t)lane->job.local + 1) * 4);
    add(&call->context->tally.dispatch_useful, tokens * call->token_bytes);
    add(&call->context->tally.dispatch_moved, tokens * (uint64_t)lane->job.record + frame);
}

static sluice_status send(struct sl_dispatch *call)
{
    struct sl_header header;
    sluice_status status;
    if (call->tokens != call->lane->tokens || call->columns != call->lane->columns)
        return sl_fail(call->context, SLUICE_INVALID,
                       "dispatch_ids are not those of the COUNT that made the handle");
    if ((status = refuse_capture(call)) || (status = sl_dispatch_meet(call, &header)))
        return status;
    struct slc_move *job = &lane_of(call)->job;
    job->in_ids = sl_ids_of(&call->ids);
    fill_send(call, job);
    if ((status = move(call)))
        return status;
    tally(call);
    call->lane->state = LANE_SENT;
    return SLUICE_OK;
}

/* ----------------------------------------------------------------------------------- the call */

static sluice_status run(struct sl_dispatch *call)
{
    sluice_context *context = call->context;
    slcu_result error = slc_gpu_enter(&slc_of(context)->gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    sluice_status status = call->counts ? count(call) : send(call);
    slc_gpu_leave(&slc_of(context)->gpu);
    return status;
}

sluice_status slc_dispatch(sluice_context *context, const sluice_dispatch_args *args)
{
    int64_t started;
    struct sl_dispatch call = {.context = context, .args = args};
    sluice_status status = sl_enter(context, SLUICE_OP_DISPATCH, &started);
    if (status || (status = sl_dispatch_check(&call)) ||
        (call.sends && (status = sl_dispatch_check_send(&call))))
        return status;
    if (call.sends)
        return sl_leave(context, SLUICE_OP_DISPATCH, started, run(&call));
    status = run(&call); /* its SEND counts the call */
    if (!status)
        sl_spend(context, SLUICE_OP_DISPATCH, started);
    return status;
}
