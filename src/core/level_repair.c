/* SPDX-License-Identifier: Apache-2.0
 * Repair: step after step until the target holds, what turned out needless taken back, and where
 * the target cannot be reached, goals between it and what was. */
#include <string.h>

#include "level_state.h"

/* Other ways that are tried where the first does not lead to the target; measured: with seven all
 * but one of 24 of 580 layers get there. */
enum { AGAIN = 7 };

static struct sl_level_write *find(const struct sl_level *level, int32_t slot)
{
    for (int32_t i = 0; i < level->written; i++)
        if (level->write[i].slot == slot)
            return level->write + i;
    return NULL;
}

static void drop(struct sl_level *level, struct sl_level_write *write)
{
    int32_t at = (int32_t)(write - level->write);
    level->rank_written[level->rank_of[write->slot]]--;
    level->written--;
    memmove(write, write + 1, (size_t)(level->written - at) * sizeof *write);
}

/* Closes the gap where a group has no entry. */
static void number_groups(struct sl_level *level)
{
    int32_t last = -1, number = -1;
    for (int32_t i = 0; i < level->written; i++) {
        number += level->write[i].group != last;
        last = level->write[i].group;
        level->write[i].group = number;
    }
    level->groups = number + 1;
}

/* The map's slots join the list as a new group; a slot that was there already draws all groups
 * since then into its own. */
static void record(struct sl_level *level, const int32_t *slot, int32_t count)
{
    int32_t group = level->groups;
    for (int32_t i = 0; i < count; i++) {
        struct sl_level_write *known = find(level, slot[i]);
        if (known && known->group < group)
            group = known->group;
    }
    for (int32_t i = 0; i < level->written; i++)
        if (level->write[i].group > group)
            level->write[i].group = group;
    for (int32_t i = 0; i < count; i++) {
        struct sl_level_write *known = find(level, slot[i]);
        int32_t holds = level->map[slot[i]];
        if (!known) {
            known = level->write + level->written++;
            *known = (struct sl_level_write){slot[i], holds, group};
            level->rank_written[level->rank_of[slot[i]]]++;
        }
        known->expert = holds;
        if (holds == level->origin[slot[i]])
            drop(level, known);
    }
    number_groups(level);
}

/* The map as it is after the first `groups` groups, or as given; loads laid out anew. */
static void show(struct sl_level *level, int32_t groups)
{
    for (int32_t i = 0; i < level->written; i++)
        sl_level_unlink(level, level->write[i].slot);
    for (int32_t i = 0; i < level->written; i++) {
        const struct sl_level_write *write = level->write + i;
        sl_level_link(level, write->slot,
                      write->group < groups ? write->expert : level->origin[write->slot]);
    }
    sl_level_spread(level);
}

static int32_t count_missing(const struct sl_level *level)
{
    int32_t missing = 0;
    for (int32_t e = 0; e < level->problem.experts; e++)
        missing += level->copies[e] == 0;
    return missing;
}

/* bound[] of every group, and how many groups to keep: no expert is missing that need not be, the
 * bound is lowest, and there are no more than that takes. */
static int32_t judge(struct sl_level *level)
{
    int32_t best = 0, least = 0;
    for (int32_t g = 0; g <= level->groups; g++) {
        show(level, g);
        level->bound[g] = sl_level_bound(level);
        int32_t missing = count_missing(level);
        if (g == 0 || missing < least ||
            (missing == least && level->bound[g] < level->bound[best])) {
            best = g;
            least = missing;
        }
    }
    return best;
}

/* Forgets all groups but the first few. */
static void keep(struct sl_level *level, int32_t groups)
{
    show(level, groups);
    while (level->written > 0 && level->write[level->written - 1].group >= groups)
        drop(level, level->write + level->written - 1);
    level->groups = groups;
}

/* Steps until every window is under its cap: then true. */
static bool descend(struct sl_level *level)
{
    double excess = sl_level_settle(level);
    while (excess > 0 && !sl_level_ended(level)) {
        int32_t slot[2], count = sl_level_step(level, &excess, slot);
        if (count == 0)
            break;
        record(level, slot, count);
    }
    return excess <= 0;
}

/* The list as it was in `list`; groups that were drawn together since then part again. */
static void go_back(struct sl_level *level, const struct sl_level_write *list, int32_t written)
{
    show(level, 0);
    level->written = 0;
    memset(level->rank_written, 0, (size_t)level->problem.ranks * sizeof *level->rank_written);
    for (int32_t i = 0; i < written; i++) {
        level->write[level->written++] = list[i];
        level->rank_written[level->rank_of[list[i].slot]]++;
    }
    number_groups(level);
    show(level, level->groups);
}

/* Is every map on the way as whole as the one before it, none with a second copy on a rank that a
 * group put there, and the last under the caps? */
static bool holds(struct sl_level *level)
{
    int32_t missing = level->problem.experts;
    for (int32_t g = 0; g <= level->groups; g++) {
        show(level, g);
        int32_t now = count_missing(level);
        if (now > missing)
            return false;
        missing = now;
    }
    for (int32_t i = 0; i < level->written; i++) {
        int32_t slot = level->write[i].slot, copies = 0;
        for (int32_t p = level->first[level->map[slot]]; p >= 0; p = level->next[p])
            copies += level->rank_of[p] == level->rank_of[slot];
        if (copies > 1)
            return false;
    }
    return sl_level_settle(level) <= 0;
}

/* Takes back what the steps after it made needless. */
static void prune(struct sl_level *level)
{
    for (int32_t g = 0; g < level->groups && level->groups > 1;) {
        int32_t written = level->written, missing = count_missing(level);
        memcpy(level->kept, level->write, (size_t)written * sizeof *level->kept);
        show(level, 0);
        for (int32_t i = written - 1; i >= 0; i--)
            if (level->write[i].group == g)
                drop(level, level->write + i);
        number_groups(level);
        if (holds(level) && count_missing(level) <= missing)
            continue;
        go_back(level, level->kept, written);
        g++;
    }
}

/* Experts without a copy get one, the hottest first. */
static void restore(struct sl_level *level)
{
    for (;;) {
        int32_t best = -1;
        double most = -1;
        for (int32_t e = 0; e < level->problem.experts; e++) {
            double load = 0;
            for (int32_t w = 0; w < level->problem.windows; w++)
                load += (double)level->problem.load[(ptrdiff_t)w * level->problem.experts + e] /
                        level->mean[w];
            if (level->copies[e] == 0 && load > most) {
                best = e;
                most = load;
            }
        }
        int32_t slot = best < 0 ? -1 : sl_level_restore(level, best);
        if (slot < 0)
            return;
        record(level, &slot, 1);
    }
}

/* The target is out of reach: goals on the way to it, each from the best that there is, nearer and
 * nearer to what that has. */
static void approach(struct sl_level *level, const int64_t *goal)
{
    for (int32_t part = 2; part <= 16 && !sl_level_ended(level);) {
        bool more = false;
        double before = sl_level_bound(level);
        int32_t written = level->written;
        memcpy(level->kept, level->write, (size_t)written * sizeof *level->kept);
        for (int32_t w = 0; w < level->problem.windows; w++) {
            int64_t least = sl_level_least(level, w), gap = least - goal[w];
            more = more || gap > 0;
            level->cap[w] = gap > 0 ? least - (gap + part - 1) / part : goal[w];
        }
        if (!more)
            return;
        sl_level_spread(level);
        (void)descend(level);
        keep(level, judge(level));
        if (level->bound[level->groups] < before)
            continue;
        go_back(level, level->kept, written);
        part *= 2;
    }
}

static void set_caps(struct sl_level *level, const int64_t *cap)
{
    memcpy(level->cap, cap, (size_t)level->problem.windows * sizeof *cap);
    sl_level_spread(level);
}

/* Steps from the start, under caps a little below the target, fifth after fifth of what there is
 * between it and the mean; from the fifth time on after steps to looser caps, so that the way is
 * another. */
static void start_again(struct sl_level *level, const int64_t *target, int32_t time)
{
    int64_t cap[SL_LEVEL_WINDOWS];
    go_back(level, NULL, 0);
    restore(level);
    for (int32_t w = 0; w < level->problem.windows && time >= 4; w++)
        cap[w] = target[w] + target[w] / (4 << (time - 4));
    if (time >= 4) {
        set_caps(level, cap);
        (void)descend(level);
    }
    for (int32_t w = 0; w < level->problem.windows; w++)
        cap[w] = target[w] - (target[w] - level->least[w]) / 5 * (time % 4 + 1);
    set_caps(level, cap);
    (void)descend(level);
    set_caps(level, target);
    keep(level, judge(level));
}

/* No step helps any more, and yet a map may exist: other ways there, until one arrives. The best of
 * all is kept. */
static bool try_again(struct sl_level *level, const int64_t *target)
{
    for (int32_t time = 0; time < AGAIN && !sl_level_ended(level); time++) {
        double best = sl_level_bound(level);
        int32_t written = level->written, missing = count_missing(level);
        memcpy(level->best, level->write, (size_t)written * sizeof *level->best);
        start_again(level, target, time);
        double now = sl_level_bound(level);
        if (count_missing(level) > missing || now >= best)
            go_back(level, level->best, written);
        else if (sl_level_settle(level) <= 0)
            return true;
    }
    return false;
}

void sl_level_repair(struct sl_level *level)
{
    int64_t target[SL_LEVEL_WINDOWS], goal[SL_LEVEL_WINDOWS] = {0};
    restore(level);
    memcpy(target, level->cap, sizeof target);
    bool reached = descend(level), possible = true;
    if (!reached && !sl_level_ended(level)) {
        keep(level, judge(level));
        for (int32_t w = 0; w < level->problem.windows; w++) {
            int64_t floor = sl_level_floor(level, w);
            goal[w] = target[w] > floor ? target[w] : floor;
            possible = possible && floor <= target[w];
        }
        approach(level, goal);
        set_caps(level, target);
        reached = sl_level_settle(level) <= 0;
        if (!reached && possible && level->problem.target > 1)
            reached = try_again(level, target);
    }
    if (reached)
        prune(level);
    keep(level, judge(level));
}
