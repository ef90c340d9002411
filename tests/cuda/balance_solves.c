/* SPDX-License-Identifier: Apache-2.0
 * The solver's kernel on whatever libcuda.so.1 is there, against sl_balance_solve: every quota of
 * one rank, the wholes and the shared columns must be equal. Random problems; with `peer` also what
 * the stand-in counts for the problem that SGLang's LPLBSolver is measured on (16 ranks, 16 experts
 * with two copies) and larger ones, against the promised limit.
 *     balance_solves CASES [SEED] [peer] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../cuda/kernels/balance_job.h"
#include "../../src/core/place.h"
#include "../../src/core/sl_balance.h"
#include "kernel_kit.h"

enum { LONGEST = 30000 };

/* ------------------------------------------------------------------------------- the problem */

struct problem {
    struct sl_balance balance;
    struct slc_balance job;
    sluice_costs costs;
    int32_t *map, *start, *copies, *living, *source, *leader, *node;
    uint8_t *alive;
    int64_t *counts;
    int32_t living_count, own; /* own: this rank's place among the sources */
    int32_t kind;              /* 0: all sources; 1: this rank alone; 2: of no rank */
};

static void free_problem(struct problem *p)
{
    free(p->map), free(p->start), free(p->copies), free(p->living), free(p->source);
    free(p->leader), free(p->node), free(p->alive), free(p->counts);
}

static void place_experts(struct problem *p, int32_t experts, int32_t spread)
{
    int32_t physical = p->balance.slots * p->balance.ranks;
    for (int32_t i = 0; i < physical; i++)
        p->map[i] = i < experts ? i : below(20) ? below(spread) % experts : -1;
    for (int32_t i = physical - 1; i > 0; i--) {
        int32_t j = below(i + 1), kept = p->map[i];
        p->map[i] = p->map[j];
        p->map[j] = kept;
    }
}

static sluice_costs draw_costs(void)
{
    static const int32_t MOST[] = {1, 10, 1000, 1000000};
    sluice_costs costs = {.struct_size = sizeof costs, .add = below(2)};
    costs.expert_ps = below(MOST[below(4)]) * (int64_t)(1 + below(100));
    costs.row_ps = below(MOST[below(4)]);
    costs.near_ps = below(3) ? below(MOST[below(4)]) : 0;
    costs.far_ps = below(3) ? below(MOST[below(4)]) : costs.near_ps;
    return costs;
}

static struct problem draw(int32_t ranks, int32_t slots, int32_t experts, int32_t most)
{
    struct problem p = {.balance = {.experts = experts, .slots = slots, .ranks = ranks}};
    size_t w = (size_t)ranks, physical = (size_t)(ranks * slots);
    int32_t living = 0, died = below(3) ? 0 : below(ranks);
    p.map = room(physical * 4), p.start = room(((size_t)experts + 2) * 4);
    p.copies = room((physical + 1) * 4), p.living = room(w * 4), p.source = room(w * 4);
    p.leader = room(w * 4), p.node = room(w * 4), p.alive = room(w);
    int32_t a_node = 1 + below(ranks);
    for (int32_t r = 0; r < ranks; r++) {
        p.alive[r] = r == 0 || r >= ranks - below(ranks) || below(ranks) >= died;
        p.node[r] = below(3) ? r / a_node : below(4);
        if (p.alive[r])
            p.living[living++] = r;
    }
    place_experts(&p, experts, 1 + below(experts));
    struct sl_shape shape = {
        .experts = experts, .slots = slots, .ranks = ranks, .physical = ranks * slots};
    sl_place_list(&shape, p.map, p.alive, p.start, p.copies);
    sl_balance_leaders(ranks, p.node, p.leader);
    p.kind = below(4) ? 0 : 1 + below(2);
    p.balance.alive = p.alive, p.balance.leader = p.leader;
    p.balance.start = p.start, p.balance.copies = p.copies;
    p.balance.shared = below(2) ? 0 : 1 + below(4);
    p.balance.level = below(3) > 0;
    p.balance.objective = below(3) ? below(3) : SLUICE_BALANCE_COST;
    p.costs = draw_costs();
    p.balance.sources = p.kind ? 1 : living;
    int32_t own = below(living);
    for (int32_t i = 0; i < living; i++)
        p.source[i] = p.kind == 0 ? p.living[i] : p.kind == 1 ? p.living[own] : -1;
    p.balance.source = p.source;
    p.counts = room(w * ((size_t)experts + 1) * 8);
    for (int64_t i = 0; i < (int64_t)living * (experts + 1); i++)
        p.counts[i] = below(3) ? below(below(10) ? most : 4 * most) : 0;
    p.balance.counts = p.counts, p.balance.tokens = p.counts + experts;
    p.balance.stride = p.balance.token_stride = experts + 1;
    bool nodes = false;
    for (int32_t r = 0; r < ranks; r++)
        nodes = nodes || p.leader[r] != p.leader[0];
    p.living_count = living;
    p.own = p.kind ? 0 : own;
    p.job = (struct slc_balance){.entries = experts,
                                 .slots = slots,
                                 .ranks = ranks,
                                 .physical = ranks * slots,
                                 .rank = p.kind == 2 ? -1 : p.living[own],
                                 .alone = p.kind != 0,
                                 .nodes = nodes && p.kind != 2,
                                 .shared = p.balance.shared,
                                 .level = p.balance.level,
                                 .objective = p.balance.objective,
                                 .costs = {p.costs.expert_ps, p.costs.row_ps, p.costs.near_ps,
                                           p.costs.far_ps, p.costs.add, 0}};
    return p;
}

/* ------------------------------------------------------------------------------ both answers */

struct answer {
    int64_t *quota, *whole, *columns;
    int32_t column[SL_MAX_SHARED];
};

static struct answer reference(const struct problem *p)
{
    size_t physical = (size_t)(p->balance.slots * p->balance.ranks);
    struct answer a = {
        room(physical * 8), room(physical * 8), room((size_t)p->balance.ranks * 8), {0}};
    int64_t *routed = room(physical * 8), *whole = room(physical * 8);
    int32_t copies = p->start[p->balance.experts];
    void *scratch = room(sl_balance_bytes(p->balance.experts, p->balance.ranks, copies));
    struct sl_quotas quotas = {.first = p->own,
                               .count = 1,
                               .routed = routed,
                               .shared = a.columns,
                               .column = a.column,
                               .whole = whole};
    struct sl_balance balance = p->balance;
    balance.costs = &p->costs;
    sl_balance_solve(&balance, &quotas, scratch);
    for (int32_t c = 0; c < copies; c++) {
        a.quota[c] = routed[p->copies[c]];
        a.whole[c] = whole[p->copies[c]];
    }
    free(routed), free(whole), free(scratch);
    return a;
}

static struct answer of_device(const struct problem *p)
{
    struct slc_balance job = p->job;
    size_t w = (size_t)job.ranks, physical = (size_t)job.physical;
    int64_t bytes = slc_balance_bytes(job.entries, job.ranks, job.physical);
    bool small = bytes <= 40 * 1024 && below(4) > 0;
    job.start = there(p->start, ((size_t)job.entries + 2) * 4);
    job.copies = there(p->copies, (physical + 1) * 4);
    int32_t *listed = room((w + 1) * 4);
    listed[0] = p->living_count;
    memcpy(listed + 1, p->living, w * 4);
    job.living = there(listed, (w + 1) * 4);
    free(listed);
    job.leader = there(p->leader, w * 4);
    job.counts =
        (struct sl_ids){there(p->counts, w * ((size_t)job.entries + 1) * 8), job.entries + 1, 1};
    job.quota = there(NULL, physical * 8), job.whole = there(NULL, physical * 8);
    job.columns = there(NULL, w * 8), job.column = there(NULL, sizeof(int32_t) * SL_MAX_SHARED);
    job.scratch = small ? NULL : there(NULL, (size_t)bytes);
    job.cost_scratch = there(NULL, (size_t)slc_cost_bytes(job.ranks));
    bool cost = job.objective == SLUICE_BALANCE_COST;
    struct slc_balance_pass pass = {.balance = job};
    pass.call.own = there(NULL, ((size_t)job.entries + 1) * 4);
    pass.call.call = there(NULL, physical * 4);
    pass.call.line = there(NULL, w * 8);
    kernel_run(cost ? SLC_K_cost_solve : SLC_K_balance_solve, 1, SLC_BALANCE_WARPS,
               small ? (size_t)bytes : 0, &pass);
    struct answer a = {back(job.quota, physical * 8),
                       back(job.whole, physical * 8),
                       back(job.columns, w * 8),
                       {0}};
    int32_t *column = back(job.column, sizeof a.column);
    memcpy(a.column, column, sizeof a.column);
    free(column);
    drop(job.start), drop(job.copies), drop(job.living), drop(job.leader), drop(job.counts.data);
    drop(job.cost_scratch);
    if (!small)
        drop(job.scratch);
    return a;
}

static bool equal(const struct problem *p, const char *what, const int64_t *is, const int64_t *be,
                  int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        if (is[i] != be[i]) {
            printf(
                "not ok: %s[%d] is %lld, must be %lld: W %d N %d E %d F %d level %d objective %d "
                "sources %d kind %d nodes %d\n",
                what, i, (long long)is[i], (long long)be[i], p->job.ranks, p->job.slots,
                p->job.entries, p->job.shared, p->job.level, p->job.objective, p->balance.sources,
                p->kind, p->job.nodes);
            return false;
        }
    return true;
}

static bool agrees(const struct problem *p)
{
    struct answer be = reference(p), is = of_device(p);
    int32_t copies = p->start[p->job.entries];
    bool columns = p->job.level && p->job.shared > 0;
    bool same = equal(p, "quota", is.quota, be.quota, copies) &&
                equal(p, "whole", is.whole, be.whole, copies);
    bool any = is.column[0] == -1; /* TOKENS' columns */
    if (same && columns && p->job.objective != SLUICE_BALANCE_TOKENS) {
        int64_t first = any, must = be.column[0] == -1;
        same = equal(p, "kind of column", &first, &must, 1);
    }
    if (same && columns && any && p->job.objective != SLUICE_BALANCE_EXPERTS)
        same = equal(p, "columns", is.columns, be.columns, p->job.ranks);
    bool rows = p->counts[(int64_t)p->own * (p->job.entries + 1) + p->job.entries] > 0;
    for (int32_t j = 0; j < p->job.shared && same && columns && rows && !any; j++) {
        int64_t to = is.column[j], must = be.column[j];
        same = equal(p, "column", &to, &must, 1);
    }
    free(be.quota), free(be.whole), free(be.columns);
    free(is.quota), free(is.whole), free(is.columns);
    return same;
}

/* ---------------------------------------------------------------------------------- counting */

/* Warp instructions of the longest warp, from the stand-in; 0: another driver. */
static uint64_t longest_of(const struct problem *p)
{
    struct standin_counters counters;
    kernel_counters_reset();
    struct answer a = of_device(p);
    free(a.quota), free(a.whole), free(a.columns);
    if (!kernel_counters(&counters))
        return 0;
    printf("W %d, N %d, E %d, F %d, objective %d: %llu warp instructions, longest warp %llu\n",
           p->job.ranks, p->job.slots, p->job.entries, p->job.shared, p->job.objective,
           (unsigned long long)counters.warp_instructions,
           (unsigned long long)counters.longest_warp);
    return counters.longest_warp;
}

/* The first `more` experts have a second copy each. */
static struct problem peer(int32_t ranks, int32_t experts, int32_t more)
{
    int32_t slots = (experts + more) / ranks;
    struct problem p;
    for (;;) {
        p = draw(ranks, slots, experts, 200);
        if (p.kind == 0 && p.living_count == ranks && p.job.objective == 0)
            break;
        free_problem(&p);
    }
    for (int32_t i = 0; i < experts + more; i++)
        p.map[i] = i < experts ? i : i - experts;
    for (int32_t i = experts + more - 1; i > 0; i--) {
        int32_t j = below(i + 1), kept = p.map[i];
        p.map[i] = p.map[j];
        p.map[j] = kept;
    }
    struct sl_shape shape = {
        .experts = experts, .slots = slots, .ranks = ranks, .physical = ranks * slots};
    sl_place_list(&shape, p.map, p.alive, p.start, p.copies);
    return p;
}

int main(int argc, char **argv)
{
    int32_t cases = argc > 1 ? atoi(argv[1]) : 100, passed = 0, failed = 0;
    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    kernel_begin();
    for (int32_t i = 0; i < cases && failed < 5; i++) {
        static const int32_t RANKS[] = {2, 4, 8, 16, 33, 72, 144, 320, 1024};
        int32_t ranks = i % 64 == 63 ? RANKS[below(9)] : 1 + below(i % 8 == 7 ? 40 : 9);
        int32_t slots = 1 + below(ranks > 300 ? 3 : ranks > 40 ? 8 : 20);
        int32_t experts = 1 + below(ranks * slots < 4096 ? ranks * slots : 4096);
        struct problem p = draw(ranks, slots, experts, 1 + below(below(9) ? 60 : 1 << 28));
        bool same = agrees(&p);
        passed += same;
        failed += !same;
        free_problem(&p);
    }
    for (int32_t i = 0; i < 8 && argc > 3; i++) {
        struct problem p = peer(i < 4 ? 16 : 32, 256, i < 4 ? 16 : 32);
        uint64_t longest = longest_of(&p);
        if (longest > LONGEST && i < 4) {
            printf("not ok: the longest warp has more than %d instructions\n", LONGEST);
            failed++;
        }
        passed += longest <= LONGEST || i >= 4;
        free_problem(&p);
    }
    kernel_end();
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
