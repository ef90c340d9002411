/* SPDX-License-Identifier: Apache-2.0
 * topk, remap and route: a checked call becomes a walk; record counts. */
#include "cpu_walk.h"

#include "../core/count.h"
#include "../core/mutant.h"
#include "cpu_balance.h"
#include "cpu_waterfill.h"

sluice_status cpu_topk(sluice_context *context, const sluice_topk_args *args)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_TOPK, &started);
    if (status)
        return status;
    struct sl_walk walk = {.call = {.context = context}, .chooses = true};
    if ((status = sl_check_topk(&walk.call, args)))
        return status;
    walk.choose = sl_cpu_of(context)->layers[args->layer].choose;
    sl_walk_run(&walk);
    return sl_leave(context, SLUICE_OP_TOPK, started, SLUICE_OK);
}

static void fill_remap(struct sl_walk *walk, int32_t layer)
{
    const struct sl_call *call = &walk->call;
    const sluice_context *context = call->context;
    const struct sl_rule *rule = &call->layer->rule;
    struct sl_remap *remap = &walk->remap;
    remap->shape = &call->layer->bank->shape;
    remap->place = &call->layer->bank->place;
    remap->top_k = rule->top_k;
    remap->copy_policy = context->copy_policy;
    remap->by_row = (context->flags & SLUICE_OPEN_EVERY_RANK_EVERY_ROW) != 0;
    remap->living = context->living_count;
    remap->living_ranks = context->living;
    remap->shared_constant = rule->shared_scale / rule->shared_divisor;
    remap->shared_divisor = rule->shared_divisor;
    remap->seed = context->seed;
    remap->layer = layer;
    remap->step = call->step_given ? call->step.value : sl_cpu_of(context)->layers[layer].calls;
    remap->row_base = call->row_base.value;
}

/* Runs a checked walk that maps, with what waterfill and balance do before and after it (and may
 * exchange), and counts the call. */
static sluice_status run_map(struct sl_walk *walk, int32_t layer)
{
    sluice_context *context = walk->call.context;
    sluice_status status = SLUICE_OK;
    walk->maps = true;
    walk->later = context->copy_policy == SLUICE_COPY_BALANCED;
    walk->holds = walk->call.waterfill || walk->call.balance;
    fill_remap(walk, layer);
    if (walk->call.waterfill)
        sl_waterfill_begin(walk);
    if (walk->call.balance)
        status = sl_balance_run(walk, layer);
    else
        sl_walk_run(walk);
    if (!status && walk->call.waterfill)
        status = sl_waterfill_finish(walk, layer);
    /* A call that failed has counted and drawn nothing. */
    if (status)
        sl_walk_drop(walk);
    else
        sl_walk_keep(walk);
    sl_cpu_of(context)->layers[layer].calls += status == SLUICE_OK;
    return status;
}

sluice_status cpu_remap(sluice_context *context, const sluice_remap_args *args)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_REMAP, &started);
    if (status)
        return status;
    struct sl_walk walk = {.call = {.context = context}};
    if (SL_MUTANT(failed_call_counts))
        sl_cpu_of(context)->layers[0].calls++;
    if ((status = sl_check_remap(&walk.call, args)) || (status = run_map(&walk, args->layer)))
        return status;
    return sl_leave(context, SLUICE_OP_REMAP, started, SLUICE_OK);
}

static sluice_status route(sluice_context *context, const sluice_route_args *args)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_ROUTE, &started);
    if (status)
        return status;
    struct sl_walk walk = {.call = {.context = context}, .chooses = true};
    if ((status = sl_check_route(&walk.call, args)))
        return status;
    walk.choose = sl_cpu_of(context)->layers[args->layer].choose;
    walk.counts = !args->skip_record || SL_MUTANT(skip_record_ignored);
    if ((status = run_map(&walk, args->layer)))
        return status;
    return sl_leave(context, SLUICE_OP_ROUTE, started, SLUICE_OK);
}

const sluice_route_api cpu_route_api = {.struct_size = sizeof cpu_route_api, .route = route};

sluice_status cpu_record(sluice_context *context, const sluice_record_args *args)
{
    int64_t started;
    struct sl_call call = {.context = context};
    sluice_status status = sl_enter(context, SLUICE_OP_RECORD, &started);
    if (status || (status = sl_check_record(&call, args)))
        return status;
    const struct sl_bank *bank = call.layer->bank;
    struct sl_ids rows = sl_ids_of(&call.in_ids);
    int64_t valid = SL_MUTANT(padding_counted) ? call.rows : call.io.valid_rows;
    uint64_t rejected =
        sl_count_rows(bank->counters, bank->shape.physical, &rows, valid, call.in_ids.columns);
    if (rejected && !SL_MUTANT(record_rejects_silently))
        atomic_fetch_add_explicit(&context->tally.rejected[SLUICE_OP_RECORD], rejected,
                                  memory_order_relaxed);
    return sl_leave(context, SLUICE_OP_RECORD, started, SLUICE_OK);
}
