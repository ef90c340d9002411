/* SPDX-License-Identifier: Apache-2.0
 * dispatch: what both modes have in common, and the call. */
#include "cu_dispatch.h"
#include "../src/core/mutant.h"

static bool exact_order(const struct sl_dispatch *call)
{
    return call->exchange->transport.combine_order == SLUICE_COMBINE_EXACT;
}

/* ------------------------------------------------------------------------------------ the job */

/* m = 2^s / L rounded up is less than 2^s / L + 1, so id * m / 2^s is less than id / L + id / 2^s:
 * its whole part is that of id / L where 2^s is above id * L. Ids are below W * L, so the product
 * stays below 2 * (W * L)^2, which fits in 32 bits. */
static void fill_divide(struct slc_move *job)
{
    uint64_t local = (uint64_t)job->local, above = (uint64_t)job->ranks * local * local;
    job->divide_shift = 0;
    while ((uint64_t)1 << job->divide_shift <= above)
        job->divide_shift++;
    job->divide = (uint32_t)((((uint64_t)1 << job->divide_shift) + local - 1) / local);
}

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
    job->living = slc_of(context)->living_there + 1;
    job->peer_of = all_live ? NULL : slc_of(context)->mover->peer_of;
    fill_divide(job);
    job->columns = call->columns;
    job->keys = keys;
    job->key_stride = (keys + 3) / 4 * 4;
    job->room = job->key_stride * 4 > SLC_MOST_SHARED ? SLC_MOST_SHARED / 4 : job->key_stride;
    job->block_shift = 5 + (warps > 1) + (warps > 2) + (warps > 4);
}

void slc_fill_layout(const struct sl_dispatch *call, struct slc_move *job)
{
    const sluice_transport *t = &call->exchange->transport;
    bool strided = call->fixed && t->row_layout == SLUICE_ROWS_STRIDED;
    fill_shape(call, job);
    job->tokens = call->tokens;
    job->in_ids = sl_ids_of(&call->ids);
    job->fours = !job->in_ids.wide && call->columns % 4 == 0 && call->ids.stride % 4 == 0 &&
                 (uintptr_t)call->ids.data % 16 == 0;
    job->num_valid = call->num_valid;
    job->valid_rows = call->valid;
    if (SL_MUTANT(padding_sent)) {
        job->num_valid.data = NULL;
        job->valid_rows = call->tokens;
    }
    job->rejected = slc_of(call->context)->rejected + SLUICE_OP_DISPATCH;
    job->per_rank = !exact_order(call);
    job->fixed = 0;
    job->limit = SLC_LIMIT_NEVER;
    job->capacity_pair = job->capacity_back = INT32_MAX;
    job->row_align = t->row_align;
    job->slot_stride = strided ? t->capacity_slot : 0;
    job->row_capacity = INT32_MAX;
    job->slot_counts = sl_ids_of(&call->slot_counts);
    job->slot_starts = sl_ids_of(&call->slot_starts);
    job->counts_stride = job->local + 1;
    job->slices = 1;
}

void slc_fill_send(const struct sl_dispatch *call, struct slc_move *job)
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

void slc_begin_lane(const struct sl_dispatch *call)
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

slcu_result slc_enqueue_padding(const struct sl_dispatch *call, const struct slc_move *job,
                                int64_t rows)
{
    const sluice_transport *t = &call->exchange->transport;
    int64_t ids = job->row_slot.data ? job->slots_given : 0;
    int64_t weights = job->row_weight.data ? job->weights_given : 0;
    int64_t units = ((ids > weights ? ids : weights) + SLC_WARP - 1) / SLC_WARP;
    bool pads = t->row_layout == SLUICE_ROWS_GROUPED && t->row_align > 1;
    if (pads && rows > units)
        units = rows;
    if (job->peers > 1 && units == 0)
        units = 1; /* it sees whether the exchange was cut short */
    return slc_move_launch(call->context, job, SLC_K_pad_rows, units, call->args->stream);
}

/* ----------------------------------------------------------------------------------- the call */

static sluice_status run(struct sl_dispatch *call)
{
    sluice_context *context = call->context;
    slcu_result error = slc_gpu_enter(&slc_of(context)->gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    sluice_status status = call->fixed    ? slc_dispatch_fixed(call)
                           : call->counts ? slc_dispatch_count(call)
                                          : slc_dispatch_send(call);
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
