/* SPDX-License-Identifier: Apache-2.0
 * Which rank of a new map is which rank that is there, so that little is moved. */
#include <string.h>

#include "level.h"
#include "mutant.h"

/* Rounds of looking at every pair of ranks; each either gains or is the last. */
enum { ROUNDS = 16 };

struct match {
    int32_t *common; /* [ranks * ranks] experts that new rank a and present rank b share */
    int32_t *here;   /* [ranks] present rank of each new one; -1: none yet */
    int32_t *taken;  /* [ranks] 1: the present rank has a new one */
    int32_t *map;    /* [slots * ranks] */
};

size_t sl_level_match_bytes(int32_t ranks, int32_t slots)
{
    size_t all = (size_t)ranks;
    return (all * all + 2 * all + all * (size_t)slots) * sizeof(int32_t);
}

static struct match lay_out(int32_t ranks, int32_t *memory)
{
    size_t all = (size_t)ranks;
    return (struct match){memory, memory + all * all, memory + all * all + all,
                          memory + all * all + 2 * all};
}

static int32_t count_common(int32_t slots, const int32_t *a, const int32_t *b)
{
    int32_t count = 0;
    for (int32_t i = 0; i < slots; i++)
        for (int32_t j = 0; j < slots && a[i] >= 0; j++)
            if (a[i] == b[j]) {
                count++;
                break;
            }
    return count;
}

/* The pairs that share most first, then pairs of pairs change partners while that gains. */
static void pair(struct match *match, int32_t ranks, int32_t slots)
{
    for (int32_t want = slots; want >= 0; want--)
        for (int32_t a = 0; a < ranks; a++)
            for (int32_t b = 0; b < ranks && match->here[a] < 0; b++)
                if (!match->taken[b] && match->common[a * ranks + b] >= want) {
                    match->here[a] = b;
                    match->taken[b] = 1;
                }
    bool gained = true;
    for (int32_t round = 0; round < ROUNDS && gained; round++) {
        gained = false;
        for (int32_t a = 0; a < ranks; a++)
            for (int32_t b = 0; b < a; b++) {
                const int32_t *x = match->common + (ptrdiff_t)a * ranks;
                const int32_t *y = match->common + (ptrdiff_t)b * ranks;
                int32_t at = match->here[a], other = match->here[b];
                if (x[other] + y[at] <= x[at] + y[other])
                    continue;
                match->here[a] = other;
                match->here[b] = at;
                gained = true;
            }
    }
}

/* One rank's slots: what lies there already stays in its slot. */
static void order_slots(int32_t slots, const int32_t *present, const int32_t *wanted, int32_t *to)
{
    for (int32_t i = 0; i < slots; i++)
        to[i] = -1;
    for (int32_t pass = 0; pass < 2; pass++) {
        for (int32_t i = 0; i < slots; i++) {
            int32_t at = -1;
            for (int32_t j = 0; j < slots && wanted[i] >= 0; j++) {
                if (to[j] == wanted[i] && !SL_MUTANT(plan_twice_on_a_rank)) {
                    at = -1;
                    break;
                }
                if (to[j] < 0 && at < 0 && (pass == 1 || present[j] == wanted[i]))
                    at = j;
            }
            if (at >= 0)
                to[at] = wanted[i];
        }
    }
}

void sl_level_match(int32_t ranks, int32_t slots, const int32_t *present, int32_t *map,
                    void *scratch)
{
    struct match match = lay_out(ranks, scratch);
    size_t physical = (size_t)slots * (size_t)ranks;
    for (int32_t a = 0; a < ranks; a++)
        for (int32_t b = 0; b < ranks; b++)
            match.common[(ptrdiff_t)a * ranks + b] =
                count_common(slots, map + (ptrdiff_t)a * slots, present + (ptrdiff_t)b * slots);
    memset(match.taken, 0, (size_t)ranks * sizeof *match.taken);
    for (int32_t a = 0; a < ranks; a++)
        match.here[a] = -1;
    pair(&match, ranks, slots);
    memcpy(match.map, map, physical * sizeof *map);
    for (int32_t a = 0; a < ranks; a++)
        order_slots(slots, present + (ptrdiff_t)match.here[a] * slots,
                    match.map + (ptrdiff_t)a * slots, map + (ptrdiff_t)match.here[a] * slots);
}
