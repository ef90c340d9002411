/* SPDX-License-Identifier: Apache-2.0
 * One step of the search. The minimum cut of the settled state names the ranks that are too full.
 * Only an expert that nobody outside can serve, given a slot outside, takes load off them. */
#include <limits.h>
#include <string.h>

#include "level_state.h"

/* Of each kind, the most that are tried in a step; measured on real shifts: more finds no shorter
 * repair. */
enum { HOT_EXPERTS = 6, VICTIMS = 64, PAIRS = 24, FULL_RANKS = 16, EMPTY_RANKS = 1024 };

/* A bound at most this is as good as any: then what a map remembers counts. */
#define LEVEL_ENOUGH 1.001

/* A list that keeps the `limit` lowest keys, ascending; equal keys in the order they came. */
struct best_of {
    int32_t *item;
    double *key;
    int32_t count, limit;
};

static void offer(struct best_of *best, int32_t item, double key)
{
    if (best->count == best->limit && key >= best->key[best->count - 1])
        return;
    int32_t i = best->count < best->limit ? best->count++ : best->count - 1;
    for (; i > 0 && best->key[i - 1] > key; i--) {
        best->key[i] = best->key[i - 1];
        best->item[i] = best->item[i - 1];
    }
    best->key[i] = key;
    best->item[i] = item;
}

/* A window without a rank in its cut is under its cap. */
static bool is_over(const struct sl_level *level, int32_t w)
{
    return memchr(level->cut + (ptrdiff_t)w * level->problem.ranks, 1,
                  (size_t)level->problem.ranks) != NULL;
}

static bool in_cut(const struct sl_level *level, int32_t w, int32_t rank)
{
    return level->cut[(ptrdiff_t)w * level->problem.ranks + rank];
}

/* Inside or outside the cut of any window that is over its cap? */
static bool any_cut(const struct sl_level *level, int32_t rank, bool inside)
{
    for (int32_t w = 0; w < level->problem.windows; w++)
        if (is_over(level, w) && in_cut(level, w, rank) == inside)
            return true;
    return false;
}

/* Load, in means, that only the cuts' ranks can serve. */
static double locked(const struct sl_level *level, int32_t expert)
{
    double sum = 0;
    for (int32_t w = 0; w < level->problem.windows && level->first[expert] >= 0; w++) {
        bool inside = is_over(level, w);
        for (int32_t p = level->first[expert]; p >= 0 && inside; p = level->next[p])
            inside = in_cut(level, w, level->rank_of[p]);
        if (inside)
            sum += (double)level->problem.load[(ptrdiff_t)w * level->problem.experts + expert] /
                   level->mean[w];
    }
    return sum;
}

/* What a slot serves beyond the room of its rank, in means: the less, the better a victim. */
static double burden(const struct sl_level *level, int32_t slot)
{
    double sum = 0;
    for (int32_t w = 0; w < level->problem.windows; w++) {
        int64_t load = level->rank_load[(ptrdiff_t)w * level->problem.ranks + level->rank_of[slot]];
        int64_t room = load < level->cap[w] ? level->cap[w] - load : 0;
        sum +=
            (double)(level->share[(ptrdiff_t)w * level->physical + slot] - room) / level->mean[w];
    }
    return sum;
}

/* May the slot be written, by the budgets of this layer? */
static bool may_write(const struct sl_level *level, int32_t slot, int32_t more)
{
    const struct sl_level_problem *problem = &level->problem;
    if (level->map[slot] != level->origin[slot])
        return true;
    return (!problem->layer_slots || level->written + more <= problem->layer_slots) &&
           (!problem->rank_slots ||
            level->rank_written[level->rank_of[slot]] < problem->rank_slots);
}

/* How well the map still serves another load once `slot` forgets what it holds: other experts that
 * tie its rank to the same ranks, and other copies. It remembers earlier loads, for which the
 * copies were made: the more ties are left, the less it forgets. */
static int32_t ties_left(const struct sl_level *level, int32_t slot)
{
    int32_t held = level->map[slot], rank = level->rank_of[slot], slots = level->problem.slots;
    if (held < 0)
        return INT_MAX;
    int32_t ties = level->copies[held];
    for (int32_t p = rank * slots; p < (rank + 1) * slots; p++) {
        int32_t other = level->map[p];
        if (p == slot || other < 0 || level->copies[other] < 2)
            continue;
        for (int32_t q = level->first[other]; q >= 0; q = level->next[q])
            ties += level->rank_of[q] != rank && sl_level_has(level, level->rank_of[q], held);
    }
    return ties;
}

struct attempt {
    double excess, bound;
    int32_t ties;
    int32_t slot, other; /* the expert that is put there, or the slot that it changes places with */
};

static double bound_of(struct sl_level *level)
{
    double bound = sl_level_bound(level);
    return bound > LEVEL_ENOUGH ? bound : LEVEL_ENOUGH;
}

static bool is_better(const struct attempt *a, const struct attempt *than)
{
    if (a->excess < than->excess || a->excess > than->excess)
        return a->excess < than->excess;
    if (a->bound < than->bound || a->bound > than->bound)
        return a->bound < than->bound;
    return a->ties > than->ties;
}

/* One slot: hot experts by what is locked, victims by their burden. */
static void try_writes(struct sl_level *level, double excess, struct attempt *best)
{
    struct best_of hot = {level->list, level->key, 0, HOT_EXPERTS};
    for (int32_t e = 0; e < level->problem.experts; e++) {
        double load = locked(level, e);
        if (load > 0)
            offer(&hot, e, -load);
    }
    struct best_of victims = {hot.item + hot.count, hot.key + hot.count, 0, VICTIMS};
    for (int32_t p = 0; p < level->physical && hot.count > 0; p++)
        if ((level->map[p] < 0 || level->copies[level->map[p]] > 1) &&
            any_cut(level, level->rank_of[p], false) && may_write(level, p, 1))
            offer(&victims, p, burden(level, p));
    for (int32_t i = 0; i < hot.count * victims.count && !sl_level_ended(level); i++) {
        int32_t expert = hot.item[i / victims.count], slot = victims.item[i % victims.count];
        int32_t held = level->map[slot];
        /* A copy takes off at most what is locked, and the next experts have less. */
        if (excess + hot.key[i / victims.count] > best->excess)
            break;
        if (sl_level_has(level, level->rank_of[slot], expert))
            continue;
        struct attempt attempt = {.ties = ties_left(level, slot), .slot = slot, .other = expert};
        sl_level_put(level, slot, expert);
        attempt.excess = sl_level_settle(level);
        if (attempt.excess <= 0)
            attempt.bound = bound_of(level);
        if (is_better(&attempt, best))
            *best = attempt;
        sl_level_unlink(level, slot);
        sl_level_link(level, slot, held);
        sl_level_back(level);
    }
}

static int64_t above(int64_t load, int64_t cap)
{
    return load > cap ? load - cap : 0;
}

/* Load of a rank that no other can serve. */
static int64_t fixed_of(const struct sl_level *level, int32_t w, int32_t rank)
{
    int32_t slots = level->problem.slots;
    const int64_t *share = level->share + (ptrdiff_t)w * level->physical;
    int64_t sum = 0;
    for (int32_t p = rank * slots; p < (rank + 1) * slots; p++)
        sum += level->map[p] >= 0 && level->copies[level->map[p]] < 2 ? share[p] : 0;
    return sum;
}

/* By how much the two ranks' excess falls if the slots change places and others take all they can
 * have of the second; among equal pairs, if nobody else helped. */
static double fall(const struct sl_level *level, int32_t p, int32_t q)
{
    double sum = 0, alone = 0;
    for (int32_t w = 0; w < level->problem.windows; w++) {
        const int64_t *load = level->problem.load + (ptrdiff_t)w * level->problem.experts;
        const int64_t *rank_load = level->rank_load + (ptrdiff_t)w * level->problem.ranks;
        int64_t cap = level->cap[w], full = rank_load[level->rank_of[p]];
        int64_t empty = rank_load[level->rank_of[q]];
        int64_t fixed = level->fixed[(ptrdiff_t)w * level->problem.ranks + level->rank_of[q]];
        int64_t more = load[level->map[p]] / level->copies[level->map[p]] -
                       load[level->map[q]] / level->copies[level->map[q]];
        int64_t less = above(full, cap) - above(full - more, cap);
        sum += (double)(less - above(fixed + more, cap)) / level->mean[w];
        alone += (double)(less + above(empty, cap) - above(empty + more, cap)) / level->mean[w];
    }
    return sum > 0 ? sum + alone * 0x1p-10 : 0;
}

/* Ranks of one side of the cuts, the fullest (sign -1) or the emptiest (1) first. */
static void offer_ranks(const struct sl_level *level, bool inside, double sign,
                        struct best_of *ranks)
{
    for (int32_t r = 0; r < level->problem.ranks; r++) {
        double load = 0;
        for (int32_t w = 0; w < level->problem.windows; w++)
            load +=
                (double)level->rank_load[(ptrdiff_t)w * level->problem.ranks + r] / level->mean[w];
        if (any_cut(level, r, inside))
            offer(ranks, r, sign * load);
    }
}

static bool may_swap(const struct sl_level *level, int32_t p, int32_t q)
{
    int32_t a = level->map[p], b = level->map[q];
    return a >= 0 && b >= 0 && a != b && !sl_level_has(level, level->rank_of[q], a) &&
           !sl_level_has(level, level->rank_of[p], b) && may_write(level, p, 2) &&
           may_write(level, q, 2);
}

/* Two slots that change places; pairs by `fall`. */
static void try_swaps(struct sl_level *level, struct attempt *best)
{
    int32_t slots = level->problem.slots, rank[FULL_RANKS + EMPTY_RANKS], from[PAIRS], to[PAIRS];
    int32_t order[PAIRS], used = 0;
    double rank_key[FULL_RANKS + EMPTY_RANKS], key[PAIRS];
    struct best_of full = {rank, rank_key, 0, FULL_RANKS};
    /* So that there are some 100,000 pairs at most. */
    int32_t most = 1 + 8192 / (slots * slots);
    most = most < EMPTY_RANKS ? most : EMPTY_RANKS;
    struct best_of empty = {rank + FULL_RANKS, rank_key + FULL_RANKS, 0, most};
    for (int32_t w = 0; w < level->problem.windows; w++)
        for (int32_t r = 0; r < level->problem.ranks; r++)
            level->fixed[(ptrdiff_t)w * level->problem.ranks + r] = fixed_of(level, w, r);
    offer_ranks(level, true, -1, &full);
    offer_ranks(level, false, 1, &empty);
    struct best_of pairs = {order, key, 0, PAIRS};
    for (int32_t i = 0; i < full.count * slots; i++) {
        int32_t p = full.item[i / slots] * slots + i % slots;
        for (int32_t j = 0; j < empty.count * slots && level->map[p] >= 0; j++) {
            int32_t q = empty.item[j / slots] * slots + j % slots;
            if (level->map[q] < 0)
                continue;
            double key_of = -fall(level, p, q);
            if (key_of >= 0 || (pairs.count == PAIRS && key_of >= key[PAIRS - 1]) ||
                !may_swap(level, p, q))
                continue;
            /* A pair that drops off the list gives its place to the new one. */
            int32_t place = pairs.count < PAIRS ? used++ : order[PAIRS - 1];
            from[place] = p;
            to[place] = q;
            offer(&pairs, place, key_of);
        }
    }
    for (int32_t i = 0; i < pairs.count && !sl_level_ended(level); i++) {
        struct attempt attempt = {.slot = from[order[i]], .other = to[order[i]]};
        sl_level_swap(level, attempt.slot, attempt.other);
        attempt.excess = sl_level_settle(level);
        if (attempt.excess <= 0)
            attempt.bound = bound_of(level);
        if (is_better(&attempt, best))
            *best = attempt;
        int32_t held = level->map[attempt.other], other = level->map[attempt.slot];
        sl_level_unlink(level, attempt.slot);
        sl_level_unlink(level, attempt.other);
        sl_level_link(level, attempt.slot, held);
        sl_level_link(level, attempt.other, other);
        sl_level_back(level);
    }
}

int32_t sl_level_step(struct sl_level *level, double *excess, int32_t slot[2])
{
    memcpy(level->cut, level->seen, (size_t)level->problem.windows * (size_t)level->problem.ranks);
    sl_level_save(level);
    /* Nothing that leaves the excess as it is betters it. */
    const struct attempt none = {.excess = *excess, .ties = INT_MAX, .slot = -1};
    struct attempt write = none, swap = none;
    try_writes(level, *excess, &write);
    /* A swap costs two slots: it must gain twice as much. */
    if (*excess - write.excess < *excess / 2)
        try_swaps(level, &swap);
    bool swaps = (*excess - swap.excess) / 2 > *excess - write.excess;
    const struct attempt *chosen = swaps ? &swap : &write;
    if (chosen->slot < 0)
        return 0;
    slot[0] = chosen->slot;
    slot[1] = chosen->other;
    if (swaps)
        sl_level_swap(level, chosen->slot, chosen->other);
    else
        sl_level_put(level, chosen->slot, chosen->other);
    *excess = sl_level_settle(level);
    return swaps ? 2 : 1;
}

int32_t sl_level_restore(struct sl_level *level, int32_t expert)
{
    int32_t best = -1;
    double least = 0;
    for (int32_t p = 0; p < level->physical; p++) {
        int32_t held = level->map[p];
        if ((held >= 0 && level->copies[held] < 2) || !may_write(level, p, 1))
            continue;
        double load = burden(level, p);
        bool empty = held < 0, than = best >= 0 && level->map[best] < 0;
        if (best < 0 || (empty != than ? empty : load < least)) {
            best = p;
            least = load;
        }
    }
    if (best < 0)
        return -1;
    sl_level_put(level, best, expert);
    for (int32_t w = 0; w < level->problem.windows; w++) {
        int64_t load = level->problem.load[(ptrdiff_t)w * level->problem.experts + expert];
        level->share[(ptrdiff_t)w * level->physical + best] = load;
        level->rank_load[(ptrdiff_t)w * level->problem.ranks + level->rank_of[best]] += load;
    }
    return best;
}
