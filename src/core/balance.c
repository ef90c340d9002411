/* SPDX-License-Identifier: Apache-2.0 */
#include "balance_work.h"

#include <string.h>

#include "mutant.h"

static size_t most_of(int32_t a, int32_t b)
{
    return (size_t)(a > b ? a : b);
}

size_t sl_balance_bytes(int32_t experts, int32_t ranks, int32_t copies)
{
    size_t e = (size_t)experts, w = (size_t)ranks, c = (size_t)copies;
    size_t most = most_of(copies, ranks);
    size_t bytes = (2 * e + 2 * c + 9 * w + most) * sizeof(int64_t);
    bytes += 3 * (w + most) * sizeof(struct sl_part) + (c + 3 * w) * sizeof(int32_t) + w;
    return (bytes + 7) / 8 * 8 + sl_flow_bytes(experts, ranks, copies);
}

static void *take(char **at, size_t bytes)
{
    char *part = *at;
    *at += bytes;
    return part;
}

static void bind(struct sl_balance_work *work, const struct sl_balance *balance, void *scratch)
{
    int32_t copies = balance->start[balance->experts];
    size_t e = (size_t)balance->experts, w = (size_t)balance->ranks, c = (size_t)copies;
    size_t most = most_of(copies, balance->ranks);
    char *at = scratch;
    work->balance = balance;
    work->load = take(&at, e * sizeof(int64_t));
    work->active = take(&at, e * sizeof(int64_t));
    work->share = take(&at, c * sizeof(int64_t));
    work->other = take(&at, c * sizeof(int64_t));
    work->base = take(&at, w * sizeof(int64_t));
    work->room = take(&at, w * sizeof(int64_t));
    work->need = take(&at, w * sizeof(int64_t));
    work->rows = take(&at, w * sizeof(int64_t));
    work->experts = take(&at, w * sizeof(int64_t));
    work->traffic = take(&at, w * sizeof(int64_t));
    work->fixed_rows = take(&at, w * sizeof(int64_t));
    work->fixed_experts = take(&at, w * sizeof(int64_t));
    work->fixed_traffic = take(&at, w * sizeof(int64_t));
    work->left = take(&at, most * sizeof(int64_t));
    work->parts = take(&at, 3 * (w + most) * sizeof(struct sl_part));
    work->flow = take(&at, sl_flow_bytes(balance->experts, balance->ranks, copies));
    work->holder = take(&at, c * sizeof(int32_t));
    work->living = take(&at, w * sizeof(int32_t));
    work->source_of = take(&at, w * sizeof(int32_t));
    work->cursor = take(&at, w * sizeof(int32_t));
    work->serves = take(&at, w);
}

static void look_at_ranks(struct sl_balance_work *work)
{
    const struct sl_balance *balance = work->balance;
    work->living_count = 0;
    work->nodes = false;
    for (int32_t r = 0; r < balance->ranks; r++) {
        work->source_of[r] = -1;
        if (balance->alive[r] || SL_MUTANT(balance_dead_serve))
            work->living[work->living_count++] = r;
        work->nodes = work->nodes || balance->leader[r] != balance->leader[0];
    }
    work->nodes = work->nodes && balance->source[0] >= 0;
    for (int32_t s = 0; s < balance->sources; s++)
        if (balance->source[s] >= 0)
            work->source_of[balance->source[s]] = s;
    for (int32_t c = 0; c < balance->start[balance->experts]; c++)
        work->holder[c] = balance->copies[c] / balance->slots;
}

static void add_up(struct sl_balance_work *work)
{
    const struct sl_balance *balance = work->balance;
    memset(work->load, 0, (size_t)balance->experts * sizeof *work->load);
    work->tokens = 0;
    for (int32_t s = 0; s < balance->sources; s++) {
        const int64_t *counts = balance->counts + s * balance->stride;
        for (int32_t e = 0; e < balance->experts; e++)
            work->load[e] += counts[e];
        work->tokens += balance->shared ? balance->tokens[s * balance->token_stride] : 0;
    }
    for (int32_t e = 0; e < balance->experts; e++) {
        if (balance->start[e] == balance->start[e + 1])
            work->load[e] = 0;
        work->active[e] = work->load[e] > 0;
    }
}

/* Shared columns that stay where they are, or (`experts`) shared experts that do. A source of no
 * rank has each row's on another rank. */
static void set_base(struct sl_balance_work *work, bool experts)
{
    const struct sl_balance *balance = work->balance;
    memset(work->base, 0, (size_t)balance->ranks * sizeof *work->base);
    for (int32_t i = 0; i < work->living_count && !balance->level && balance->shared; i++) {
        int32_t rank = work->living[i], s = work->source_of[rank];
        int64_t tokens = s >= 0 ? balance->tokens[s * balance->token_stride] : 0;
        if (balance->source[0] < 0)
            tokens = (work->tokens + work->living_count - 1 - i) / work->living_count;
        work->base[rank] = (experts ? tokens > 0 : tokens) * balance->shared;
    }
}

/* Solves one of the two, and sets room from what is left. Gives the greatest. */
static int64_t solve(struct sl_balance_work *work, bool experts, int64_t *share, uint8_t *cut)
{
    const struct sl_balance *balance = work->balance;
    if (SL_MUTANT(balance_experts_as_rows))
        experts = false;
    set_base(work, experts);
    int64_t tokens = experts ? work->tokens > 0 : work->tokens;
    const struct sl_flow_problem problem = {.experts = balance->experts,
                                            .ranks = balance->ranks,
                                            .start = balance->start,
                                            .holder = work->holder,
                                            .load = experts ? work->active : work->load,
                                            .alive = balance->alive,
                                            .base = work->base,
                                            .spread =
                                                balance->level ? tokens * balance->shared : 0};
    struct sl_flow_answer answer = {.share = share, .cut = cut};
    sl_flow_solve(&problem, &answer, work->flow);
    if (!balance->level) {
        for (int32_t i = 0; i < work->living_count; i++)
            work->room[i] = work->base[work->living[i]];
        return answer.greatest;
    }
    for (int32_t c = 0; c < balance->start[balance->experts]; c++)
        work->base[work->holder[c]] += share[c];
    for (int32_t i = 0; i < work->living_count; i++)
        work->room[i] = answer.greatest - work->base[work->living[i]];
    return answer.greatest;
}

/* The copy that is active serves its expert's whole load. */
static int64_t solve_experts(struct sl_balance_work *work, int64_t *share, uint8_t *cut)
{
    const struct sl_balance *balance = work->balance;
    int64_t greatest = solve(work, true, share, cut);
    if (balance->shared)
        sl_balance_serve_shared(work);
    for (int32_t e = 0; e < balance->experts; e++)
        for (int32_t c = balance->start[e]; c < balance->start[e + 1]; c++)
            share[c] *= work->load[e];
    return greatest;
}

static void hand_out_routed(struct sl_balance_work *work, const struct sl_quotas *quotas)
{
    const struct sl_balance *balance = work->balance;
    int64_t physical = (int64_t)balance->slots * balance->ranks;
    for (int32_t e = 0; e < balance->experts; e++) {
        int32_t begin = balance->start[e], count = balance->start[e + 1] - begin;
        const int32_t *copies = balance->copies + begin;
        if (work->load[e] == 0)
            continue;
        for (int32_t c = 0; c < count && quotas->whole; c++)
            quotas->whole[copies[c]] = work->share[begin + c];
        for (int32_t s = 0; s < quotas->count && quotas->routed && count == 1; s++)
            quotas->routed[s * physical + copies[0]] =
                balance->counts[(quotas->first + s) * balance->stride + e];
        if (count == 1 || !quotas->routed)
            continue;
        int32_t parts = sl_balance_split_expert(work, e);
        for (int32_t i = 0; i < parts; i++) {
            const struct sl_part *part = &work->parts[i];
            int32_t s = part->source - quotas->first;
            if (s >= 0 && s < quotas->count)
                quotas->routed[s * physical + copies[part->copy]] += part->units;
        }
    }
}

static void hand_out_columns(struct sl_balance_work *work, const struct sl_quotas *quotas)
{
    const struct sl_balance *balance = work->balance;
    for (int64_t s = 0; s < quotas->count; s++) {
        int32_t source = quotas->first + (int32_t)s;
        int64_t tokens = balance->tokens[source * balance->token_stride];
        for (int32_t j = 0; j < balance->shared && tokens > 0; j++) {
            int32_t rank = sl_balance_server(work, source, j);
            if (quotas->shared)
                quotas->shared[s * balance->ranks + rank] += tokens;
            if (quotas->column)
                quotas->column[s * SL_MAX_SHARED + j] = rank;
        }
    }
}

static void hand_out_shared(struct sl_balance_work *work, const struct sl_quotas *quotas,
                            bool experts)
{
    const struct sl_balance *balance = work->balance;
    for (int64_t s = 0; s < quotas->count && quotas->column; s++)
        quotas->column[s * SL_MAX_SHARED] = -1;
    if (balance->shared == 0)
        return;
    if (experts) {
        hand_out_columns(work, quotas);
        return;
    }
    int32_t parts = quotas->shared ? sl_balance_split_shared(work) : 0;
    for (int32_t i = 0; i < parts; i++) {
        const struct sl_part *part = &work->parts[i];
        int32_t s = part->source - quotas->first;
        if (s >= 0 && s < quotas->count)
            quotas->shared[(int64_t)s * balance->ranks + work->living[part->copy]] += part->units;
    }
}

void sl_balance_solve(const struct sl_balance *balance, struct sl_quotas *quotas, void *scratch)
{
    struct sl_balance_work work;
    bool experts = balance->objective == SLUICE_BALANCE_EXPERTS;
    bool cost = balance->objective == SLUICE_BALANCE_COST;
    int64_t fullest = 0, most = 0;
    bind(&work, balance, scratch);
    look_at_ranks(&work);
    add_up(&work);
    if (experts || cost)
        most = solve_experts(&work, cost ? work.other : work.share, cost ? NULL : quotas->cut);
    if (!experts)
        fullest = solve(&work, false, work.share, cost ? NULL : quotas->cut);
    quotas->greatest = quotas->bound = experts ? most : fullest;
    if (cost) {
        quotas->greatest = sl_balance_improve(&work, &experts);
        quotas->bound = sl_balance_cost_bound(&work, fullest, most);
    }
    hand_out_routed(&work, quotas);
    hand_out_shared(&work, quotas, experts);
}
