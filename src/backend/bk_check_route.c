/* SPDX-License-Identifier: Apache-2.0 */
#include "bk_map.h"

sluice_status sl_check_route(struct sl_call *call, const sluice_route_args *args)
{
    sluice_context *context = call->context;
    sluice_status status =
        sl_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args);
    if (status || (status = sl_check_layer(context, args->layer, &call->layer)))
        return status;
    const struct sl_choose_in in = {args->logits,       args->bias,          args->bias_row,
                                    args->expert_scale, args->shared_logits, args->forced_ids,
                                    args->forced_row,   args->row_valid,     args->num_valid};
    const struct sl_map_out out = {args->step, args->row_base, args->dispatch_ids,
                                   args->dispatch_weights, args->recorder_ids};
    if (!args->dispatch_ids && !args->dispatch_weights && !args->recorder_ids && !args->ids &&
        !args->weights && !args->shared_weights && !args->zero_weight_here)
        return sl_fail(context, SLUICE_INVALID, "no output is given");
    if ((status = sl_check_choose(call, &in)) ||
        (status = sl_check_chosen(call, args->ids, args->weights, args->shared_weights)) ||
        (status = sl_check_map(call, &out)))
        return status;
    if (args->zero_weight_here && call->layer->rule.zero_experts == 0)
        return sl_fail(context, SLUICE_INVALID,
                       "zero_weight_here is given: the layer has no zero experts");
    return sl_check_out(call, "zero_weight_here", args->zero_weight_here, 1, SL_T_F32,
                        &call->zero_here);
}
