/* SPDX-License-Identifier: Apache-2.0
 * combine: what may be wrong with a call. */
#include "../core/mutant.h"
#include "bk_combine.h"

static sluice_status check_handle(struct sl_combine *call)
{
    sluice_context *context = call->context;
    const sluice_handle *handle = call->args->handle;
    if (!call->exchange || call->exchange->transport.lanes == 0)
        return sl_fail(context, SLUICE_UNSUPPORTED,
                       "combine: config.uses had neither EXACT nor FIXED at open");
    if (!handle)
        return sl_fail(context, SLUICE_INVALID, "handle is NULL");
    uint64_t lane = handle->opaque[1];
    if (handle->opaque[0] == 0 || lane >= (uint64_t)call->exchange->transport.lanes ||
        handle->opaque[2] != (uint64_t)call->args->layer)
        return sl_fail(context, SLUICE_INVALID,
                       "handle is not one of a dispatch of layer %d in this context",
                       call->args->layer);
    call->lane = &call->exchange->lanes[lane];
    if (SL_MUTANT(lanes_shared))
        call->lane = &call->exchange->lanes[0];
    if (handle->opaque[0] == call->lane->call && call->lane->state == LANE_COUNTED &&
        !SL_MUTANT(stale_handle_accepted))
        return sl_fail(context, SLUICE_STALE, "handle is of a COUNT whose SEND has not been made");
    if ((handle->opaque[0] != call->lane->call || call->lane->state != LANE_SENT) &&
        !SL_MUTANT(stale_handle_accepted))
        return sl_fail(context, SLUICE_STALE,
                       "handle is of an earlier dispatch: lane %d has gone on, or its dispatch did "
                       "not end",
                       (int32_t)lane);
    return SLUICE_OK;
}

static sluice_status check_tensors(struct sl_combine *call)
{
    sluice_context *context = call->context;
    const sluice_combine_args *args = call->args;
    sluice_status status;
    if ((status = sl_check_tensor(context, "rows", args->rows, -1, -1, SL_T_FLOATS, &call->rows)) ||
        (status = sl_check_result(context, "out", args->out, call->lane->tokens, call->rows.columns,
                                  call->rows.type, &call->out)))
        return status;
    if (call->rows.rows < call->lane->rows.total)
        return sl_fail(context, SLUICE_INVALID, "rows has %lld rows: the dispatch wrote %lld",
                       (long long)call->rows.rows, (long long)call->lane->rows.total);
    call->row_bytes = (size_t)call->rows.columns * (size_t)call->rows.size;
    if (call->row_bytes > (size_t)call->exchange->transport.combine_row_bytes)
        return sl_fail(context, SLUICE_INVALID,
                       "rows has rows of %zu bytes: at most combine_row_bytes of "
                       "config.transport, which is %lld",
                       call->row_bytes, (long long)call->exchange->transport.combine_row_bytes);
    if (!args->zero_weight != !args->x)
        return sl_fail(context, SLUICE_INVALID,
                       "%s is missing: zero_weight and x come together or not at all",
                       args->x ? "zero_weight" : "x");
    if (!args->x)
        return SLUICE_OK;
    if ((status = sl_check_tensor(context, "zero_weight", args->zero_weight, call->lane->tokens, 1,
                                  SL_T_F32, &call->zero_weight)))
        return status;
    return sl_check_tensor(context, "x", args->x, call->lane->tokens, call->rows.columns,
                           call->rows.type, &call->x);
}

sluice_status sl_combine_check(struct sl_combine *call)
{
    sluice_context *context = call->context;
    const sluice_combine_args *args = call->args;
    call->exchange = context->exchange;
    sluice_status status;
    if ((status = sl_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args)) ||
        (status = sl_check_layer(context, args->layer, &call->layer)) ||
        (status = check_handle(call)) || (status = check_tensors(call)))
        return status;
    const struct sl_rule *rule = &call->layer->rule;
    if (args->scale != 0 && args->scale != 1)
        return sl_fail(context, SLUICE_INVALID, "scale is %d: must be 0 or 1", args->scale);
    if (args->scale && rule->scale_by != SLUICE_SCALE_BY_ENGINE)
        return sl_fail(context, SLUICE_INVALID,
                       "scale is 1: the layer's weights are scaled already (scale_by IN_WEIGHTS)");
    call->scale = args->scale && !SL_MUTANT(combine_scale_ignored) ? rule->scale : 1.0F;
    call->weighs = rule->weight_on == SLUICE_WEIGHT_ON_OUTPUT || SL_MUTANT(input_weighed_again);
    call->own = call->exchange->peer_of[context->rank];
    call->type = sl_float_type(&call->rows);
    return SLUICE_OK;
}
