/* SPDX-License-Identifier: Apache-2.0
 * What no map can better. An expert with load l on c ranks: they have c * (N - 1) other slots. A
 * copy there that is not its expert's last takes one of the P - E copies to spare, of which the
 * expert itself takes c - 1; so at least m = c * (N - 1) - (P - E - (c - 1)) other experts live on
 * these ranks alone, and l + (the m smallest loads) <= c * z. So each expert needs some least c for
 * a level z, and all of them together at most P copies. */
#include "level.h"

struct floor {
    const int64_t *load;  /* [E] */
    const int64_t *small; /* [E] ascending */
    int32_t experts, ranks, slots, spare;
};

/* Shell's sort: no memory, and short. */
static void sort(int64_t *values, int32_t count)
{
    for (int32_t gap = count / 2; gap > 0; gap = gap > 2 ? gap * 5 / 11 : gap / 2)
        for (int32_t i = gap; i < count; i++) {
            int64_t value = values[i];
            int32_t j = i;
            for (; j >= gap && values[j - gap] > value; j -= gap)
                values[j] = values[j - gap];
            values[j] = value;
        }
}

/* The m smallest loads but the expert's own, or more than `most`. */
static int64_t smallest(const struct floor *floor, int64_t own, int32_t m, int64_t most)
{
    int64_t sum = 0;
    bool skipped = false;
    for (int32_t i = 0; i < floor->experts && m > 0 && sum <= most; i++) {
        if (!skipped && floor->small[i] == own) {
            skipped = true;
            continue;
        }
        sum += floor->small[i];
        m--;
    }
    return sum;
}

/* Least ranks for the expert at level z > 0, or more than there are. */
static int32_t ranks_for(const struct floor *floor, int32_t expert, int64_t z)
{
    int64_t load = floor->load[expert], least = load > z ? (load - 1) / z + 1 : 1;
    int32_t most = floor->spare + 1 < floor->ranks ? floor->spare + 1 : floor->ranks;
    for (int64_t c = least; c <= most; c++) {
        int32_t m = (int32_t)c * (floor->slots - 1) - (floor->spare - ((int32_t)c - 1));
        int64_t room = c * z - load;
        if (smallest(floor, load, m, room) <= room)
            return (int32_t)c;
    }
    return floor->ranks + 1;
}

static bool may_hold(const struct floor *floor, int64_t z)
{
    int64_t spare = floor->spare;
    for (int32_t e = 0; e < floor->experts; e++) {
        int32_t ranks = ranks_for(floor, e, z);
        spare -= ranks - 1;
        if (ranks > floor->ranks || spare < 0)
            return false;
    }
    return true;
}

int64_t sl_level_floor(struct sl_level *level, int32_t w)
{
    const struct sl_level_problem *problem = &level->problem;
    struct floor floor = {.load = problem->load + (ptrdiff_t)w * problem->experts,
                          .small = level->saved,
                          .experts = problem->experts,
                          .ranks = problem->ranks,
                          .slots = problem->slots,
                          .spare = level->physical - problem->experts};
    int64_t low = level->least[w], high = low;
    for (int32_t e = 0; e < problem->experts; e++) {
        level->saved[e] = floor.load[e];
        high += floor.load[e];
    }
    sort(level->saved, problem->experts);
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (may_hold(&floor, middle))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
