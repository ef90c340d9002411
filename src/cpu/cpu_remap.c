/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_remap.h"

#include "../core/mutant.h"
#include "cpu_balance.h"
#include "cpu_topk.h"
#include "cpu_waterfill.h"

static void fill_remap(struct sl_walk *walk, int32_t layer)
{
    const sluice_context *context = walk->context;
    const struct sl_rule *rule = &walk->layer->rule;
    struct sl_remap *remap = &walk->remap;
    remap->shape = &walk->layer->bank->shape;
    remap->place = &walk->layer->bank->place;
    remap->top_k = rule->top_k;
    remap->copy_policy = context->copy_policy;
    remap->by_row = (context->flags & SLUICE_OPEN_EVERY_RANK_EVERY_ROW) != 0;
    remap->living = context->living_count;
    remap->living_ranks = context->living;
    remap->shared_constant = rule->shared_scale / rule->shared_divisor;
    remap->shared_divisor = rule->shared_divisor;
    remap->seed = context->seed;
    remap->layer = layer;
}

sluice_status sl_check_map(struct sl_walk *walk, int32_t layer, const struct sl_map_out *args)
{
    sluice_context *context = walk->context;
    int32_t top_k = walk->layer->rule.top_k;
    int64_t columns = top_k + walk->layer->shared;
    walk->maps = true;
    fill_remap(walk, layer);
    sluice_status status;
    if ((status =
             sl_check_scalar(context, "step", args->step, walk->layer->calls, &walk->remap.step)) ||
        (status = sl_check_scalar(context, "row_base", args->row_base, 0, &walk->remap.row_base)))
        return status;
    if (SL_MUTANT(row_base_ignored))
        walk->remap.row_base = 0;
    if (walk->remap.row_base < 0)
        return sl_fail(context, SLUICE_INVALID, "row_base is %lld: must not be negative",
                       (long long)walk->remap.row_base);
    if ((status = sl_check_out(walk, "dispatch_ids", args->dispatch_ids, columns, SL_T_IDS,
                               &walk->dispatch_ids)) ||
        (status = sl_check_out(walk, "dispatch_weights", args->dispatch_weights, columns, SL_T_F32,
                               &walk->dispatch_weights)))
        return status;
    bool waterfill = context->shared_policy == SLUICE_SHARED_WATERFILL_STATIC ||
                     context->shared_policy == SLUICE_SHARED_WATERFILL_DYNAMIC;
    walk->waterfill = waterfill && walk->layer->shared > 0;
    if (walk->waterfill && args->dispatch_weights && !args->dispatch_ids)
        return sl_fail(context, SLUICE_INVALID,
                       "dispatch_ids is missing: under waterfill dispatch_weights come with them");
    walk->balance = sl_balance_serves(context, walk->layer);
    walk->later = context->copy_policy == SLUICE_COPY_BALANCED;
    return sl_check_out(walk, "recorder_ids", args->recorder_ids, top_k, SL_T_IDS,
                        &walk->recorder_ids);
}

sluice_status sl_map_run(struct sl_walk *walk, int32_t layer)
{
    sluice_status status = SLUICE_OK;
    walk->holds = walk->waterfill || walk->balance;
    if (walk->waterfill)
        sl_waterfill_begin(walk);
    if (walk->balance)
        status = sl_balance_run(walk, layer);
    else
        sl_walk_run(walk);
    if (!status && walk->waterfill)
        status = sl_waterfill_finish(walk, layer);
    /* A call that failed has counted and drawn nothing. */
    if (status)
        sl_walk_drop(walk);
    else
        sl_walk_keep(walk);
    walk->layer->calls += status == SLUICE_OK;
    return status;
}

static sluice_status check_inputs(struct sl_walk *walk, const sluice_remap_args *args)
{
    sluice_context *context = walk->context;
    const struct sl_rule *rule = &walk->layer->rule;
    sluice_status status =
        sl_check_tensor(context, "ids", args->ids, -1, rule->top_k, SL_T_IDS, &walk->in_ids);
    if (status)
        return status;
    walk->rows = walk->in_ids.rows;
    if (args->dispatch_weights && !args->weights)
        return sl_fail(context, SLUICE_INVALID, "weights is missing: dispatch_weights needs it");
    if (args->weights && (status = sl_check_tensor(context, "weights", args->weights, walk->rows,
                                                   rule->top_k, SL_T_F32, &walk->in_weights)))
        return status;
    bool per_token = walk->layer->shared > 0 && rule->shared_weight != SLUICE_SHARED_ONE;
    if (per_token && args->dispatch_weights && !args->shared_weights)
        return sl_fail(context, SLUICE_INVALID,
                       "shared_weights is missing: the layer's shared weight is per token");
    if (args->shared_weights && walk->layer->shared == 0)
        return sl_fail(context, SLUICE_INVALID,
                       "shared_weights is given: the layer has no shared slots");
    if (args->shared_weights &&
        (status = sl_check_tensor(context, "shared_weights", args->shared_weights, walk->rows,
                                  walk->layer->shared, SL_T_F32, &walk->in_shared)))
        return status;
    if (args->zero_weight_here && !args->zero_weight)
        return sl_fail(context, SLUICE_INVALID,
                       "zero_weight is missing: zero_weight_here needs it");
    if (args->zero_weight && (status = sl_check_tensor(context, "zero_weight", args->zero_weight,
                                                       walk->rows, 1, SL_T_F32, &walk->in_zero)))
        return status;
    return sl_check_valid(walk, args->row_valid, args->num_valid);
}

static sluice_status check(struct sl_walk *walk, const sluice_remap_args *args)
{
    const struct sl_map_out out = {args->step, args->row_base, args->dispatch_ids,
                                   args->dispatch_weights, args->recorder_ids};
    sluice_status status = check_inputs(walk, args);
    if (status)
        return status;
    if (!args->dispatch_ids && !args->dispatch_weights && !args->recorder_ids &&
        !args->zero_weight_here)
        return sl_fail(walk->context, SLUICE_INVALID, "no output is given");
    status = sl_check_map(walk, args->layer, &out);
    if (status)
        return status;
    return sl_check_out(walk, "zero_weight_here", args->zero_weight_here, 1, SL_T_F32,
                        &walk->zero_here);
}

sluice_status cpu_remap(sluice_context *context, const sluice_remap_args *args)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_REMAP, &started);
    if (status)
        return status;
    struct sl_walk walk = {.context = context};
    if (SL_MUTANT(failed_call_counts))
        context->layers[0].calls++;
    if ((status = sl_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args)) ||
        (status = sl_check_layer(context, args->layer, &walk.layer)) ||
        (status = check(&walk, args)) || (status = sl_map_run(&walk, args->layer)))
        return status;
    return sl_leave(context, SLUICE_OP_REMAP, started, SLUICE_OK);
}
