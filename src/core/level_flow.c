/* SPDX-License-Identifier: Apache-2.0
 * The step balancer's optimum for a map that changes slot by slot. Ranks are nodes; a rank passes
 * load on to another along an expert with a copy on both. Shortest paths from ranks above the cap
 * to ranks below it; where none is left, the ranks that were reached are the minimum cut. */
#include <string.h>

#include "level_state.h"

struct part {
    void **array;
    size_t bytes;
};

static size_t lay_out(struct sl_level *level, const struct sl_level_problem *problem, char *memory)
{
    size_t experts = (size_t)problem->experts, ranks = (size_t)problem->ranks;
    size_t physical = ranks * (size_t)problem->slots, windows = (size_t)problem->windows;
    const struct part parts[] = {
        {(void **)&level->map, physical * sizeof(int32_t)},
        {(void **)&level->origin, physical * sizeof(int32_t)},
        {(void **)&level->write, physical * sizeof(struct sl_level_write)},
        {(void **)&level->kept, physical * sizeof(struct sl_level_write)},
        {(void **)&level->best, physical * sizeof(struct sl_level_write)},
        {(void **)&level->bound, (physical + 1) * sizeof(double)},
        {(void **)&level->rank_of, physical * sizeof(int32_t)},
        {(void **)&level->first, experts * sizeof(int32_t)},
        {(void **)&level->next, physical * sizeof(int32_t)},
        {(void **)&level->copies, experts * sizeof(int32_t)},
        {(void **)&level->share, windows * physical * sizeof(int64_t)},
        {(void **)&level->rank_load, windows * ranks * sizeof(int64_t)},
        {(void **)&level->saved, windows * (physical + ranks) * sizeof(int64_t)},
        {(void **)&level->queue, ranks * sizeof(int32_t)},
        {(void **)&level->came_from, ranks * sizeof(int32_t)},
        {(void **)&level->came_to, ranks * sizeof(int32_t)},
        {(void **)&level->seen, windows * ranks},
        {(void **)&level->fixed, windows * ranks * sizeof(int64_t)},
        {(void **)&level->cut, windows * ranks},
        {(void **)&level->list, (physical + experts) * sizeof(int32_t)},
        {(void **)&level->key, (physical + experts + 2 * ranks) * sizeof(double)},
        {(void **)&level->rank_written, ranks * sizeof(int32_t)},
    };
    size_t at = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (memory)
            *parts[i].array = memory + at;
        at += (parts[i].bytes + 7) / 8 * 8;
    }
    return at;
}

size_t sl_level_bytes(const struct sl_level_problem *problem)
{
    struct sl_level level;
    return lay_out(&level, problem, NULL);
}

void sl_level_link(struct sl_level *level, int32_t slot, int32_t expert)
{
    level->map[slot] = expert;
    if (expert < 0)
        return;
    level->next[slot] = level->first[expert];
    level->first[expert] = slot;
    level->copies[expert]++;
}

void sl_level_unlink(struct sl_level *level, int32_t slot)
{
    int32_t expert = level->map[slot];
    if (expert < 0)
        return;
    int32_t *at = &level->first[expert];
    while (*at != slot)
        at = &level->next[*at];
    *at = level->next[slot];
    level->copies[expert]--;
    level->map[slot] = -1;
}

bool sl_level_has(const struct sl_level *level, int32_t rank, int32_t expert)
{
    for (int32_t p = level->first[expert]; p >= 0; p = level->next[p])
        if (level->rank_of[p] == rank)
            return true;
    return false;
}

/* Fills the emptiest rank up to the cap, then the next; the last one takes what is left. */
static void spread_expert(struct sl_level *level, int32_t expert, int64_t left, int64_t *share,
                          int64_t *rank_load, int64_t cap)
{
    for (int32_t k = level->copies[expert]; k > 0 && left > 0; k--) {
        int32_t best = -1;
        for (int32_t p = level->first[expert]; p >= 0; p = level->next[p])
            if (share[p] == 0 &&
                (best < 0 || rank_load[level->rank_of[p]] < rank_load[level->rank_of[best]]))
                best = p;
        int64_t *load = rank_load + level->rank_of[best];
        int64_t room = cap > *load ? cap - *load : 0;
        /* Where even the emptiest is full it takes everything. */
        int64_t give = k == 1 || room == 0 || left < room ? left : room;
        share[best] = give;
        *load += give;
        left -= give;
    }
}

void sl_level_spread(struct sl_level *level)
{
    int32_t experts = level->problem.experts, ranks = level->problem.ranks;
    for (int32_t w = 0; w < level->problem.windows; w++) {
        int64_t *share = level->share + (ptrdiff_t)w * level->physical;
        int64_t *rank_load = level->rank_load + (ptrdiff_t)w * ranks;
        const int64_t *load = level->problem.load + (ptrdiff_t)w * experts;
        memset(share, 0, (size_t)level->physical * sizeof *share);
        memset(rank_load, 0, (size_t)ranks * sizeof *rank_load);
        for (int32_t several = 0; several < 2; several++)
            for (int32_t e = 0; e < experts; e++)
                if (level->copies[e] > 0 && (level->copies[e] > 1) == several)
                    spread_expert(level, e, load[e], share, rank_load, level->cap[w]);
    }
}

void sl_level_open(struct sl_level *level, const struct sl_level_problem *problem,
                   const int32_t *map, void *scratch)
{
    *level = (struct sl_level){.problem = *problem, .physical = problem->slots * problem->ranks};
    (void)lay_out(level, problem, scratch);
    memcpy(level->origin, map, (size_t)level->physical * sizeof *map);
    memset(level->copies, 0, (size_t)problem->experts * sizeof *level->copies);
    memset(level->rank_written, 0, (size_t)problem->ranks * sizeof *level->rank_written);
    for (int32_t e = 0; e < problem->experts; e++)
        level->first[e] = -1;
    for (int32_t p = level->physical - 1; p >= 0; p--) {
        level->rank_of[p] = p / problem->slots;
        sl_level_link(level, p, map[p]);
    }
    for (int32_t w = 0; w < problem->windows; w++) {
        int64_t total = problem->spread[w];
        for (int32_t e = 0; e < problem->experts; e++)
            total += problem->load[(ptrdiff_t)w * problem->experts + e];
        level->mean[w] = (double)total / problem->ranks;
        level->least[w] = total / problem->ranks + (total % problem->ranks != 0);
        /* No load at all is as level as can be. */
        if (total == 0)
            level->mean[w] = 1;
        double cap = problem->target * level->mean[w];
        level->cap[w] =
            cap < 0x1p62 && (int64_t)cap > level->least[w] ? (int64_t)cap : level->least[w];
    }
    sl_level_spread(level);
    level->bound[0] = sl_level_bound(level);
}

void sl_level_put(struct sl_level *level, int32_t slot, int32_t expert)
{
    int32_t held = level->map[slot];
    sl_level_unlink(level, slot);
    for (int32_t w = 0; w < level->problem.windows; w++) {
        int64_t *share = level->share + (ptrdiff_t)w * level->physical;
        int64_t *rank_load = level->rank_load + (ptrdiff_t)w * level->problem.ranks;
        int64_t served = share[slot];
        share[slot] = 0;
        rank_load[level->rank_of[slot]] -= served;
        if (held < 0 || served == 0 || level->first[held] < 0)
            continue;
        int32_t best = level->first[held];
        for (int32_t p = level->next[best]; p >= 0; p = level->next[p])
            if (rank_load[level->rank_of[p]] < rank_load[level->rank_of[best]])
                best = p;
        share[best] += served;
        rank_load[level->rank_of[best]] += served;
    }
    sl_level_link(level, slot, expert);
}

void sl_level_swap(struct sl_level *level, int32_t p, int32_t q)
{
    int32_t expert = level->map[p], other = level->map[q];
    for (int32_t w = 0; w < level->problem.windows; w++) {
        int64_t *share = level->share + (ptrdiff_t)w * level->physical;
        int64_t *rank_load = level->rank_load + (ptrdiff_t)w * level->problem.ranks;
        int64_t more = share[p] - share[q];
        share[p] -= more;
        share[q] += more;
        rank_load[level->rank_of[p]] -= more;
        rank_load[level->rank_of[q]] += more;
    }
    sl_level_unlink(level, p);
    sl_level_unlink(level, q);
    sl_level_link(level, p, other);
    sl_level_link(level, q, expert);
}

/* One walk's view of a window. */
struct walk {
    int64_t *share, *rank_load;
    uint8_t *seen;
    int64_t cap;
    int64_t above; /* of all ranks over the cap */
};

static struct walk walk_of(struct sl_level *level, int32_t w)
{
    return (struct walk){.share = level->share + (ptrdiff_t)w * level->physical,
                         .rank_load = level->rank_load + (ptrdiff_t)w * level->problem.ranks,
                         .seen = level->seen + (ptrdiff_t)w * level->problem.ranks,
                         .cap = level->cap[w]};
}

/* Ranks to which `rank` can pass load on join the queue; the first with room is returned, or -1. */
static int32_t pass_on(struct sl_level *level, struct walk *walk, int32_t rank, int32_t *tail)
{
    int32_t slots = level->problem.slots;
    for (int32_t p = rank * slots; p < (rank + 1) * slots; p++) {
        int32_t expert = level->map[p];
        if (walk->share[p] == 0 || level->copies[expert] < 2)
            continue;
        level->work++;
        for (int32_t q = level->first[expert]; q >= 0; q = level->next[q]) {
            int32_t to = level->rank_of[q];
            if (walk->seen[to])
                continue;
            walk->seen[to] = 1;
            level->came_from[to] = p;
            level->came_to[to] = q;
            if (walk->rank_load[to] < walk->cap)
                return to;
            level->queue[(*tail)++] = to;
        }
    }
    return -1;
}

/* From the ranks above the cap to the nearest with room, or -1 and the cut in seen[]. */
static int32_t find_room(struct sl_level *level, struct walk *walk)
{
    int32_t tail = 0;
    walk->above = 0;
    level->work += level->problem.ranks;
    for (int32_t r = 0; r < level->problem.ranks; r++) {
        walk->seen[r] = walk->rank_load[r] > walk->cap;
        if (!walk->seen[r])
            continue;
        walk->above += walk->rank_load[r] - walk->cap;
        level->came_from[r] = -1;
        level->queue[tail++] = r;
    }
    for (int32_t head = 0; head < tail; head++) {
        int32_t found = pass_on(level, walk, level->queue[head], &tail);
        if (found >= 0)
            return found;
    }
    return -1;
}

static void push(struct sl_level *level, struct walk *walk, int32_t found)
{
    int64_t amount = walk->cap - walk->rank_load[found];
    int32_t at = found;
    for (int32_t p; (p = level->came_from[at]) >= 0; at = level->rank_of[p])
        amount = walk->share[p] < amount ? walk->share[p] : amount;
    if (walk->rank_load[at] - walk->cap < amount)
        amount = walk->rank_load[at] - walk->cap;
    walk->rank_load[at] -= amount;
    walk->rank_load[found] += amount;
    at = found;
    for (int32_t p; (p = level->came_from[at]) >= 0; at = level->rank_of[p]) {
        walk->share[p] -= amount;
        walk->share[level->came_to[at]] += amount;
    }
}

static int64_t settle(struct sl_level *level, int32_t w)
{
    struct walk walk = walk_of(level, w);
    for (int32_t found; (found = find_room(level, &walk)) >= 0;)
        push(level, &walk, found);
    return walk.above;
}

double sl_level_settle(struct sl_level *level)
{
    double sum = 0;
    for (int32_t w = 0; w < level->problem.windows; w++)
        sum += (double)settle(level, w) / level->mean[w];
    return sum;
}

int64_t sl_level_least(struct sl_level *level, int32_t w)
{
    const int64_t *rank_load = level->rank_load + (ptrdiff_t)w * level->problem.ranks;
    const uint8_t *seen = level->seen + (ptrdiff_t)w * level->problem.ranks;
    int64_t cap = level->cap[w];
    level->cap[w] = level->least[w];
    /* What only the cut can serve, by its size, is a bound; it rises until it can be held. */
    while (settle(level, w) > 0) {
        int64_t only = 0, size = 0;
        for (int32_t r = 0; r < level->problem.ranks; r++) {
            only += seen[r] ? rank_load[r] : 0;
            size += seen[r];
        }
        /* Never so: some rank is above the cap. */
        if (size == 0)
            break;
        level->cap[w] = only / size + (only % size != 0);
    }
    int64_t found = level->cap[w];
    level->cap[w] = cap;
    return found;
}

double sl_level_bound(struct sl_level *level)
{
    double worst = 0;
    for (int32_t w = 0; w < level->problem.windows; w++) {
        int64_t least = sl_level_least(level, w);
        double bound = least > 0 ? (double)least / level->mean[w] : 1;
        worst = bound > worst ? bound : worst;
    }
    return worst;
}

void sl_level_save(struct sl_level *level)
{
    size_t shares = (size_t)level->problem.windows * (size_t)level->physical;
    size_t ranks = (size_t)level->problem.windows * (size_t)level->problem.ranks;
    memcpy(level->saved, level->share, shares * sizeof *level->saved);
    memcpy(level->saved + shares, level->rank_load, ranks * sizeof *level->saved);
}

void sl_level_back(struct sl_level *level)
{
    size_t shares = (size_t)level->problem.windows * (size_t)level->physical;
    size_t ranks = (size_t)level->problem.windows * (size_t)level->problem.ranks;
    memcpy(level->share, level->saved, shares * sizeof *level->saved);
    memcpy(level->rank_load, level->saved + shares, ranks * sizeof *level->saved);
}

bool sl_level_ended(struct sl_level *level)
{
    const struct sl_level_problem *problem = &level->problem;
    if (!level->stopped && problem->stop && problem->stop(problem->user))
        level->stopped = true;
    return level->stopped || (problem->work && level->work >= problem->work);
}
