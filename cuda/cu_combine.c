/* SPDX-License-Identifier: Apache-2.0
 * combine: rows, or each rank's sums of them, go home and are added there. */
#include "cu_mover.h"

struct round {
    const struct slc_move *job;
    const struct slc_lane *lane;
    const int64_t *to, *from; /* rows that a peer gets and gives, [peers] */
    int64_t first, most;
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
    int64_t head = round->first == 0 ? 0 : job->front; /* what only the first message has */
    message->from = job->out + peer * job->out_stride + head;
    message->to = job->in + round->lane->heads_back[peer] + head + round->first * job->record;
    message->send_bytes = part_of(round, round->to[peer]) * job->record + job->front - head;
    message->recv_bytes = part_of(round, round->from[peer]) * job->record + job->front - head;
}

static void fill(const struct sl_combine *call, struct slc_lane *lane, struct slc_move *job)
{
    const struct slc_mover *mover = slc_of(call->context)->mover;
    const struct sl_view none = {.data = NULL};
    bool exact = call->exchange->transport.combine_order == SLUICE_COMBINE_EXACT;
    *job = lane->job;
    job->results = slc_bytes_of(&call->rows, &none);
    job->sums = slc_bytes_of(&call->out, &none);
    if (call->args->x) {
        job->x = slc_bytes_of(&call->x, &none);
        job->zero_weight =
            (struct slc_floats){(float *)(void *)call->zero_weight.data, call->zero_weight.stride};
    }
    job->elements = call->rows.columns;
    job->type = call->type;
    job->weighs = call->weighs;
    job->scale = call->scale;
    job->out = lane->out;
    job->in = lane->in;
    job->out_stride = (int64_t)mover->pair_bytes;
    job->front = (int32_t)sizeof(struct slc_head);
    job->token_bytes = (int32_t)(exact ? (int64_t)call->row_bytes : call->rows.columns * 4);
    slc_fill_exchange(call->context, job, SL_KIND_COMBINE, call->args->layer,
                      (int32_t)(call->lane - call->exchange->lanes),
                      ((uint64_t)call->row_bytes << 8) + (uint64_t)call->type);
    job->record = slc_padded(exact ? (int64_t)call->row_bytes : call->rows.columns * 4);
}

static sluice_status run_rounds(const struct sl_combine *call, struct slc_move *job,
                                struct round *round)
{
    sluice_context *context = call->context;
    enum slc_kernel kernel = job->per_rank ? SLC_K_give_sums : SLC_K_give_rows;
    int64_t units = job->peers * job->received_stride;
    job->slices = slc_slices(units, (int64_t)call->row_bytes);
    for (bool goes_on = true; goes_on; round->first += round->most) {
        job->first = round->first;
        job->most = round->most;
        slcu_result error = slc_move_launch(context, job, kernel, units, call->args->stream);
        sluice_status status = slc_judge(context, "packing results", error);
        if (status || (status = slc_move_group(context, round, message, call->args->stream)))
            return status;
        goes_on = false;
        for (int32_t p = 0; p < job->peers; p++) {
            int64_t rows = round->to[p] > round->from[p] ? round->to[p] : round->from[p];
            goes_on = goes_on || (p != job->own && rows > round->first + round->most);
        }
    }
    return SLUICE_OK;
}

static void add(atomic_uint_least64_t *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

static void tally(const struct sl_combine *call, const struct slc_move *job, const int64_t *to)
{
    uint64_t rows = 0, row = job->per_rank ? (uint64_t)job->elements * 4 : call->row_bytes;
    for (int32_t p = 0; p < job->peers; p++)
        rows += p == job->own ? 0 : (uint64_t)to[p];
    add(&call->context->tally.combine_useful, rows * row);
    add(&call->context->tally.combine_moved, rows * (uint64_t)job->record);
}

/* How many rows go each way: known from the counts, or (FIXED) all that there is room for. */
static void find_rows(const struct sl_combine *call, struct slc_lane *lane, struct slc_move *job,
                      struct round *round)
{
    const struct slc_mover *mover = slc_of(call->context)->mover;
    int64_t *fixed = call->exchange->back, sum = 0;
    for (int32_t p = 0; p < job->peers; p++)
        fixed[p] = job->most_back;
    round->to = job->fixed ? fixed : job->per_rank ? lane->tokens_from : lane->rows_from;
    round->from = job->fixed ? fixed : job->per_rank ? lane->tokens_to : lane->rows_to;
    round->most = ((int64_t)mover->pair_bytes - job->front) / job->record;
    for (int32_t p = 0; p < job->peers; p++) {
        lane->heads_back[p] = p * (int64_t)job->front + sum * job->record;
        sum += p == job->own && !job->fixed ? 0 : round->from[p];
    }
}

static sluice_status combine(const struct sl_combine *call)
{
    sluice_context *context = call->context;
    struct slc_lane *lane = &slc_of(context)->mover->lanes[call->lane - call->exchange->lanes];
    struct slc_move job;
    sluice_status status = slc_mover_ready(context, call->args->stream);
    if (status)
        return status;
    fill(call, lane, &job);
    struct round round = {.job = &job, .lane = lane};
    if (job.peers > 1) {
        find_rows(call, lane, &job, &round);
        if ((status = run_rounds(call, &job, &round)))
            return status;
    }
    job.slices = slc_slices(job.tokens, (int64_t)call->row_bytes);
    int64_t units = job.peers > 1 && job.tokens == 0 ? 1 : job.tokens;
    slcu_result error = slc_move_launch(context, &job, SLC_K_add_rows, units, call->args->stream);
    if (!error && job.peers > 1 && !job.fixed)
        tally(call, &job, round.to);
    status = slc_judge(context, "adding results", error);
    return status ? status : slc_mover_said(context);
}

sluice_status slc_combine(sluice_context *context, const sluice_combine_args *args)
{
    int64_t started;
    struct sl_combine call = {.context = context, .args = args};
    sluice_status status = sl_enter(context, SLUICE_OP_COMBINE, &started);
    if (status || (status = sl_combine_check(&call)))
        return status;
    slcu_result error = slc_gpu_enter(&slc_of(context)->gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    status = combine(&call);
    slc_gpu_leave(&slc_of(context)->gpu);
    return sl_leave(context, SLUICE_OP_COMBINE, started, status);
}
