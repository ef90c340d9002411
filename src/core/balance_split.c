/* SPDX-License-Identifier: Apache-2.0
 * Who takes whose: own rank, own node, rising rank. */
#include "balance_work.h"

#include "mutant.h"

static void give(struct sl_balance_work *work, int32_t source, int32_t copy, int32_t *parts)
{
    int64_t units = work->need[source] < work->left[copy] ? work->need[source] : work->left[copy];
    if (units == 0)
        return;
    work->parts[(*parts)++] = (struct sl_part){source, copy, units};
    work->need[source] -= units;
    work->left[copy] -= units;
}

static void give_at_home(struct sl_balance_work *work, int32_t count, const int32_t *holder,
                         int32_t *parts)
{
    for (int32_t c = 0; c < count; c++)
        if (work->source_of[holder[c]] >= 0)
            give(work, work->source_of[holder[c]], c, parts);
}

/* The cursor of a node is the first copy that may still have something for it. */
static void give_in_node(struct sl_balance_work *work, int32_t count, const int32_t *holder,
                         int32_t *parts)
{
    const struct sl_balance *balance = work->balance;
    for (int32_t r = 0; r < balance->ranks; r++)
        work->cursor[r] = 0;
    for (int32_t s = 0; s < balance->sources; s++) {
        if (work->need[s] == 0)
            continue;
        int32_t leader = balance->leader[balance->source[s]], *next = &work->cursor[leader];
        for (; *next < count; ++*next) {
            if (balance->leader[holder[*next]] == leader)
                give(work, s, *next, parts);
            if (work->need[s] == 0)
                break;
        }
    }
}

int32_t sl_balance_split(struct sl_balance_work *work, int32_t count, const int32_t *holder)
{
    int32_t parts = 0, next = 0;
    if (!SL_MUTANT(balance_far_first))
        give_at_home(work, count, holder, &parts);
    if (work->nodes && !SL_MUTANT(balance_node_ignored))
        give_in_node(work, count, holder, &parts);
    for (int32_t s = 0; s < work->balance->sources; s++) {
        for (; next < count && work->need[s]; next++) {
            give(work, s, next, &parts);
            if (work->need[s] == 0)
                break;
        }
    }
    return parts;
}

int32_t sl_balance_split_expert(struct sl_balance_work *work, int32_t e)
{
    const struct sl_balance *balance = work->balance;
    int32_t begin = balance->start[e], count = balance->start[e + 1] - begin;
    for (int32_t s = 0; s < balance->sources; s++)
        work->need[s] = balance->counts[s * balance->stride + e];
    for (int32_t c = 0; c < count; c++)
        work->left[c] = work->share[begin + c];
    return sl_balance_split(work, count, work->holder + begin);
}

/* ---------------------------------------------------------------------------- shared columns */

int32_t sl_balance_split_shared(struct sl_balance_work *work)
{
    const struct sl_balance *balance = work->balance;
    for (int32_t s = 0; s < balance->sources; s++)
        work->need[s] = balance->tokens[s * balance->token_stride] * balance->shared;
    for (int32_t i = 0; i < work->living_count; i++)
        work->left[i] = work->room[i];
    return sl_balance_split(work, work->living_count, work->living);
}

/* One more column of those that nobody serves, else the lowest that the rank does not. */
static uint8_t one_more(uint8_t serves, uint8_t covered, uint8_t all)
{
    uint8_t fresh = (uint8_t)(all & ~covered), own = (uint8_t)(all & ~serves);
    uint8_t from = fresh ? fresh : own;
    return (uint8_t)(serves | (from & -from));
}

void sl_balance_serve_shared(struct sl_balance_work *work)
{
    const struct sl_balance *balance = work->balance;
    uint8_t all = (uint8_t)((1U << balance->shared) - 1), covered = 0;
    for (int32_t r = 0; r < balance->ranks; r++)
        work->serves[r] = 0;
    /* ranks that have tokens of their own first, then any that have room */
    for (int pass = 0; pass < 2; pass++)
        for (int32_t i = 0; i < work->living_count; i++) {
            int32_t rank = work->living[i], s = work->source_of[rank];
            bool home = s >= 0 && balance->tokens[s * balance->token_stride] > 0;
            uint8_t *serves = &work->serves[rank];
            while (work->room[i] > 0 && *serves != all && (pass == 0 ? home : covered != all)) {
                *serves = one_more(*serves, covered, all);
                covered |= *serves;
                work->room[i]--;
            }
        }
}

int32_t sl_balance_server(const struct sl_balance_work *work, int32_t source, int32_t j)
{
    const struct sl_balance *balance = work->balance;
    int32_t home = balance->source[source], any = -1, near = -1;
    if (home >= 0 && work->serves[home] >> j & 1)
        return home;
    for (int32_t i = work->living_count - 1; i >= 0; i--) {
        int32_t rank = work->living[i];
        if (!(work->serves[rank] >> j & 1))
            continue;
        any = rank;
        if (home >= 0 && balance->leader[rank] == balance->leader[home])
            near = rank;
    }
    return near >= 0 ? near : any;
}
