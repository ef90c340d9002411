/* SPDX-License-Identifier: Apache-2.0 */
#include "../../abi/ext/route.h"
#include "../core/mutant.h"
#include "cpu_ext.h"
#include "cpu_remap.h"
#include "cpu_topk.h"

static sluice_status check(struct sl_walk *walk, const sluice_route_args *args)
{
    const struct sl_choose_in in = {args->logits,       args->bias,          args->bias_row,
                                    args->expert_scale, args->shared_logits, args->forced_ids,
                                    args->forced_row,   args->row_valid,     args->num_valid};
    const struct sl_map_out out = {args->step, args->row_base, args->dispatch_ids,
                                   args->dispatch_weights, args->recorder_ids};
    if (!args->dispatch_ids && !args->dispatch_weights && !args->recorder_ids && !args->ids &&
        !args->weights && !args->shared_weights && !args->zero_weight)
        return sl_fail(walk->context, SLUICE_INVALID, "no output is given");
    sluice_status status;
    if ((status = sl_check_choose(walk, &in)) ||
        (status = sl_check_chosen(walk, args->ids, args->weights, args->shared_weights)) ||
        (status = sl_check_map(walk, args->layer, &out)))
        return status;
    if (args->zero_weight && walk->layer->rule.zero_experts == 0)
        return sl_fail(walk->context, SLUICE_INVALID,
                       "zero_weight is given: the layer has no zero experts");
    return sl_check_out(walk, "zero_weight", args->zero_weight, 1, SL_T_F32, &walk->zero_here);
}

static sluice_status route(sluice_context *context, const sluice_route_args *args)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_ROUTE, &started);
    if (status)
        return status;
    struct sl_walk walk = {.context = context, .chooses = true};
    if ((status = sl_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args)) ||
        (status = sl_check_layer(context, args->layer, &walk.layer)) ||
        (status = check(&walk, args)))
        return status;
    walk.counts = !args->skip_record || SL_MUTANT(skip_record_ignored);
    status = sl_map_run(&walk, args->layer);
    if (status)
        return status;
    return sl_leave(context, SLUICE_OP_ROUTE, started, SLUICE_OK);
}

const sluice_route_api cpu_route_api = {.struct_size = sizeof cpu_route_api, .route = route};
