/* SPDX-License-Identifier: Apache-2.0
 * A map that owes nothing to what lies there: EPLB's, made more even, then repaired. */
#include <string.h>

#include "eplb_map.h"
#include "level_state.h"

/* Most steps of evening out: each looks at the fullest rank alone. */
enum { EVEN_STEPS = 64 };

/* Load of an expert over all windows, in means. */
static double heat_of(const struct sl_level *level, int32_t expert)
{
    double sum = 0;
    for (int32_t w = 0; w < level->problem.windows; w++)
        sum += (double)level->problem.load[(ptrdiff_t)w * level->problem.experts + expert] /
               level->mean[w];
    return sum;
}

/* EPLB's map of all windows together; a second copy on a rank serves nobody and is left out. */
static void start(struct sl_level *level, void *scratch)
{
    const struct sl_level_problem *problem = &level->problem;
    const struct sl_eplb eplb = {.experts = problem->experts,
                                 .ranks = problem->ranks,
                                 .slots = problem->slots,
                                 .groups = 1,
                                 .nodes = 1,
                                 .arithmetic = SL_EPLB_F64_QUOTIENTS};
    for (int32_t e = 0; e < problem->experts; e++)
        level->saved[e] =
            problem->windows == 1 ? problem->load[e] : (int64_t)(heat_of(level, e) * 0x1p30);
    sl_eplb_solve(&eplb, level->saved, level->list, scratch);
    for (int32_t p = 0; p < level->physical; p++)
        sl_level_unlink(level, p);
    for (int32_t p = 0; p < level->physical; p++)
        if (!sl_level_has(level, level->rank_of[p], level->list[p]))
            sl_level_link(level, p, level->list[p]);
}

/* Ranks' loads where each expert is split evenly over its copies. */
struct even {
    double *heat;     /* [E] */
    double *load;     /* [ranks] */
    double *more;     /* [ranks] of a change that is looked at; else 0 */
    int32_t *touched; /* ranks with `more`, some twice */
    int32_t count;
};

static struct even even_of(struct sl_level *level)
{
    int32_t experts = level->problem.experts, ranks = level->problem.ranks;
    struct even even = {.heat = level->key,
                        .load = level->key + experts,
                        .more = level->key + experts + ranks,
                        .touched = level->list};
    for (int32_t e = 0; e < experts; e++)
        even.heat[e] = heat_of(level, e);
    memset(even.load, 0, 2 * (size_t)ranks * sizeof *even.load);
    return even;
}

static double each_of(const struct sl_level *level, const struct even *even, int32_t expert)
{
    return even->heat[expert] / level->copies[expert];
}

static void split(const struct sl_level *level, struct even *even)
{
    memset(even->load, 0, (size_t)level->problem.ranks * sizeof *even->load);
    for (int32_t p = 0; p < level->physical; p++)
        if (level->map[p] >= 0)
            even->load[level->rank_of[p]] += each_of(level, even, level->map[p]);
}

/* Empty slots take what has most a copy. */
static void fill(struct sl_level *level, const struct even *even)
{
    for (int32_t p = 0; p < level->physical; p++) {
        int32_t best = -1;
        for (int32_t e = 0; e < level->problem.experts && level->map[p] < 0; e++)
            if ((best < 0 || each_of(level, even, e) > each_of(level, even, best)) &&
                !sl_level_has(level, level->rank_of[p], e))
                best = e;
        if (best >= 0)
            sl_level_link(level, p, best);
    }
}

static void touch(struct even *even, int32_t rank, double more)
{
    even->more[rank] += more;
    even->touched[even->count++] = rank;
}

/* What the sum of the ranks' squares grows by if the slot takes the expert instead. */
static double growth(const struct sl_level *level, struct even *even, int32_t slot, int32_t expert)
{
    int32_t held = level->map[slot], rank = level->rank_of[slot];
    double sum = 0;
    even->count = 0;
    for (int32_t p = level->first[held]; p >= 0; p = level->next[p])
        if (p != slot)
            touch(even, level->rank_of[p],
                  even->heat[held] / (level->copies[held] - 1) - each_of(level, even, held));
    for (int32_t p = level->first[expert]; p >= 0; p = level->next[p])
        touch(even, level->rank_of[p],
              even->heat[expert] / (level->copies[expert] + 1) - each_of(level, even, expert));
    touch(even, rank,
          even->heat[expert] / (level->copies[expert] + 1) - each_of(level, even, held));
    for (int32_t i = 0; i < even->count; i++) {
        int32_t r = even->touched[i];
        sum += (2 * even->load[r] + even->more[r]) * even->more[r];
        even->more[r] = 0;
    }
    return sum;
}

/* The same if two slots change places: no number of copies changes. */
static double swap_growth(const struct sl_level *level, const struct even *even, int32_t p,
                          int32_t q)
{
    double more = each_of(level, even, level->map[p]) - each_of(level, even, level->map[q]);
    double less = even->load[level->rank_of[p]], other = even->load[level->rank_of[q]];
    return more * (2 * (other - less) + 2 * more);
}

struct change {
    double growth;
    int32_t slot, expert, other; /* other: the slot that it changes places with, or -1 */
};

static void consider(struct change *best, double growth, int32_t slot, int32_t expert,
                     int32_t other)
{
    if (growth < best->growth)
        *best = (struct change){growth, slot, expert, other};
}

/* Is the slot one that may take the expert? */
static bool may_take(const struct sl_level *level, int32_t slot, int32_t expert)
{
    int32_t held = level->map[slot];
    return held >= 0 && level->copies[held] > 1 && held != expert &&
           !sl_level_has(level, level->rank_of[slot], expert);
}

/* The change that takes most off the sum of squares, of those that the given rank has a part in. */
static struct change best_change(const struct sl_level *level, struct even *even, int32_t rank)
{
    /* Rounding must not be taken for a gain. */
    struct change best = {.growth = -0x1p-30};
    int32_t slots = level->problem.slots;
    for (int32_t p = rank * slots; p < (rank + 1) * slots; p++) {
        int32_t held = level->map[p];
        for (int32_t e = 0; e < level->problem.experts && held >= 0; e++)
            if (may_take(level, p, e))
                consider(&best, growth(level, even, p, e), p, e, -1);
        for (int32_t q = 0; q < level->physical && held >= 0; q++) {
            if (level->rank_of[q] == rank || level->map[q] < 0 || level->map[q] == held)
                continue;
            if (may_take(level, q, held))
                consider(&best, growth(level, even, q, held), q, held, -1);
            if (!sl_level_has(level, level->rank_of[q], held) &&
                !sl_level_has(level, rank, level->map[q]))
                consider(&best, swap_growth(level, even, p, q), p, held, q);
        }
    }
    return best;
}

/* Flattens an even split, for steps that are not balanced; kept where the bound allows. */
static void even_out(struct sl_level *level, struct even *even)
{
    sl_level_spread(level);
    double before = sl_level_bound(level), enough = level->problem.target;
    memcpy(level->origin, level->map, (size_t)level->physical * sizeof *level->map);
    for (int32_t i = 0; i < EVEN_STEPS && !sl_level_ended(level); i++) {
        int32_t fullest = 0;
        split(level, even);
        for (int32_t r = 1; r < level->problem.ranks; r++)
            fullest = even->load[r] > even->load[fullest] ? r : fullest;
        struct change best = best_change(level, even, fullest);
        level->work += level->physical;
        if (best.growth >= -0x1p-30)
            break;
        if (best.other >= 0) {
            sl_level_swap(level, best.slot, best.other);
            continue;
        }
        sl_level_unlink(level, best.slot);
        sl_level_link(level, best.slot, best.expert);
    }
    sl_level_spread(level);
    double after = sl_level_bound(level);
    if (after <= before || after <= enough)
        return;
    for (int32_t p = 0; p < level->physical; p++)
        sl_level_unlink(level, p);
    for (int32_t p = 0; p < level->physical; p++)
        sl_level_link(level, p, level->origin[p]);
}

void sl_level_fresh(struct sl_level *level, void *eplb)
{
    start(level, eplb);
    struct even even = even_of(level);
    fill(level, &even);
    even_out(level, &even);
    memcpy(level->origin, level->map, (size_t)level->physical * sizeof *level->map);
    sl_level_spread(level);
    sl_level_repair(level);
    memset(level->rank_written, 0, (size_t)level->problem.ranks * sizeof *level->rank_written);
    level->written = level->groups = 0;
}
