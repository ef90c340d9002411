/* SPDX-License-Identifier: Apache-2.0 */
#include "../core/mutant.h"
#include "bk_balance.h"
#include "bk_map.h"

sluice_status sl_check_map(struct sl_call *call, const struct sl_map_out *args)
{
    sluice_context *context = call->context;
    int32_t top_k = call->layer->rule.top_k;
    int64_t columns = top_k + call->layer->shared;
    sluice_status status;
    call->step_given = args->step != NULL;
    if ((status = sl_check_scalar(context, "step", args->step, 0, &call->step)) ||
        (status = sl_check_scalar(context, "row_base", args->row_base, 0, &call->row_base)))
        return status;
    if (SL_MUTANT(row_base_ignored))
        call->row_base.value = 0;
    if (call->row_base.value < 0)
        return sl_fail(context, SLUICE_INVALID, "row_base is %lld: must not be negative",
                       (long long)call->row_base.value);
    if ((status = sl_check_out(call, "dispatch_ids", args->dispatch_ids, columns, SL_T_IDS,
                               &call->dispatch_ids)) ||
        (status = sl_check_out(call, "dispatch_weights", args->dispatch_weights, columns, SL_T_F32,
                               &call->dispatch_weights)))
        return status;
    bool waterfill = context->shared_policy == SLUICE_SHARED_WATERFILL_STATIC ||
                     context->shared_policy == SLUICE_SHARED_WATERFILL_DYNAMIC;
    call->waterfill = waterfill && call->layer->shared > 0;
    if (call->waterfill && args->dispatch_weights && !args->dispatch_ids)
        return sl_fail(context, SLUICE_INVALID,
                       "dispatch_ids is missing: under waterfill dispatch_weights come with them");
    call->balance = sl_balance_serves(context, call->layer);
    return sl_check_out(call, "recorder_ids", args->recorder_ids, top_k, SL_T_IDS,
                        &call->recorder_ids);
}

static sluice_status check_inputs(struct sl_call *call, const sluice_remap_args *args)
{
    sluice_context *context = call->context;
    const struct sl_rule *rule = &call->layer->rule;
    sluice_status status =
        sl_check_tensor(context, "ids", args->ids, -1, rule->top_k, SL_T_IDS, &call->in_ids);
    if (status)
        return status;
    call->rows = call->in_ids.rows;
    if (args->dispatch_weights && !args->weights)
        return sl_fail(context, SLUICE_INVALID, "weights is missing: dispatch_weights needs it");
    if (args->weights && (status = sl_check_tensor(context, "weights", args->weights, call->rows,
                                                   rule->top_k, SL_T_F32, &call->in_weights)))
        return status;
    bool per_token = call->layer->shared > 0 && rule->shared_weight != SLUICE_SHARED_ONE;
    if (per_token && args->dispatch_weights && !args->shared_weights)
        return sl_fail(context, SLUICE_INVALID,
                       "shared_weights is missing: the layer's shared weight is per token");
    if (args->shared_weights && call->layer->shared == 0)
        return sl_fail(context, SLUICE_INVALID,
                       "shared_weights is given: the layer has no shared slots");
    if (args->shared_weights &&
        (status = sl_check_tensor(context, "shared_weights", args->shared_weights, call->rows,
                                  call->layer->shared, SL_T_F32, &call->in_shared)))
        return status;
    if (args->zero_weight_here && !args->zero_weight)
        return sl_fail(context, SLUICE_INVALID,
                       "zero_weight is missing: zero_weight_here needs it");
    if (args->zero_weight && (status = sl_check_tensor(context, "zero_weight", args->zero_weight,
                                                       call->rows, 1, SL_T_F32, &call->in_zero)))
        return status;
    return sl_check_valid(call, args->row_valid, args->num_valid);
}

sluice_status sl_check_remap(struct sl_call *call, const sluice_remap_args *args)
{
    sluice_context *context = call->context;
    sluice_status status =
        sl_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args);
    if (status || (status = sl_check_layer(context, args->layer, &call->layer)))
        return status;
    const struct sl_map_out out = {args->step, args->row_base, args->dispatch_ids,
                                   args->dispatch_weights, args->recorder_ids};
    status = check_inputs(call, args);
    if (status)
        return status;
    if (!args->dispatch_ids && !args->dispatch_weights && !args->recorder_ids &&
        !args->zero_weight_here)
        return sl_fail(context, SLUICE_INVALID, "no output is given");
    status = sl_check_map(call, &out);
    if (status)
        return status;
    return sl_check_out(call, "zero_weight_here", args->zero_weight_here, 1, SL_T_F32,
                        &call->zero_here);
}
