/* SPDX-License-Identifier: Apache-2.0
 * The step balance of plain numbers: no context. */
#include <stdlib.h>
#include <string.h>

#include "../core/sl_balance.h"
#include "bk_balance_check.h"

/* A problem's sums stay below this, so that nothing overflows. */
static const int64_t MOST_TOTAL = (int64_t)1 << 60;

/* Everything that is made from the problem, in one allocation. */
struct plain {
    const sluice_balance_problem *problem;
    struct sl_shape shape;
    int32_t *start, *copies; /* on living ranks */
    uint8_t *alive;
    int32_t *node, *leader, *source;
    int64_t *own_counts;   /* of the living sources, where some are dead */
    const int64_t *counts; /* these, or the problem's */
    int64_t *tokens;
    int32_t living;
    void *scratch;
};

static sluice_status check_shape(const struct sl_text *text, const sluice_balance_problem *problem)
{
    if (problem->slots_per_rank < 1 || problem->slots_per_rank > SL_MAX_PHYSICAL)
        return sl_text_fail(text, SLUICE_INVALID, "problem.slots_per_rank is %d: must be 1 to %d",
                            problem->slots_per_rank, SL_MAX_PHYSICAL);
    if (problem->shared < 0 || problem->shared > SL_MAX_SHARED)
        return sl_text_fail(text, SLUICE_INVALID, "problem.shared is %d: must be 0 to %d",
                            problem->shared, SL_MAX_SHARED);
    if (!problem->counts || !problem->map)
        return sl_text_fail(text, SLUICE_INVALID, "problem.%s is NULL",
                            problem->map ? "counts" : "map");
    if (!problem->tokens != !problem->shared)
        return sl_text_fail(text, SLUICE_INVALID, "problem.tokens is %s and problem.shared is %d",
                            problem->tokens ? "given" : "NULL", problem->shared);
    uint8_t seen[SL_MAX_COLUMNS];
    char why[256];
    int64_t physical = (int64_t)problem->slots_per_rank * problem->ranks;
    sluice_status status = sl_place_check(0, problem->experts, problem->ranks, problem->map,
                                          physical, seen, why, sizeof why);
    return status ? sl_text_fail(text, status, "problem.map: %s", why) : status;
}

/* Is every count and row so small that no sum of them is near the limit? */
static bool all_small(const sluice_balance_problem *problem, int64_t most)
{
    int64_t cells = (int64_t)problem->ranks * problem->experts, bits = 0;
    for (int64_t i = 0; i < cells; i++)
        bits |= problem->counts[i];
    for (int32_t r = 0; r < problem->ranks && problem->tokens; r++)
        bits |= problem->tokens[r];
    return bits >= 0 && bits < most / (cells + (int64_t)problem->ranks * SL_MAX_SHARED);
}

static sluice_status check_sums(const struct sl_text *text, const sluice_balance_problem *problem)
{
    const sluice_costs *costs = problem->config->costs;
    int64_t left = MOST_TOTAL, living = 0;
    if (costs)
        left /= costs->row_ps + 2 * costs->near_ps + 2 * costs->far_ps + 1;
    bool small = all_small(problem, left);
    for (int32_t r = 0; r < problem->ranks; r++) {
        if (problem->alive && problem->alive[r] > 1)
            return sl_text_fail(text, SLUICE_INVALID, "problem.alive[%d] is %d: must be 0 or 1", r,
                                problem->alive[r]);
        living += !problem->alive || problem->alive[r];
        for (int32_t e = 0; e < problem->experts && !small; e++) {
            int64_t count = problem->counts[(int64_t)r * problem->experts + e];
            if (count < 0 || count > left)
                return sl_text_fail(text, SLUICE_INVALID,
                                    "problem.counts of rank %d, expert %d is %lld: must not be "
                                    "negative, and the sum of all, in picoseconds too, below 2^60",
                                    r, e, (long long)count);
            left -= count;
        }
        int64_t tokens = problem->tokens && !small ? problem->tokens[r] : 0;
        if (tokens < 0 || tokens > left / SL_MAX_SHARED)
            return sl_text_fail(text, SLUICE_INVALID,
                                "problem.tokens[%d] is %lld: must not be negative, and the sum "
                                "below 2^60",
                                r, (long long)tokens);
        left -= tokens * SL_MAX_SHARED;
    }
    return living ? SLUICE_OK : sl_text_fail(text, SLUICE_INVALID, "problem.alive: no rank lives");
}

static void *take(char **at, size_t bytes)
{
    char *part = *at;
    *at += (bytes + 63) / 64 * 64;
    return part;
}

static bool all_living(const sluice_balance_problem *problem)
{
    bool all = true;
    for (int32_t r = 0; r < problem->ranks && problem->alive; r++)
        all = all && problem->alive[r];
    return all;
}

/* With memory NULL: the bytes that are needed. */
static size_t lay_out(struct plain *plain, char *memory)
{
    size_t experts = (size_t)plain->shape.experts, ranks = (size_t)plain->shape.ranks;
    char *at = memory;
    char *base = NULL;
    if (!memory)
        at = base = (char *)(uintptr_t)64;
    size_t rows = all_living(plain->problem) ? 0 : ranks;
    plain->start = take(&at, (experts + 1) * sizeof(int32_t));
    plain->copies = take(&at, (size_t)plain->shape.physical * sizeof(int32_t));
    plain->alive = take(&at, ranks);
    plain->node = take(&at, ranks * sizeof(int32_t));
    plain->leader = take(&at, ranks * sizeof(int32_t));
    plain->source = take(&at, ranks * sizeof(int32_t));
    plain->own_counts = take(&at, rows * experts * sizeof(int64_t));
    plain->tokens = take(&at, ranks * sizeof(int64_t));
    plain->scratch = take(
        &at, sl_balance_bytes(plain->shape.experts, plain->shape.ranks, plain->shape.physical));
    return (size_t)(at - (memory ? memory : base));
}

static void fill(struct plain *plain)
{
    const sluice_balance_problem *problem = plain->problem;
    size_t experts = (size_t)problem->experts;
    bool all = all_living(problem);
    plain->counts = all ? problem->counts : plain->own_counts;
    for (int32_t r = 0; r < problem->ranks; r++) {
        plain->alive[r] = !problem->alive || problem->alive[r];
        plain->node[r] = problem->node ? problem->node[r] : 0;
        if (!plain->alive[r])
            continue;
        plain->source[plain->living] = r;
        if (!all)
            memcpy(plain->own_counts + (size_t)plain->living * experts,
                   problem->counts + (size_t)r * experts, experts * sizeof(int64_t));
        plain->tokens[plain->living++] = problem->tokens ? problem->tokens[r] : 0;
    }
    sl_place_list(&plain->shape, problem->map, plain->alive, plain->start, plain->copies);
    sl_balance_leaders(problem->ranks, plain->node, plain->leader);
}

static void solve(struct plain *plain, sluice_balance_answer *answer, int32_t sources)
{
    const sluice_balance_problem *problem = plain->problem;
    const struct sl_balance balance = {.experts = problem->experts,
                                       .slots = problem->slots_per_rank,
                                       .ranks = problem->ranks,
                                       .shared = problem->shared,
                                       .level = 1,
                                       .objective = problem->config->objective,
                                       .costs = problem->config->costs,
                                       .alive = plain->alive,
                                       .leader = plain->leader,
                                       .start = plain->start,
                                       .copies = plain->copies,
                                       .sources = plain->living,
                                       .source = plain->source,
                                       .counts = plain->counts,
                                       .tokens = plain->tokens,
                                       .stride = problem->experts,
                                       .token_stride = 1};
    struct sl_quotas quotas = {
        .routed = answer->routed, .shared = answer->shared, .cut = answer->cut};
    sl_balance_want(&balance, answer->source, sources, &quotas);
    sl_balance_clear_answer(answer, problem->ranks, plain->shape.physical, sources);
    sl_balance_solve(&balance, &quotas, plain->scratch);
    sl_balance_spread(&balance, answer->source, &quotas);
    answer->greatest = quotas.greatest;
    answer->bound = quotas.bound;
    answer->epoch = answer->step = 0;
}

sluice_status sl_balance_plain(const sluice_balance_problem *problem, sluice_balance_answer *answer,
                               char *text_data, size_t text_size)
{
    const struct sl_text text = {text_data, text_size};
    int32_t sources = 0;
    if (text_data && text_size)
        text_data[0] = 0;
    sluice_status status = SL_CHECK_STRUCT(&text, "problem", problem);
    if (status || (status = sl_balance_check_config(&text, "problem.config", problem->config)) ||
        (status = check_shape(&text, problem)) || (status = check_sums(&text, problem)))
        return status;
    struct plain plain = {.problem = problem};
    int32_t physical = problem->slots_per_rank * problem->ranks;
    if ((status = sl_balance_check_answer(&text, answer, problem->ranks, physical, &sources)))
        return status;
    plain.shape = (struct sl_shape){.experts = problem->experts,
                                    .slots = problem->slots_per_rank,
                                    .ranks = problem->ranks,
                                    .local = problem->slots_per_rank,
                                    .physical = physical};
    size_t bytes = lay_out(&plain, NULL);
    void *memory = malloc(bytes);
    if (!memory)
        return sl_text_fail(&text, SLUICE_NO_MEMORY, "no memory for %zu bytes", bytes);
    (void)lay_out(&plain, memory);
    fill(&plain);
    solve(&plain, answer, sources);
    free(memory);
    return SLUICE_OK;
}
