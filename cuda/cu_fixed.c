/* SPDX-License-Identifier: Apache-2.0
 * dispatch with fixed capacities: nothing is known on the host, so every message has the size of
 * its capacity, and what a capacity cannot hold is told by the kernels. */
#include "cu_carry.h"
#include "cu_dispatch.h"

static void fill_capacities(const struct sl_dispatch *call, struct slc_move *job)
{
    const sluice_transport *t = &call->exchange->transport;
    bool strided = t->row_layout == SLUICE_ROWS_STRIDED;
    job->fixed = 1;
    job->capacity_pair = t->capacity_pair;
    job->most_back = job->per_rank ? t->capacity_pair : t->capacity_back;
    job->row_capacity = strided ? t->capacity_slot * job->local : t->capacity_rows;
    if (job->per_rank)
        return;
    /* A capacity that cannot be too small need not be watched. */
    int64_t copies = job->columns < job->local ? job->columns : job->local;
    job->capacity_back = t->capacity_back;
    job->limit = t->capacity_back >= t->capacity_pair * job->columns ? SLC_LIMIT_NEVER
                 : t->capacity_back >= t->capacity_pair * copies     ? SLC_LIMIT_TWICE
                                                                     : SLC_LIMIT_ANY;
}

static void fill(const struct sl_dispatch *call, struct slc_move *job)
{
    const struct slc_mover *mover = slc_of(call->context)->mover;
    const struct slc_lane *lane = slc_lane_of(call);
    slc_fill_layout(call, job);
    fill_capacities(call, job);
    slc_fill_send(call, job);
    slc_fill_exchange(call->context, job, SL_KIND_FIXED, call->args->layer, call->args->lane,
                      slc_carry_form(call, sl_dispatch_form(call)));
    job->token_bytes = (int32_t)call->token_bytes;
    job->out = lane->out;
    job->in = lane->in;
    job->out_stride = job->in_stride = (int64_t)mover->pair_bytes;
    job->front = (int32_t)slc_padded(slc_carry_at(job) + slc_carry_bytes(call));
    job->counts_in = (const int32_t *)(const void *)(lane->in + sizeof(struct slc_head));
    job->counts_stride = job->in_stride / (int64_t)sizeof(int32_t);
    job->first = 0;
    job->most = job->capacity_pair;
    job->ends = 0;
}

static void message(const void *data, int32_t peer, struct slc_message *message)
{
    const struct slc_move *job = data;
    message->from = job->out + peer * job->out_stride;
    message->to = job->in + peer * job->in_stride;
    message->send_bytes = message->recv_bytes = job->front + job->capacity_pair * job->record;
}

static sluice_status run(const struct sl_dispatch *call, struct slc_move *job)
{
    sluice_context *context = call->context;
    void *stream = call->args->stream;
    int64_t records = job->peers > 1 ? job->peers * job->capacity_pair : 0;
    slcu_result error = slc_move_launch(context, job, SLC_K_lay_out, job->tokens, stream);
    if (!error)
        error = slc_carry(call, job);
    if (!error)
        error = slc_move_launch(context, job, SLC_K_pack, job->tokens ? job->tokens : 1, stream);
    sluice_status status = slc_judge(context, "packing tokens", error);
    if (status || (status = slc_move_group(context, job, message, stream)))
        return status;
    error = slc_move_launch(context, job, SLC_K_lay_rows, 1, stream);
    if (!error)
        error = slc_take_carried(call, job);
    if (!error)
        error = slc_enqueue_padding(call, job, call->lane->rows.total);
    if (!error)
        error = slc_move_launch(context, job, SLC_K_unpack, job->tokens + records, stream);
    return slc_judge(context, "unpacking rows", error);
}

/* Outputs hold what all capacities let through. */
static sluice_status check_rows(const struct sl_dispatch *call, int64_t wanted)
{
    for (int32_t k = 0; k < call->args->payload_count; k++)
        if (call->rows[k].rows < wanted)
            return sl_fail(call->context, SLUICE_INVALID,
                           "rows[%d] holds %lld rows: FIXED needs fixed_rows of needs, %lld", k,
                           (long long)call->rows[k].rows, (long long)wanted);
    if ((call->args->row_slot && call->row_slot.rows < wanted) ||
        (call->args->row_weight && call->row_weight.rows < wanted))
        return sl_fail(call->context, SLUICE_INVALID,
                       "row_slot or row_weight holds fewer rows than fixed_rows of needs, %lld",
                       (long long)wanted);
    return SLUICE_OK;
}

sluice_status slc_dispatch_fixed(struct sl_dispatch *call)
{
    sluice_context *context = call->context;
    const sluice_transport *t = &call->exchange->transport;
    struct slc_move *job = &slc_lane_of(call)->job;
    int64_t rows = t->row_layout == SLUICE_ROWS_STRIDED
                       ? t->capacity_slot * call->layer->bank->shape.local
                       : t->capacity_rows;
    sluice_status status = check_rows(call, rows);
    if (status || (status = slc_mover_ready(context, call->args->stream)))
        return status;
    slc_begin_lane(call);
    call->lane->rows.total = rows;
    fill(call, job);
    if ((status = run(call, job)))
        return status;
    call->lane->state = LANE_SENT;
    *call->args->handle = (sluice_handle){
        {call->lane->call, (uint64_t)call->args->lane, (uint64_t)call->args->layer, 0}};
    return slc_mover_said(context);
}
