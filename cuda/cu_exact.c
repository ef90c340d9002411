/* SPDX-License-Identifier: Apache-2.0
 * dispatch, exact: count, then send. COUNT waits for every rank's counts, and compares what they
 * are in; SEND waits for nobody: its rows cross in rounds that staging has room for, the first with
 * heads in front, which kernels compare. */
#include "../src/core/mutant.h"
#include "cu_carry.h"
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

/* What one rank tells another: a head, then rows of each of its slots, then tokens, then what the
 * step balance has for it. */
static const struct slc_head *head_at(const char *said)
{
    return (const struct slc_head *)(const void *)said;
}

static const int32_t *counts_at(const char *said)
{
    return (const int32_t *)(const void *)(said + sizeof(struct slc_head));
}

static void fill_count(const struct sl_dispatch *call, struct slc_move *job)
{
    struct slc_lane *lane = slc_lane_of(call);
    slc_fill_layout(call, job);
    slc_fill_exchange(call->context, job, SL_KIND_COUNT, call->args->layer, call->args->lane,
                      slc_carry_form(call, (uint64_t)call->columns));
    job->call.epoch = call->layer->bank->epoch;
    job->out = lane->said_out;
    job->in = lane->said_in;
    job->out_stride = job->in_stride = lane->said_stride;
    job->counts_in = counts_at(lane->said_in);
    job->counts_stride = lane->said_stride / (int64_t)sizeof(int32_t);
}

static void said_message(const void *data, int32_t peer, struct slc_message *message)
{
    const struct slc_move *job = data;
    message->from = job->out + peer * job->out_stride;
    message->to = job->in + peer * job->in_stride;
    message->send_bytes = message->recv_bytes = job->in_stride;
}

/* Counts cross, and both what was told and what was heard come to the host. */
static sluice_status trade_counts(const struct sl_dispatch *call, const struct slc_move *job)
{
    sluice_context *context = call->context;
    const struct slcu_driver *driver = slc_of(context)->gpu.driver;
    const struct slc_lane *lane = slc_lane_of(call);
    void *stream = call->args->stream;
    slcu_result error = slc_move_launch(context, job, SLC_K_lay_out, call->tokens, stream);
    if (!error)
        error = slc_move_launch(context, job, SLC_K_tell_counts, 1, stream);
    if (!error)
        error = slc_carry(call, job);
    sluice_status status = slc_judge(context, "laying out a dispatch", error);
    if (status || (status = slc_move_group(context, job, said_message, stream)))
        return status;
    size_t bytes = 2 * (size_t)context->ranks * (size_t)lane->said_stride;
    error = driver->MemcpyDtoHAsync(lane->said, slc_address(lane->said_out), bytes, stream);
    status = slc_judge(context, "reading counts", error);
    return status ? status : slc_move_wait(context, call->args->lane, stream);
}

static struct sl_header header_of(const struct slc_head *head)
{
    return (struct sl_header){.magic = head->magic == SLC_HEAD_MAGIC ? SL_HEADER_MAGIC : 0,
                              .kind = head->kind,
                              .layer = head->layer,
                              .lane = head->lane,
                              .number = head->number,
                              .epoch = head->epoch,
                              .map = SL_MUTANT(maps_not_compared) ? 0 : head->map,
                              .form = head->form};
}

/* Have all ranks come to the same COUNT? */
static sluice_status compare(const struct sl_dispatch *call)
{
    sluice_context *context = call->context;
    const struct slc_lane *lane = slc_lane_of(call);
    int32_t peers = context->living_count, own = lane->job.own;
    const char *told = lane->said, *heard = told + context->ranks * lane->said_stride;
    if (peers == 1)
        return SLUICE_OK;
    struct sl_header mine = header_of(head_at(told + (own == 0) * lane->said_stride));
    for (int32_t p = 0; p < peers; p++)
        call->exchange->headers[p] =
            p == own ? mine : header_of(head_at(heard + p * lane->said_stride));
    sluice_status status = sl_exchange_compare(context, &mine);
    if (status)
        slc_mover_part(context, status, SLUICE_OP_DISPATCH, call->args->layer);
    else
        __atomic_store_n(&lane->told->ended, mine.number, __ATOMIC_RELEASE);
    return status;
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
    struct slc_lane *lane = slc_lane_of(call);
    int32_t local = call->lane->rows.local;
    const char *told = lane->said, *heard = told + call->context->ranks * lane->said_stride;
    for (int32_t p = 0; p < call->lane->rows.peers; p++) {
        const int32_t *in = counts_at(heard + p * lane->said_stride);
        const int32_t *out = p == lane->job.own ? in : counts_at(told + p * lane->said_stride);
        lane->tokens_to[p] = out[local];
        lane->tokens_from[p] = in[local];
        lane->rows_to[p] = sum_of(out, local);
        lane->rows_from[p] = sum_of(in, local);
    }
    sl_layout_rows(&call->lane->rows, counts_at(heard), lane->job.counts_stride,
                   call->exchange->transport.row_align, 0, INT32_MAX);
}

sluice_status slc_dispatch_count(struct sl_dispatch *call)
{
    sluice_context *context = call->context;
    struct slc_move *job = &slc_lane_of(call)->job;
    sluice_status status = refuse_capture(call);
    if (status || (status = slc_mover_ready(context, call->args->stream)))
        return status;
    slc_begin_lane(call);
    fill_count(call, job);
    if ((status = trade_counts(call, job)) || (status = compare(call)))
        return status;
    lay_out(call);
    slcu_result error = slc_move_launch(context, job, SLC_K_lay_rows, 1, call->args->stream);
    if (!error)
        error = slc_take_carried(call, job);
    if ((status = slc_judge(context, "laying out rows", error)))
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
    int64_t head = round->first == 0 ? 0 : job->front; /* what only the first message has */
    message->from = job->out + peer * job->out_stride + head;
    message->to = job->in + peer * job->in_stride + head;
    message->send_bytes =
        part_of(round, round->lane->tokens_to[peer]) * job->record + job->front - head;
    message->recv_bytes =
        part_of(round, round->lane->tokens_from[peer]) * job->record + job->front - head;
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
    job->front = (int32_t)sizeof(struct slc_head);
    if (mover->pair_bytes)
        round.most = ((int64_t)mover->pair_bytes - job->front) / job->record;
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

/* sent: bytes that crossed behind the counts. */
static void tally(const struct sl_dispatch *call, uint64_t sent)
{
    const struct slc_lane *lane = slc_lane_of(call);
    uint64_t tokens = 0, others = (uint64_t)call->lane->send.peers - 1;
    for (int32_t p = 0; p < call->lane->send.peers; p++)
        tokens += p == lane->job.own ? 0 : (uint64_t)lane->tokens_to[p];
    uint64_t counts = others * (uint64_t)lane->said_stride;
    add(&call->context->tally.dispatch_useful, tokens * call->token_bytes);
    add(&call->context->tally.dispatch_moved, sent + counts);
}

/* Nothing has moved yet, and the others wait for this rank: it may repeat the call. */
static sluice_status check_rows(const struct sl_dispatch *call)
{
    int64_t held = sl_dispatch_held(call), wanted = call->lane->rows.total;
    if (held >= wanted)
        return SLUICE_OK;
    return sl_fail(call->context, SLUICE_INVALID,
                   "rows of rank %d hold %lld rows: dispatch needs %lld", call->context->rank,
                   (long long)held, (long long)wanted);
}

sluice_status slc_dispatch_send(struct sl_dispatch *call)
{
    sluice_status status;
    if (call->tokens != call->lane->tokens || call->columns != call->lane->columns)
        return sl_fail(call->context, SLUICE_INVALID,
                       "dispatch_ids are not those of the COUNT that made the handle");
    if ((status = refuse_capture(call)) || (status = slc_mover_usable(call->context)) ||
        (status = check_rows(call)))
        return status;
    struct slc_move *job = &slc_lane_of(call)->job;
    job->in_ids = sl_ids_of(&call->ids);
    slc_fill_send(call, job);
    slc_fill_exchange(call->context, job, SL_KIND_SEND, call->args->layer, call->args->lane,
                      sl_dispatch_form(call));
    uint64_t before = slc_of(call->context)->mover->comm.sent;
    if ((status = move(call)))
        return status;
    tally(call, slc_of(call->context)->mover->comm.sent - before);
    call->lane->state = LANE_SENT;
    return SLUICE_OK;
}
