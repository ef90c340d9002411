/* SPDX-License-Identifier: Apache-2.0 */
#include "remap.h"

#include <stdbool.h>

#include "mutant.h"
#include "rule.h"

void sl_waterfill_count(const struct sl_shape *shape, int64_t entries, const int32_t *physical,
                        int64_t *load)
{
    for (int64_t i = 0; i < entries; i++)
        if (physical[i] >= 0)
            load[physical[i] / (SL_MUTANT(waterfill_counts_slots) ? shape->local : shape->slots)]++;
}

/* The chance of rank r is in proportion to this; the source needs no transfer and is favoured. */
static int64_t room(const struct sl_waterfill *plan, int32_t r)
{
    int64_t left = plan->target - plan->load[r];
    if (left <= 0 || !plan->alive[r])
        return 0;
    return r == plan->source || SL_MUTANT(waterfill_no_favour) ? left : left * 10 / 11;
}

/* Would the walk leave `best` for r? */
static bool lighter(const struct sl_waterfill *plan, int32_t r, int32_t best)
{
    return plan->alive[r] && plan->load[r] * 11 < plan->load[best] * 10;
}

void sl_waterfill_ready(struct sl_waterfill *plan, int64_t *load)
{
    plan->load = load;
    plan->full = -1;
    if (!plan->all)
        return;
    int64_t total = 0;
    int32_t best = plan->source;
    for (int32_t r = 0; r < plan->ranks; r++) {
        total += room(plan, r);
        best = lighter(plan, r, best) ? r : best;
    }
    if (total == 0) {
        plan->full = best;
        return;
    }
    int64_t sum = 0;
    for (int32_t r = 0; r < plan->ranks; r++) {
        sum += room(plan, r);
        load[r] = sum;
    }
}

void sl_waterfill_plan(struct sl_waterfill *plan, int64_t *load, const int64_t *tokens,
                       int32_t top_k, int32_t shared)
{
    int64_t routed = 0, sum = 0, greatest = 0, living = 1; /* the source */
    for (int32_t r = 0; r < plan->ranks; r++) {
        routed += load[r];
        if (tokens)
            load[r] += tokens[r] * shared;
        sum += load[r];
        greatest = load[r] > greatest ? load[r] : greatest;
        living += r != plan->source && plan->alive[r];
    }
    int64_t extra = tokens ? routed / top_k * shared : routed / top_k;
    plan->target = (sum + extra + living - 1) / living;
    plan->all = !tokens || greatest <= plan->target;
    sl_waterfill_ready(plan, load);
}

/* Source and row in 32 bits, so that neighbours spread. */
static uint32_t seed_of(const struct sl_waterfill *plan, int64_t t)
{
    uint32_t mixed = (uint32_t)t ^ (uint32_t)plan->source * 0x9E3779B9U;
    return mixed * 1664525U + 1013904223U;
}

/* First rank whose running sum is beyond `pick`. */
static int32_t find(const int64_t *sums, int32_t ranks, int64_t pick)
{
    int32_t low = 0, high = ranks - 1;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (sums[middle] > pick)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Candidates are the source and the ranks the row visits, each once, as bits. */
static int32_t rank_of_visited(const struct sl_waterfill *plan, uint32_t seed, int32_t count,
                               const int32_t *visited)
{
    uint64_t bits[SL_MAX_RANKS / 64] = {0};
    int64_t total = room(plan, plan->source);
    bits[plan->source / 64] = 1ULL << plan->source % 64;
    for (int32_t i = 0; i < count; i++) {
        int32_t r = visited[i];
        bool known = bits[r / 64] >> r % 64 & 1;
        bits[r / 64] |= 1ULL << r % 64;
        total += known ? 0 : room(plan, r);
    }
    if (total == 0) {
        int32_t best = plan->source;
        for (int32_t i = 0; i < count; i++)
            best = lighter(plan, visited[i], best) ? visited[i] : best;
        return best;
    }
    int64_t pick = seed % total;
    int32_t r = 0;
    for (;; r++) {
        if (!bits[r / 64])
            r |= 63;
        else if (bits[r / 64] >> r % 64 & 1 && (pick -= room(plan, r)) < 0)
            return r;
    }
}

int32_t sl_waterfill_rank(const struct sl_waterfill *plan, const struct sl_shape *shape, int64_t t,
                          int32_t top_k, const int32_t *physical)
{
    int32_t visited[SL_MAX_K], count = 0;
    for (int32_t k = 0; k < top_k; k++)
        if (physical[k] >= 0)
            visited[count++] = physical[k] / shape->slots;
    if (count == 0)
        return SL_MUTANT(waterfill_keeps_empty) ? plan->source : -1;
    if (plan->full >= 0)
        return plan->full;
    uint32_t seed = seed_of(plan, t);
    if (!plan->all)
        return rank_of_visited(plan, seed, count, visited);
    return find(plan->load, plan->ranks, seed % plan->load[plan->ranks - 1]);
}
