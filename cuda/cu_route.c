/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_walk.h"

static sluice_status check(struct slc_walk *walk, const sluice_route_args *args)
{
    const struct slc_choose_in in = {args->logits,       args->bias,          args->bias_row,
                                     args->expert_scale, args->shared_logits, args->forced_ids,
                                     args->forced_row,   args->row_valid,     args->num_valid};
    const struct slc_map_out out = {args->step, args->row_base, args->dispatch_ids,
                                    args->dispatch_weights, args->recorder_ids};
    if (!args->dispatch_ids && !args->dispatch_weights && !args->recorder_ids && !args->ids &&
        !args->weights && !args->shared_weights && !args->zero_weight)
        return slc_fail(walk->context, SLUICE_INVALID, "no output is given");
    sluice_status status;
    if ((status = slc_check_choose(walk, &in)) ||
        (status = slc_check_chosen(walk, args->ids, args->weights, args->shared_weights)) ||
        (status = slc_check_map(walk, args->layer, SLUICE_OP_ROUTE, &out)))
        return status;
    if (args->zero_weight && walk->layer->rule.zero_experts == 0)
        return slc_fail(walk->context, SLUICE_INVALID,
                        "zero_weight is given: the layer has no zero experts");
    return slc_check_floats_out(walk, "zero_weight", args->zero_weight, 1, &walk->job.zero_here);
}

static sluice_status route(sluice_context *context, const sluice_route_args *args)
{
    int64_t started;
    sluice_status status = slc_enter(context, SLUICE_OP_ROUTE, &started);
    if (status)
        return status;
    struct slc_walk walk = {.context = context};
    if ((status = slc_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args)) ||
        (status = slc_check_layer(context, args->layer, &walk.layer)) ||
        (status = check(&walk, args)))
        return status;
    walk.job.counters = args->skip_record ? NULL : walk.layer->bank->counters;
    status = slc_walk_launch(&walk, SLC_ROUTE, args->stream);
    return slc_leave(context, SLUICE_OP_ROUTE, started, status);
}

const sluice_route_api slc_route_api = {.struct_size = sizeof slc_route_api, .route = route};
