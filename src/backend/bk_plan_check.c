/* SPDX-License-Identifier: Apache-2.0
 * Is a request for a plan in order? */
#include <stdio.h>

#include "../core/place.h"
#include "../core/rule.h"
#include "bk_plan.h"

enum { MOST_LAYERS = 4096, MOST_THREADS = 64 };
/* With the shared experts of all windows below 2^62. */
static const int64_t MOST_LOAD = (int64_t)1 << 58;

static sluice_status check_range(const struct sl_text *text, const char *name, int64_t value,
                                 int64_t least, int64_t most)
{
    if (value < least || value > most)
        return sl_text_fail(text, SLUICE_INVALID, "%s is %lld: must be %lld to %lld", name,
                            (long long)value, (long long)least, (long long)most);
    return SLUICE_OK;
}

sluice_status sl_plan_check_host(const struct sl_text *text, const char *name,
                                 const sluice_host *host)
{
    if (!host)
        return SLUICE_OK;
    sluice_status status = SL_CHECK_STRUCT(text, name, host);
    if (!status && !host->alloc != !host->free)
        return sl_text_fail(text, SLUICE_INVALID, "%s: alloc and free come together or not at all",
                            name);
    if (!status && (host->threads < 0 || host->threads > MOST_THREADS))
        return sl_text_fail(text, SLUICE_INVALID, "%s.threads is %d: must be 0 to %d", name,
                            host->threads, MOST_THREADS);
    return status;
}

static sluice_status check_numbers(const struct sl_text *text, const sluice_plan_request *request)
{
    const struct {
        const char *name;
        int64_t value, least, most;
    } numbers[] = {
        {"request.layer_count", request->layer_count, 1, MOST_LAYERS},
        {"request.window_count", request->window_count, 1, SL_LEVEL_WINDOWS},
        {"request.ranks", request->ranks, 1, SL_MAX_RANKS},
        {"request.policy", request->policy, SLUICE_PLAN_LEVEL, SLUICE_PLAN_EPLB},
        {"request.start", request->start, SLUICE_PLAN_REPAIR, SLUICE_PLAN_FROM_NOTHING},
        {"request.judge", request->judge, SLUICE_PLAN_WORST, SLUICE_PLAN_SUM},
        {"request.eplb", request->eplb, SLUICE_PLAN_AUTO, SLUICE_PLAN_HIERARCHICAL},
        {"request.arithmetic", request->arithmetic, SLUICE_PLAN_F32, SLUICE_PLAN_F64_QUOTIENTS},
        {"request.work", request->work, 0, INT64_MAX},
        {"request.wire_bytes", request->wire_bytes, 0, INT64_MAX},
        {"request.pay_steps", request->pay_steps, 0, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        sluice_status status =
            check_range(text, numbers[i].name, numbers[i].value, numbers[i].least, numbers[i].most);
        if (status)
            return status;
    }
    /* Not a NaN either. */
    if (!(request->target == 0 || (request->target >= 1 && request->target <= 1e6)))
        return sl_text_fail(text, SLUICE_INVALID,
                            "request.target is %g: must be 0 or 1 to 1e6 (greatest / mean)",
                            request->target);
    if (!request->layers || !request->windows)
        return sl_text_fail(text, SLUICE_INVALID, "request.%s is NULL",
                            request->layers ? "windows" : "layers");
    for (int32_t r = 0; request->alive && r < request->ranks; r++)
        if (request->alive[r])
            return SLUICE_OK;
    if (request->alive)
        return sl_text_fail(text, SLUICE_INVALID, "request.alive: none of %d ranks lives",
                            request->ranks);
    return SLUICE_OK;
}

static sluice_status check_balance(const struct sl_text *text, const sluice_plan_request *request)
{
    const sluice_balance_config *balance = request->balance;
    sluice_status status = SLUICE_OK;
    if (balance)
        status = SL_CHECK_STRUCT(text, "request.balance", balance);
    if (balance && !status)
        status = check_range(text, "request.balance.objective", balance->objective,
                             SLUICE_BALANCE_TOKENS, SLUICE_BALANCE_COST);
    if (status)
        return status;
    bool costs = balance && balance->objective == SLUICE_BALANCE_COST;
    if (balance && costs != (balance->costs != NULL))
        return sl_text_fail(text, SLUICE_INVALID,
                            "request.balance.costs is %s and objective is %d: COST and costs come "
                            "together or not at all",
                            balance->costs ? "given" : "NULL", balance->objective);
    if (costs)
        status = SL_CHECK_STRUCT(text, "request.balance.costs", balance->costs);
    if (costs && !status)
        status =
            check_range(text, "request.balance.costs.row_ps", balance->costs->row_ps, 0, INT64_MAX);
    if (costs && !status)
        status = check_range(text, "request.balance.costs.expert_ps", balance->costs->expert_ps, 0,
                             INT64_MAX);
    if (costs && !status)
        status = check_range(text, "request.balance.costs.add", balance->costs->add, 0, 1);
    if (status)
        return status;
    if (costs && balance->costs->row_ps == 0 && balance->costs->expert_ps == 0)
        return sl_text_fail(text, SLUICE_INVALID,
                            "request.balance.costs: row_ps and expert_ps are 0: no rank takes any "
                            "time");
    if (sl_plan_windows(request) > SL_LEVEL_WINDOWS)
        return sl_text_fail(text, SLUICE_INVALID,
                            "request.window_count is %d: where reading and computing are judged "
                            "apart (COST without `add`) it must be at most %d",
                            request->window_count, SL_LEVEL_WINDOWS / 2);
    if (request->pay_steps && (!costs || !request->wire_bytes))
        return sl_text_fail(text, SLUICE_INVALID,
                            "request.pay_steps is %lld: request.%s must say what %s costs",
                            (long long)request->pay_steps, costs ? "wire_bytes" : "balance.costs",
                            costs ? "moving" : "a row");
    return SLUICE_OK;
}

static sluice_status check_budget(const struct sl_text *text, const sluice_plan_request *request)
{
    const sluice_plan_budget *budget = request->budget;
    if (!budget)
        return SLUICE_OK;
    sluice_status status = SL_CHECK_STRUCT(text, "request.budget", budget);
    const struct {
        const char *name;
        int64_t value;
    } limits[] = {
        {"request.budget.slots", budget->slots},
        {"request.budget.layer_slots", budget->layer_slots},
        {"request.budget.rank_slots", budget->rank_slots},
        {"request.budget.bytes", budget->bytes},
        {"request.budget.layer_bytes", budget->layer_bytes},
        {"request.budget.rank_bytes", budget->rank_bytes},
    };
    bool repairs = request->policy == SLUICE_PLAN_LEVEL && request->start == SLUICE_PLAN_REPAIR;
    for (size_t i = 0; i < sizeof limits / sizeof *limits && !status; i++) {
        status = check_range(text, limits[i].name, limits[i].value, 0, INT64_MAX);
        if (!status && limits[i].value && !repairs)
            return sl_text_fail(text, SLUICE_INVALID,
                                "%s is %lld: only repairs by LEVEL have a budget, a new map is "
                                "written whole",
                                limits[i].name, (long long)limits[i].value);
    }
    return status;
}

static int32_t count_living(const sluice_plan_request *request)
{
    int32_t living = 0;
    for (int32_t r = 0; r < request->ranks; r++)
        living += !request->alive || request->alive[r];
    return living;
}

int32_t sl_plan_nodes(const sluice_plan_request *request)
{
    int32_t nodes = 0, size = 0, here = 0, last = -1;
    for (int32_t r = 0; r < request->ranks; r++) {
        if (request->alive && !request->alive[r])
            continue;
        int32_t node = request->node ? request->node[r] : 0;
        if (nodes > 0 && node == last) {
            here++;
            continue;
        }
        if (nodes > 1 && here != size)
            return 0;
        size = here;
        /* A node that comes again is two pieces. */
        for (int32_t other = 0; other < r && nodes > 0; other++)
            if ((!request->alive || request->alive[other]) && request->node[other] == node)
                return 0;
        nodes++;
        last = node;
        here = 1;
    }
    return nodes == 1 || here == size ? nodes : 0;
}

/* What the hierarchical policy asks of a layer, beside what the global one does. */
static sluice_status check_groups(const struct sl_text *text, const sluice_plan_request *request,
                                  int32_t index, const sluice_plan_layer *layer)
{
    int32_t groups = layer->groups ? layer->groups : 1, nodes = sl_plan_nodes(request);
    if (request->policy != SLUICE_PLAN_EPLB || request->eplb != SLUICE_PLAN_HIERARCHICAL)
        return SLUICE_OK;
    if (nodes == 0)
        return sl_text_fail(text, SLUICE_INVALID,
                            "request.node: for HIERARCHICAL every node must have as many living "
                            "ranks, neighbours by number");
    if (groups % nodes)
        return sl_text_fail(text, SLUICE_INVALID,
                            "layers[%d].groups is %d: for HIERARCHICAL it must be a multiple of "
                            "%d nodes",
                            index, groups, nodes);
    return SLUICE_OK;
}

static sluice_status check_map(const struct sl_text *text, const sluice_plan_request *request,
                               int32_t index, const sluice_plan_layer *layer)
{
    int64_t physical = (int64_t)layer->slots_per_rank * request->ranks;
    if (layer->map_count && layer->map_count != (layer->map ? physical : 0))
        return sl_text_fail(text, SLUICE_INVALID,
                            "layers[%d].map_count is %lld: must be %lld, %s, or 0", index,
                            (long long)layer->map_count, (long long)(layer->map ? physical : 0),
                            layer->map ? "slots_per_rank times ranks" : "as map is NULL");
    for (int32_t p = 0; layer->map && p < layer->slots_per_rank * request->ranks; p++)
        if (layer->map[p] < -1 || layer->map[p] >= layer->experts)
            return sl_text_fail(text, SLUICE_INVALID,
                                "layers[%d].map: slot %d has %d: must be -1 to %d", index, p,
                                layer->map[p], layer->experts - 1);
    return SLUICE_OK;
}

static sluice_status check_layer(const struct sl_text *text, const sluice_plan_request *request,
                                 int32_t index, bool copies)
{
    const sluice_plan_layer *layer = request->layers[index];
    char name[48];
    (void)snprintf(name, sizeof name, "layers[%d]", index);
    sluice_status status = SL_CHECK_STRUCT(text, name, layer);
    if (status)
        return status;
    int32_t living = count_living(request), most = SL_MAX_PHYSICAL / request->ranks;
    const struct {
        const char *name;
        int64_t value, least, most;
    } numbers[] = {
        {"experts", layer->experts, 1, SL_MAX_COLUMNS},
        {"shared", layer->shared, 0, SL_MAX_SHARED},
        {"groups", layer->groups, 0, SL_MAX_GROUPS},
        {"expert_bytes", layer->expert_bytes, 0, (int64_t)1 << 36},
        {"slots_per_rank", copies ? 1 : layer->slots_per_rank, 1, most},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        (void)snprintf(name, sizeof name, "layers[%d].%s", index, numbers[i].name);
        status = check_range(text, name, numbers[i].value, numbers[i].least, numbers[i].most);
        if (status)
            return status;
    }
    if (!copies && layer->slots_per_rank < (layer->experts - 1) / living + 1)
        return sl_text_fail(text, SLUICE_INVALID,
                            "layers[%d].slots_per_rank is %d: %d experts on %d living ranks need "
                            "at least %d",
                            index, layer->slots_per_rank, layer->experts, living,
                            (layer->experts - 1) / living + 1);
    if (layer->groups && layer->experts % layer->groups)
        return sl_text_fail(text, SLUICE_INVALID,
                            "layers[%d].groups is %d: must divide the %d experts", index,
                            layer->groups, layer->experts);
    if (!layer->expert_bytes != !request->layers[0]->expert_bytes)
        return sl_text_fail(text, SLUICE_INVALID,
                            "layers[%d].expert_bytes is %lld and that of layers[0] is %lld: all "
                            "layers have them or none",
                            index, (long long)layer->expert_bytes,
                            (long long)request->layers[0]->expert_bytes);
    if (copies)
        return SLUICE_OK;
    const sluice_plan_budget *budget = request->budget;
    if (!layer->expert_bytes && budget &&
        (budget->bytes || budget->layer_bytes || budget->rank_bytes))
        return sl_text_fail(text, SLUICE_INVALID,
                            "layers[%d].expert_bytes is 0: request.budget has bytes, which cannot "
                            "be counted then",
                            index);
    status = check_groups(text, request, index, layer);
    return status ? status : check_map(text, request, index, layer);
}

/* Counts of one layer in one window; adds them to *sum. */
static sluice_status check_counts(const struct sl_text *text, const sluice_plan_request *request,
                                  int32_t window, int32_t index, int64_t *sum)
{
    const int64_t *counts = request->windows[window]->counts;
    const sluice_plan_layer *layer = request->layers[index];
    counts += request->windows[window]->stride * index;
    for (int32_t e = 0; e < layer->experts; e++) {
        if (counts[e] < 0)
            return sl_text_fail(text, SLUICE_INVALID,
                                "windows[%d].counts: layer %d, expert %d has %lld: must be at "
                                "least 0",
                                window, index, e, (long long)counts[e]);
        if (counts[e] > MOST_LOAD - *sum)
            return sl_text_fail(text, SLUICE_INVALID,
                                "windows[%d].counts: layer %d has more than %lld in all windows",
                                window, index, (long long)MOST_LOAD);
        *sum += counts[e];
    }
    return SLUICE_OK;
}

/* Then a window must say in how many steps its choices were made. */
static bool weighs_reads(const sluice_plan_request *request)
{
    const sluice_balance_config *balance = request->balance;
    if (!balance || request->policy != SLUICE_PLAN_LEVEL)
        return false;
    return balance->objective == SLUICE_BALANCE_EXPERTS ||
           (balance->objective == SLUICE_BALANCE_COST && balance->costs->expert_ps > 0);
}

static sluice_status check_window(const struct sl_text *text, const sluice_plan_request *request,
                                  int32_t index)
{
    const sluice_plan_window *window = request->windows[index];
    char name[48];
    bool shared = false;
    int32_t widest = 0;
    (void)snprintf(name, sizeof name, "windows[%d]", index);
    sluice_status status = SL_CHECK_STRUCT(text, name, window);
    if (status)
        return status;
    for (int32_t i = 0; i < request->layer_count; i++) {
        shared = shared || request->layers[i]->shared > 0;
        if (request->layers[i]->experts > widest)
            widest = request->layers[i]->experts;
    }
    int32_t least_k = shared && window->tokens == 0;
    bool steps = request->pay_steps > 0 || weighs_reads(request);
    const struct {
        const char *name;
        int64_t value, least, most;
    } numbers[] = {
        {"stride", window->stride, widest, INT32_MAX},
        {"tokens", window->tokens, 0, MOST_LOAD / SL_MAX_SHARED / SL_LEVEL_WINDOWS},
        {"top_k", window->top_k, least_k, SL_MAX_K},
        {"steps", window->steps, steps, INT64_MAX},
    };
    if (!window->counts)
        return sl_text_fail(text, SLUICE_INVALID, "windows[%d].counts is NULL", index);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !status; i++) {
        (void)snprintf(name, sizeof name, "windows[%d].%s", index, numbers[i].name);
        status = check_range(text, name, numbers[i].value, numbers[i].least, numbers[i].most);
    }
    return status;
}

sluice_status sl_plan_check(const struct sl_text *text, const sluice_plan_request *request,
                            bool copies)
{
    sluice_status status = SL_CHECK_STRUCT(text, "request", request);
    if (status || (status = sl_plan_check_host(text, "request.host", request->host)) ||
        (status = check_numbers(text, request)) || (status = check_balance(text, request)) ||
        (!copies && (status = check_budget(text, request))))
        return status;
    for (int32_t i = 0; i < request->layer_count && !status; i++)
        status = check_layer(text, request, i, copies);
    for (int32_t w = 0; w < request->window_count && !status; w++)
        status = check_window(text, request, w);
    for (int32_t i = 0; i < request->layer_count && !status; i++) {
        int64_t sum = 0;
        for (int32_t w = 0; w < request->window_count && !status; w++)
            status = check_counts(text, request, w, i, &sum);
    }
    return status;
}
