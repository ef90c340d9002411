/* SPDX-License-Identifier: Apache-2.0
 * What a layer's windows weigh under the objective that the step balancer will have. */
#include <string.h>

#include "bk_plan.h"

/* What COST and EXPERTS weigh is scaled to so much in all: no sum is near the limit, no share is
 * rounded by more than 2^-40. */
static const double WHOLE = 0x1p40;

static int32_t objective_of(const sluice_plan_request *request)
{
    bool level = request->policy == SLUICE_PLAN_LEVEL && request->balance;
    return level ? request->balance->objective : SLUICE_BALANCE_TOKENS;
}

int32_t sl_plan_windows(const sluice_plan_request *request)
{
    int32_t windows = request->judge == SLUICE_PLAN_SUM ? 1 : request->window_count;
    if (objective_of(request) != SLUICE_BALANCE_COST)
        return windows;
    const sluice_costs *costs = request->balance->costs;
    return costs->expert_ps > 0 && !costs->add ? 2 * windows : windows;
}

/* In how many of `steps` an expert with so many choices was active, if each choice was made in any
 * of them alike. */
static double active_steps(int64_t count, int64_t steps)
{
    double without = 1, power = 1 - 1 / (double)steps;
    for (int64_t left = count; left > 0; left >>= 1) {
        if (left & 1)
            without *= power;
        power *= power;
    }
    return (double)steps * (1 - without);
}

static double tokens_of(const sluice_plan_window *window, const int64_t *counts, int32_t experts)
{
    int64_t sum = 0;
    for (int32_t e = 0; e < experts && !window->tokens; e++)
        sum += counts[e];
    return (double)(window->tokens ? window->tokens : sum / (window->top_k ? window->top_k : 1));
}

/* What the weighed windows are made of: rows computed and experts read. */
struct weigh {
    const sluice_plan_request *request;
    int32_t layer, experts, shared;
    double row, read; /* of one */
};

static const int64_t *counts_of(const struct weigh *weigh, int32_t window)
{
    const sluice_plan_window *given = weigh->request->windows[window];
    return given->counts + given->stride * weigh->layer;
}

/* Expert e's rows or reads in windows [first, end); e = E: what any rank may serve. Of shared
 * experts some rank reads each in every step. */
static double weight_of(const struct weigh *weigh, int32_t e, bool reads, int32_t first,
                        int32_t end)
{
    double sum = 0;
    for (int32_t i = first; i < end; i++) {
        const sluice_plan_window *window = weigh->request->windows[i];
        const int64_t *counts = counts_of(weigh, i);
        if (e < weigh->experts)
            sum += reads ? active_steps(counts[e], window->steps) : (double)counts[e];
        else if (weigh->shared > 0)
            sum += weigh->shared *
                   (reads ? (double)window->steps : tokens_of(window, counts, weigh->experts));
    }
    return sum * (reads ? weigh->read : weigh->row);
}

static double total_of(const struct weigh *weigh, bool reads, int32_t first, int32_t end)
{
    double sum = 0;
    for (int32_t e = 0; e <= weigh->experts && (reads ? weigh->read : weigh->row) > 0; e++)
        sum += weight_of(weigh, e, reads, first, end);
    return sum;
}

/* One window to be judged: rows, reads, or both together, of `whole` in all; where they are less,
 * any rank may serve the rest: what is judged is their greatest against the mean of the whole. */
static void fill(const struct weigh *weigh, bool rows, bool reads, int32_t first, int32_t end,
                 double whole, int64_t *load, int64_t *spread)
{
    double scale = whole > 0 ? WHOLE / whole : 0, total = 0;
    for (int32_t e = 0; e <= weigh->experts; e++) {
        double weight = (rows && weigh->row > 0 ? weight_of(weigh, e, false, first, end) : 0) +
                        (reads && weigh->read > 0 ? weight_of(weigh, e, true, first, end) : 0);
        total += weight;
        *(e < weigh->experts ? load + e : spread) = (int64_t)(weight * scale);
    }
    *spread += total < whole ? (int64_t)((whole - total) * scale) : 0;
}

/* The greater of reading and computing is two windows: one rank's time is the greater of both. */
static double weigh_window(const struct weigh *weigh, int32_t w, int64_t *load, int64_t *spread)
{
    const sluice_plan_request *request = weigh->request;
    bool sum = request->judge == SLUICE_PLAN_SUM;
    int32_t first = sum ? 0 : w, end = sum ? request->window_count : w + 1;
    double rows = total_of(weigh, false, first, end), reads = total_of(weigh, true, first, end);
    bool add = sl_plan_windows(request) == (sum ? 1 : request->window_count);
    double whole = add ? rows + reads : rows > reads ? rows : reads;
    int32_t at = add ? w : 2 * w;
    fill(weigh, true, add, first, end, whole, load + (ptrdiff_t)at * weigh->experts, spread + at);
    if (!add)
        fill(weigh, false, true, first, end, whole, load + (ptrdiff_t)(at + 1) * weigh->experts,
             spread + at + 1);
    return whole;
}

/* TOKENS, and EPLB: whole numbers as they are. */
static void add_rows(const struct weigh *weigh, int32_t window, int32_t w, int64_t *load,
                     int64_t *spread)
{
    const sluice_plan_window *given = weigh->request->windows[window];
    const int64_t *counts = counts_of(weigh, window);
    int64_t sum = 0;
    for (int32_t e = 0; e < weigh->experts; e++) {
        load[(ptrdiff_t)w * weigh->experts + e] += counts[e];
        sum += counts[e];
    }
    if (weigh->shared > 0)
        spread[w] += weigh->shared * (given->tokens ? given->tokens : sum / given->top_k);
}

double sl_plan_loads(const struct sl_plan_job *job, int32_t layer, int64_t *load, int64_t *spread)
{
    const sluice_plan_request *request = job->request;
    int32_t objective = objective_of(request);
    struct weigh weigh = {.request = request,
                          .layer = layer,
                          .experts = request->layers[layer]->experts,
                          .shared = request->layers[layer]->shared};
    memset(load, 0, (size_t)job->windows * (size_t)weigh.experts * sizeof *load);
    memset(spread, 0, (size_t)job->windows * sizeof *spread);
    const sluice_costs *costs = request->balance ? request->balance->costs : NULL;
    weigh.row = costs ? (double)costs->row_ps : 0;
    if (objective == SLUICE_BALANCE_TOKENS) {
        for (int32_t i = 0; i < request->window_count; i++)
            add_rows(&weigh, i, job->windows == 1 ? 0 : i, load, spread);
        return total_of(&weigh, false, 0, request->window_count);
    }
    weigh.read = costs ? (double)costs->expert_ps : 1;
    double time = 0;
    int32_t judged = request->judge == SLUICE_PLAN_SUM ? 1 : request->window_count;
    for (int32_t w = 0; w < judged; w++)
        time += weigh_window(&weigh, w, load, spread);
    return costs ? time : 0;
}
