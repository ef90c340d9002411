/* SPDX-License-Identifier: Apache-2.0
 * The objective COST. A rank's time is the greater of reading its active experts and computing its
 * rows (their sum with `add`), plus a token's way for each choice that comes or goes: two choices
 * of a token that go to one rank count twice, as quotas do not know tokens. */
#include <string.h>

#include "balance_work.h"
#include "mutant.h"

enum { MOST_MOVES = 64 };

static int64_t way(const struct sl_balance *balance, int32_t from, int32_t to)
{
    if (from < 0 || from == to)
        return 0;
    bool near = balance->leader[from] == balance->leader[to];
    return near ? balance->costs->near_ps : balance->costs->far_ps;
}

static int64_t time_of(const struct sl_balance_work *work, int32_t rank)
{
    const sluice_costs *costs = work->balance->costs;
    int64_t reads = work->experts[rank] * costs->expert_ps;
    int64_t computes = work->rows[rank] * costs->row_ps;
    int64_t both = reads > computes ? reads : computes;
    return (costs->add ? reads + computes : both) + work->traffic[rank];
}

static void add_way(struct sl_balance_work *work, int32_t source, int32_t to, int64_t units)
{
    int32_t from = work->balance->source[source];
    int64_t time = way(work->balance, from, to) * units;
    if (time == 0)
        return;
    work->traffic[from] += time;
    work->traffic[to] += time;
}

/* Adds what expert e costs each rank, or takes it away with sign -1. */
static void add_expert(struct sl_balance_work *work, int32_t e, int32_t sign)
{
    const struct sl_balance *balance = work->balance;
    int32_t begin = balance->start[e], end = balance->start[e + 1];
    if (work->load[e] == 0)
        return;
    for (int32_t c = begin; c < end; c++) {
        work->rows[work->holder[c]] += sign * work->share[c];
        work->experts[work->holder[c]] += work->share[c] > 0 ? sign : 0;
    }
    int32_t parts = sl_balance_split_expert(work, e);
    for (int32_t i = 0; i < parts; i++) {
        const struct sl_part *part = &work->parts[i];
        add_way(work, part->source, work->holder[begin + part->copy], sign * part->units);
    }
}

static void add_shared(struct sl_balance_work *work, bool experts)
{
    const struct sl_balance *balance = work->balance;
    int64_t *columns = work->base; /* of each rank */
    memset(columns, 0, (size_t)balance->ranks * sizeof *columns);
    int32_t parts = experts ? 0 : sl_balance_split_shared(work);
    for (int32_t i = 0; i < parts; i++) {
        const struct sl_part *part = &work->parts[i];
        columns[work->living[part->copy]] += part->units;
        add_way(work, part->source, work->living[part->copy], part->units);
    }
    for (int32_t s = 0; s < balance->sources && experts; s++) {
        int64_t tokens = balance->tokens[s * balance->token_stride];
        for (int32_t j = 0; j < balance->shared && tokens > 0; j++) {
            int32_t rank = sl_balance_server(work, s, j);
            columns[rank] += tokens;
            add_way(work, s, rank, tokens);
        }
    }
    for (int32_t r = 0; r < balance->ranks; r++) {
        int64_t some = columns[r] < balance->shared ? columns[r] : balance->shared;
        work->experts[r] += experts ? __builtin_popcount(work->serves[r]) : some;
        work->rows[r] += columns[r];
    }
}

/* The slowest rank, the lowest of several; and how many there are. */
static int32_t slowest(const struct sl_balance_work *work, int64_t *time, int32_t *count)
{
    int32_t rank = work->living[0];
    *time = -1;
    *count = 0;
    for (int32_t i = 0; i < work->living_count; i++) {
        int64_t own = time_of(work, work->living[i]);
        if (own > *time) {
            rank = work->living[i];
            *time = own;
            *count = 0;
        }
        *count += own == *time;
    }
    return rank;
}

static bool has_one_copy(const struct sl_balance *balance, int32_t e)
{
    return balance->start[e + 1] - balance->start[e] == 1;
}

/* What experts with one copy cost, whatever the answer is. */
static void add_fixed(struct sl_balance_work *work)
{
    const struct sl_balance *balance = work->balance;
    bool far = balance->costs->near_ps > 0 || balance->costs->far_ps > 0;
    for (int32_t e = 0; e < balance->experts; e++)
        if (has_one_copy(balance, e)) {
            work->rows[work->holder[balance->start[e]]] += work->load[e];
            work->experts[work->holder[balance->start[e]]] += work->active[e];
        }
    for (int32_t s = 0; s < balance->sources && far; s++)
        for (int32_t e = 0; e < balance->experts; e++)
            if (has_one_copy(balance, e))
                add_way(work, s, work->holder[balance->start[e]],
                        balance->counts[s * balance->stride + e]);
}

static int32_t count_up(struct sl_balance_work *work, bool experts, int64_t *time, int32_t *count)
{
    size_t bytes = (size_t)work->balance->ranks * sizeof(int64_t);
    memcpy(work->rows, work->fixed_rows, bytes);
    memcpy(work->experts, work->fixed_experts, bytes);
    memcpy(work->traffic, work->fixed_traffic, bytes);
    if (work->balance->shared)
        add_shared(work, experts);
    for (int32_t e = 0; e < work->balance->experts; e++)
        if (!has_one_copy(work->balance, e))
            add_expert(work, e, 1);
    return slowest(work, time, count);
}

struct move {
    int32_t expert, from, to; /* copies */
    int64_t units;
};

static void make(struct sl_balance_work *work, const struct move *move, int64_t units)
{
    add_expert(work, move->expert, -1);
    work->share[move->from] -= units;
    work->share[move->to] += units;
    add_expert(work, move->expert, 1);
}

/* How far the move brings the slowest down; the move is not made. */
static bool try_move(struct sl_balance_work *work, const struct move *move, int64_t *time,
                     int32_t *count)
{
    int64_t after;
    int32_t left;
    make(work, move, move->units);
    (void)slowest(work, &after, &left);
    make(work, move, -move->units);
    if (after > *time || (after == *time && left >= *count))
        return false;
    *time = after;
    *count = left;
    return true;
}

/* The move from expert e's copy `from` that helps most: all of it, or half of what the two ranks
 * differ by. */
static void try_expert(struct sl_balance_work *work, int32_t e, int32_t from, struct move *best,
                       int64_t *time, int32_t *count)
{
    const struct sl_balance *balance = work->balance;
    int64_t row = balance->costs->row_ps > 0 ? balance->costs->row_ps : 1;
    int64_t own = time_of(work, work->holder[from]);
    for (int32_t to = balance->start[e]; to < balance->start[e + 1]; to++) {
        if (work->holder[to] == work->holder[from])
            continue;
        int64_t half = (own - time_of(work, work->holder[to])) / row / 2;
        const int64_t amounts[2] = {work->share[from], half};
        for (int i = 0; i < 2; i++) {
            const struct move move = {e, from, to, amounts[i]};
            if (amounts[i] > 0 && amounts[i] <= work->share[from] &&
                try_move(work, &move, time, count))
                *best = move;
        }
    }
}

static bool step(struct sl_balance_work *work, int32_t *rank, int64_t *time, int32_t *count)
{
    const struct sl_balance *balance = work->balance;
    struct move best = {.units = 0};
    for (int32_t e = 0; e < balance->experts; e++)
        for (int32_t c = balance->start[e]; c < balance->start[e + 1]; c++)
            if (work->holder[c] == *rank && work->share[c] > 0)
                try_expert(work, e, c, &best, time, count);
    if (best.units == 0)
        return false;
    make(work, &best, best.units);
    *rank = slowest(work, time, count);
    return true;
}

int64_t sl_balance_improve(struct sl_balance_work *work, bool *experts)
{
    int32_t copies = work->balance->start[work->balance->experts], count, rank;
    int64_t time, by_rows;
    size_t bytes = (size_t)work->balance->ranks * sizeof(int64_t);
    memset(work->rows, 0, bytes);
    memset(work->experts, 0, bytes);
    memset(work->traffic, 0, bytes);
    add_fixed(work);
    memcpy(work->fixed_rows, work->rows, bytes);
    memcpy(work->fixed_experts, work->experts, bytes);
    memcpy(work->fixed_traffic, work->traffic, bytes);
    (void)count_up(work, false, &by_rows, &count);
    for (int32_t c = 0; c < copies; c++) {
        int64_t held = work->share[c];
        work->share[c] = work->other[c];
        work->other[c] = held;
    }
    (void)count_up(work, true, &time, &count);
    *experts = time < by_rows && !SL_MUTANT(balance_cost_by_rows);
    for (int32_t c = 0; c < copies && !*experts; c++)
        work->share[c] = work->other[c];
    rank = count_up(work, *experts, &time, &count);
    for (int32_t i = SL_MUTANT(balance_cost_by_rows) ? MOST_MOVES : 0;
         i < MOST_MOVES && step(work, &rank, &time, &count); i++)
        ;
    return time;
}

int64_t sl_balance_cost_bound(const struct sl_balance_work *work, int64_t rows, int64_t experts)
{
    const sluice_costs *costs = work->balance->costs;
    int64_t reads = experts * costs->expert_ps, computes = rows * costs->row_ps;
    return reads > computes ? reads : computes;
}
