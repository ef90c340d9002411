/* SPDX-License-Identifier: Apache-2.0
 * remap and route under a balanced policy. Copies by quota: count, solve and place, three launches,
 * behind topk's for route. Where only shared columns move: the same behind remap's or route's own
 * launch and one that clears the counts. visited_only is one more. */
#include "../src/backend/bk_call.h"
#include "../src/core/mutant.h"
#include "cu_balance.h"
#include "cu_mover.h"
#include "cu_walk.h"
#include "kernels/balance_job.h"

/* Of a block. */
enum { COUNT_WARPS = 8, PLACE_WARPS = SLC_PLACE_THREADS / SLC_WARP };

static struct slc_costs costs_of(const struct sl_layer_balance *host)
{
    const sluice_costs *costs = host->config.costs;
    struct slc_costs none = {0};
    if (!costs)
        return none;
    return (struct slc_costs){costs->expert_ps, costs->row_ps, costs->near_ps,
                              costs->far_ps,    costs->add,    0};
}

static struct slc_balance problem_of(const sluice_context *context, const struct slc_job *job)
{
    const struct slc_context *device = slc_of(context);
    const struct slc_layer_balance *own = &device->balance->layers[job->map.layer];
    const struct sl_layer_balance *host = &context->balance->layers[job->map.layer];
    bool stale = host->config.mode == SLUICE_BALANCE_STALE;
    bool alone = host->config.mode == SLUICE_BALANCE_LOCAL;
    bool level = context->shared_policy == SLUICE_SHARED_LEVEL;
    bool known = level || context->shared_policy == SLUICE_SHARED_AT_HOME;
    bool nodes = false;
    for (int32_t r = 1; r < context->ranks && !job->map.by_row; r++)
        nodes = nodes || context->node[r] != context->node[0];
    bool gathered = !alone && !stale && context->living_count > 1;
    size_t row = slc_balance_row(context, &context->layers[job->map.layer]);
    char *rows = gathered ? own->counts : own->mine;
    struct sl_ids counts = {rows + sizeof(struct slc_head), (int64_t)(row / sizeof(int32_t)), 0};
    if (stale)
        counts = (struct sl_ids){own->counts, host->entries + 1, 1};
    if (SL_MUTANT(balance_now_alone) && gathered)
        counts = (struct sl_ids){own->mine + sizeof(struct slc_head), 0, 0};
    return (struct slc_balance){
        .start = job->map.start,
        .copies = job->map.copies,
        .living = job->map.living,
        .leader = device->balance->leader,
        .counts = counts,
        .entries = host->entries,
        .slots = job->map.slots,
        .ranks = job->map.ranks,
        .physical = job->map.physical,
        .rank = job->map.by_row && !SL_MUTANT(balance_by_rank) ? -1 : context->rank,
        .alone = alone,
        .by_copy = context->copy_policy != SLUICE_COPY_BALANCED,
        .nodes = nodes,
        .shared = known ? job->map.shared : 0,
        .level = level,
        .objective = host->config.objective,
        .quota = own->quota,
        .whole = own->whole,
        .columns = own->columns,
        .column = own->column,
        .scratch = own->scratch,
        .costs = costs_of(host),
        .cost_scratch = own->cost,
    };
}

static struct slc_balance_call call_of(const sluice_context *context, const struct slc_job *job,
                                       bool drawn)
{
    const struct slc_layer_balance *own = &slc_of(context)->balance->layers[job->map.layer];
    const struct sl_layer_balance *host = &context->balance->layers[job->map.layer];
    bool stale = host->config.mode == SLUICE_BALANCE_STALE;
    int64_t rows = (job->rows + SLC_MOST_TILES - 1) / SLC_MOST_TILES;
    rows = rows > SLC_LEAST_TILE_ROWS ? rows : SLC_LEAST_TILE_ROWS;
    return (struct slc_balance_call){
        .tiles = own->tiles,
        .own = (int32_t *)(void *)(own->mine + sizeof(struct slc_head)),
        .step = stale ? NULL : own->step,
        .finished = own->finished,
        .call = own->call,
        .line = own->line,
        .stale = stale ? own->stale : NULL,
        .counters = job->counters,
        .drawn = drawn ? own->drawn : NULL,
        .tile_rows = (int32_t)rows,
        .tile_count = (int32_t)((job->rows + rows - 1) / rows),
        .visited_only = host->config.visited_only && !SL_MUTANT(balance_visits_ignored),
    };
}

static slcu_result launch_tiles(const sluice_context *context, enum slc_kernel kernel,
                                int32_t warps, struct slc_balance_pass *pass, void *stream)
{
    size_t bytes = pass->balance.by_copy ? 0 : (size_t)pass->balance.entries * sizeof(int32_t);
    while (warps > 1 && (size_t)warps * bytes > SLC_MOST_SHARED)
        warps--;
    int32_t blocks = (pass->call.tile_count + warps - 1) / warps;
    return slc_start(&slc_of(context)->gpu, kernel, blocks > 0 ? blocks : 1, warps,
                     (size_t)warps * bytes, pass, stream);
}

static slcu_result count(const sluice_context *context, struct slc_balance_pass *pass, void *stream)
{
    slcu_result error = SLCU_SUCCESS;
    if (pass->balance.by_copy)
        error = slc_of(context)->gpu.driver->MemsetD8Async(
            slc_address(pass->call.own), 0, ((size_t)pass->balance.entries + 1) * sizeof(int32_t),
            stream);
    if (!error)
        error = launch_tiles(context, SLC_K_balance_count, COUNT_WARPS, pass, stream);
    return error;
}

static slcu_result solve(const sluice_context *context, struct slc_balance_pass *pass, void *stream)
{
    int64_t bytes =
        slc_balance_bytes(pass->balance.entries, pass->balance.ranks, pass->balance.physical);
    bool cost = pass->balance.objective == SLUICE_BALANCE_COST;
    return slc_start(&slc_of(context)->gpu, cost ? SLC_K_cost_solve : SLC_K_balance_solve, 1,
                     SLC_BALANCE_WARPS, pass->balance.scratch ? 0 : (size_t)bytes, pass, stream);
}

static slcu_result place(const sluice_context *context, struct slc_balance_pass *pass, void *stream)
{
    const struct slc_balance *balance = &pass->balance;
    bool dispatched = pass->job.dispatch_ids.data != NULL;
    if (pass->call.tile_count == 0 || (balance->by_copy && !dispatched) || pass->call.drawn)
        return SLCU_SUCCESS;
    slcu_result error = launch_tiles(context, SLC_K_balance_place, PLACE_WARPS, pass, stream);
    bool visits = balance->level && balance->shared > 0 && pass->call.visited_only && dispatched &&
                  balance->objective != SLUICE_BALANCE_EXPERTS;
    if (!error && visits)
        error = slc_start(&slc_of(context)->gpu, SLC_K_balance_visit, 1, 1,
                          (size_t)balance->ranks * sizeof(int32_t), pass, stream);
    return error;
}

/* Counts of the other ranks, in mode NOW. */
static void fill_meet(const sluice_context *context, struct slc_balance_pass *pass)
{
    int32_t layer = pass->job.map.layer;
    const struct slc_layer_balance *own = &slc_of(context)->balance->layers[layer];
    const struct sl_layer_balance *host = &context->balance->layers[layer];
    if (host->config.mode == SLUICE_BALANCE_NOW)
        slc_fill_meet(context, &pass->meet, layer, sl_balance_form(host), own->mine, own->counts,
                      (int64_t)slc_balance_row(context, &context->layers[layer]));
}

/* All launches behind the first pass, which has left choices in job.in_ids. */
static sluice_status run(sluice_context *context, struct slc_balance_pass *pass, void *stream)
{
    sluice_status status = slc_judge(context, "counting choices", count(context, pass, stream));
    if (!status)
        status = slc_share_trade(context, &pass->meet, stream);
    if (status)
        return status;
    slcu_result error = solve(context, pass, stream);
    if (!error)
        error = place(context, pass, stream);
    return slc_judge(context, "balancing", error);
}

/* route under BALANCED: topk puts experts where copies will be, and weights where they stay. */
static void aim_topk(struct slc_job *job, const struct slc_job *route)
{
    int32_t top_k = route->rule.top_k;
    bool per_token = route->map.shared > 0 && route->rule.shared_weight != SLUICE_SHARED_ONE;
    if (!job->ids.data)
        job->ids = route->recorder_ids.data ? route->recorder_ids : route->dispatch_ids;
    if (!job->weights.data)
        job->weights = route->dispatch_weights;
    if (per_token && !job->shared_weights.data && route->dispatch_weights.data) {
        job->shared_weights = route->dispatch_weights;
        job->shared_weights.data += top_k;
    }
    job->zero_weight = route->zero_here;
}

/* What topk left becomes what the other passes read. */
static void read_topk(struct slc_job *job, const struct slc_job *chosen)
{
    job->in_ids = chosen->ids;
    job->in_weights = chosen->weights;
    job->in_zero = chosen->zero_weight;
    if (job->map.shared > 0 && job->rule.shared_weight != SLUICE_SHARED_ONE)
        job->in_shared = chosen->shared_weights;
}

/* Is there nothing among a call's inputs and outputs that says who was chosen? Then the first pass
 * does all that is asked for, and counts. */
static bool without_ids(const struct sl_call *call, bool route)
{
    bool by_copy = call->context->copy_policy != SLUICE_COPY_BALANCED;
    bool ids = call->dispatch_ids.wanted || call->recorder_ids.wanted;
    return !ids && (by_copy || (route && !call->ids.wanted));
}

/* Chooses or maps what the passes of the balance begin with. */
static sluice_status begin(const struct sl_call *call, struct slc_job *job, bool route,
                           void *stream)
{
    sluice_context *context = call->context;
    bool by_copy = context->copy_policy != SLUICE_COPY_BALANCED;
    if (without_ids(call, route))
        return slc_launch_drawn(context, job, route ? SLC_K_route : SLC_K_remap,
                                slc_of(context)->balance->layers[job->map.layer].drawn, stream);
    if (by_copy) {
        sluice_status status = slc_launch(context, job, route ? SLC_K_route : SLC_K_remap, stream);
        job->in_ids = call->dispatch_ids.wanted ? job->dispatch_ids : job->recorder_ids;
        if (!SL_MUTANT(shared_counted_in_level)) /* counted by now */
            job->counters = NULL;
        return status;
    }
    if (!route)
        return SLUICE_OK;
    struct slc_job topk = *job;
    topk.counters = NULL;
    topk.map.calls = NULL;
    aim_topk(&topk, job);
    read_topk(job, &topk);
    return slc_launch(context, &topk, SLC_K_topk, stream);
}

static sluice_status check_call(const struct sl_call *call, int32_t layer, void *stream)
{
    if (call->rows > INT32_MAX / SL_MAX_K)
        return sl_fail(call->context, SLUICE_INVALID,
                       "%lld rows: under a balanced policy a call has at most %d",
                       (long long)call->rows, INT32_MAX / SL_MAX_K);
    bool now = call->context->balance->layers[layer].config.mode == SLUICE_BALANCE_NOW;
    return now ? slc_share_ready(call->context, stream) : SLUICE_OK;
}

sluice_status slc_balance_run(const struct sl_call *call, struct slc_job *job, bool route,
                              void *stream)
{
    sluice_context *context = call->context;
    sluice_status status = check_call(call, job->map.layer, stream);
    if (status || (status = begin(call, job, route, stream)))
        return status;
    struct slc_balance_pass pass = {.job = *job,
                                    .balance = problem_of(context, job),
                                    .call = call_of(context, job, without_ids(call, route))};
    fill_meet(context, &pass);
    slcu_result error = slc_gpu_enter(&slc_of(context)->gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    status = run(context, &pass, stream);
    slc_gpu_leave(&slc_of(context)->gpu);
    return status;
}
