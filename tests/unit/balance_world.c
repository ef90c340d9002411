#include "balance_world.h"

#include "ct.h"
#include "ct_sluice.h"
#include "place_world.h"

#include <string.h>

const sluice_balance_api *balance_api(void)
{
    return ct_api()->extension(SLUICE_EXT_BALANCE);
}

struct balance_world *balance_make(int32_t experts, int32_t slots, int32_t ranks, int32_t shared)
{
    struct balance_world *world = ct_alloc(sizeof *world);
    size_t physical = (size_t)(slots * ranks), all = (size_t)ranks;
    world->physical = slots * ranks;
    world->node = ct_alloc(all * sizeof *world->node);
    world->alive = ct_alloc(all);
    world->map = ct_alloc(physical * sizeof *world->map);
    world->counts = ct_alloc(all * (size_t)experts * sizeof *world->counts);
    world->tokens = ct_alloc(all * sizeof *world->tokens);
    world->routed = ct_alloc(all * physical * sizeof *world->routed);
    world->shared = ct_alloc(all * all * sizeof *world->shared);
    world->cut = ct_alloc(all);
    memset(world->alive, 1, all);
    for (int32_t p = 0; p < world->physical; p++)
        world->map[p] = p % experts;
    world->config.struct_size = sizeof world->config;
    world->costs.struct_size = sizeof world->costs;
    world->problem = (sluice_balance_problem){.struct_size = sizeof world->problem,
                                              .experts = experts,
                                              .slots_per_rank = slots,
                                              .ranks = ranks,
                                              .shared = shared,
                                              .node = world->node,
                                              .alive = world->alive,
                                              .map = world->map,
                                              .counts = world->counts,
                                              .tokens = shared ? world->tokens : NULL,
                                              .config = &world->config};
    world->answer = (sluice_balance_answer){.struct_size = sizeof world->answer,
                                            .sources = ranks,
                                            .routed = world->routed,
                                            .shared = world->shared,
                                            .cut = world->cut,
                                            .routed_count = ranks * world->physical,
                                            .shared_count = (int64_t)ranks * ranks,
                                            .cut_count = ranks};
    return world;
}

struct balance_world *balance_draw(uint64_t *random, int32_t ranks, int32_t slots, int32_t shared)
{
    ranks = 1 + draw_below(random, ranks);
    slots = 1 + draw_below(random, slots);
    int32_t physical = ranks * slots, experts = 1 + draw_below(random, physical);
    struct balance_world *world = balance_make(experts, slots, ranks, shared);
    struct world *place = world_make(experts, slots, ranks, 0, 0);
    world_shuffle(place, random);
    if (draw_below(random, 2))
        world_damage(place, random);
    memcpy(world->map, place->map, (size_t)physical * sizeof *world->map);
    memcpy(world->alive, place->alive, (size_t)ranks);
    memcpy(world->node, place->node, (size_t)ranks * sizeof *world->node);
    int32_t most = 1 + draw_below(random, 30);
    for (int32_t i = 0; i < ranks * experts; i++)
        world->counts[i] = draw_below(random, 3) ? draw_below(random, most) : 0;
    for (int32_t r = 0; r < ranks; r++)
        world->tokens[r] = draw_below(random, 4) ? draw_below(random, most) : 0;
    return world;
}

void balance_solve(struct balance_world *world)
{
    char text[300] = "";
    if (!ct_expect_eq_i64(balance_api()->solve(&world->problem, &world->answer, text, sizeof text),
                          SLUICE_OK))
        ct_record(__FILE__, __LINE__, text);
}

int64_t *balance_expert_load(const struct balance_world *world)
{
    const sluice_balance_problem *problem = &world->problem;
    int64_t *load = ct_alloc((size_t)problem->experts * sizeof *load);
    for (int32_t p = 0; p < world->physical; p++) {
        int32_t e = world->map[p];
        if (e < 0 || !world->alive[p / problem->slots_per_rank])
            continue;
        load[e] = 0;
        for (int32_t s = 0; s < problem->ranks; s++)
            load[e] += world->alive[s] ? world->counts[s * problem->experts + e] : 0;
    }
    return load;
}

int64_t balance_all_tokens(const struct balance_world *world)
{
    int64_t tokens = 0;
    for (int32_t r = 0; r < world->problem.ranks && world->problem.shared; r++)
        tokens += world->alive[r] ? world->tokens[r] : 0;
    return tokens;
}

/* ------------------------------------------------------------------------ who takes whose */

/* The definition: pass 0 own rank, 1 own node, 2 any. left [copies] on ranks `on`. */
static void take(const struct balance_world *world, int32_t copies, const int32_t *on,
                 int64_t *left, int64_t *need, int64_t *taken)
{
    int32_t ranks = world->problem.ranks;
    for (int pass = 0; pass < 3; pass++)
        for (int32_t s = 0; s < ranks; s++)
            for (int32_t c = 0; c < copies; c++) {
                bool may = pass == 0   ? on[c] == s
                           : pass == 1 ? world->node[on[c]] == world->node[s]
                                       : true;
                int64_t units = need[s] < left[c] ? need[s] : left[c];
                if (!may)
                    continue;
                taken[s * copies + c] += units;
                need[s] -= units;
                left[c] -= units;
            }
}

static void check_expert(const struct balance_world *world, int32_t e)
{
    const sluice_balance_problem *problem = &world->problem;
    int32_t ranks = problem->ranks, copies = 0;
    int32_t *on = ct_alloc((size_t)world->physical * sizeof *on);
    int32_t *which = ct_alloc((size_t)world->physical * sizeof *which);
    int64_t *left = ct_alloc((size_t)world->physical * sizeof *left);
    for (int32_t p = 0; p < world->physical; p++) {
        if (world->map[p] != e)
            continue;
        int32_t rank = p / problem->slots_per_rank;
        for (int32_t s = 0; s < ranks; s++)
            ct_true(world->routed[s * world->physical + p] >= 0 && world->alive[rank]
                        ? true
                        : world->routed[s * world->physical + p] == 0);
        if (!world->alive[rank])
            continue;
        for (int32_t s = 0; s < ranks; s++)
            left[copies] += world->routed[s * world->physical + p];
        on[copies] = rank;
        which[copies++] = p;
    }
    int64_t *need = ct_alloc((size_t)ranks * sizeof *need);
    int64_t *taken = ct_alloc((size_t)(ranks * (copies + 1)) * sizeof *taken);
    for (int32_t s = 0; s < ranks; s++)
        need[s] = copies && world->alive[s] ? world->counts[s * problem->experts + e] : 0;
    take(world, copies, on, left, need, taken);
    for (int32_t s = 0; s < ranks; s++) {
        ct_eq_i64(need[s], 0);
        for (int32_t c = 0; c < copies; c++)
            ct_eq_i64(world->routed[s * world->physical + which[c]], taken[s * copies + c]);
    }
    for (int32_t c = 0; c < copies; c++)
        ct_eq_i64(left[c], 0);
}

void balance_check(const struct balance_world *world)
{
    const sluice_balance_problem *problem = &world->problem;
    int32_t ranks = problem->ranks;
    for (int32_t e = 0; e < problem->experts && !ct_failed(); e++)
        check_expert(world, e);
    for (int32_t p = 0; p < world->physical; p++)
        for (int32_t s = 0; s < ranks && world->map[p] < 0; s++)
            ct_eq_i64(world->routed[s * world->physical + p], 0);
    for (int32_t s = 0; s < ranks; s++) {
        int64_t columns = 0;
        for (int32_t r = 0; r < ranks; r++) {
            int64_t to = world->shared[s * ranks + r];
            ct_true(to >= 0 && (to == 0 || world->alive[r]));
            columns += to;
        }
        ct_eq_i64(columns,
                  world->alive[s] && problem->shared ? problem->shared * world->tokens[s] : 0);
    }
}

/* ------------------------------------------------------------------------------- measures */

void balance_loads(const struct balance_world *world, int64_t *rows, int64_t *experts)
{
    int32_t ranks = world->problem.ranks, slots = world->problem.slots_per_rank;
    for (int32_t r = 0; r < ranks; r++) {
        int64_t all = 0, active = 0, columns = 0;
        for (int32_t s = 0; s < ranks; s++)
            columns += world->shared[s * ranks + r];
        for (int32_t p = r * slots; p < (r + 1) * slots; p++) {
            int64_t copy = 0;
            for (int32_t s = 0; s < ranks; s++)
                copy += world->routed[s * world->physical + p];
            all += copy;
            active += copy > 0;
        }
        if (rows)
            rows[r] = all + columns;
        if (experts)
            experts[r] = active + (columns > 0);
    }
}

void balance_check_cut(const struct balance_world *world, const int64_t *load, int64_t spread)
{
    const sluice_balance_problem *problem = &world->problem;
    int64_t only = 0, size = 0;
    bool whole = true;
    for (int32_t r = 0; r < problem->ranks; r++) {
        ct_true(!world->cut[r] || world->alive[r]);
        size += world->cut[r];
        whole = whole && (world->cut[r] || !world->alive[r]);
    }
    ct_true(size > 0);
    for (int32_t e = 0; e < problem->experts; e++) {
        bool inside = true;
        for (int32_t p = 0; p < world->physical; p++) {
            int32_t r = p / problem->slots_per_rank;
            inside = inside && (world->map[p] != e || !world->alive[r] || world->cut[r]);
        }
        only += inside ? load[e] : 0;
    }
    only += whole ? spread : 0;
    ct_eq_i64(world->answer.bound, (only + size - 1) / size);
}

static int64_t way(const struct balance_world *world, const sluice_costs *costs, int32_t a,
                   int32_t b)
{
    if (a == b)
        return 0;
    return world->node[a] == world->node[b] ? costs->near_ps : costs->far_ps;
}

int64_t balance_time(const struct balance_world *world, const sluice_costs *costs)
{
    int32_t ranks = world->problem.ranks, slots = world->problem.slots_per_rank;
    int64_t *rows = ct_alloc((size_t)ranks * sizeof *rows), slowest = 0;
    int64_t *experts = ct_alloc((size_t)ranks * sizeof *experts);
    int64_t *traffic = ct_alloc((size_t)ranks * sizeof *traffic);
    balance_loads(world, rows, experts);
    for (int32_t s = 0; s < ranks; s++)
        for (int32_t r = 0; r < ranks; r++) {
            int64_t units = world->shared[s * ranks + r];
            for (int32_t p = r * slots; p < (r + 1) * slots; p++)
                units += world->routed[s * world->physical + p];
            traffic[s] += units * way(world, costs, s, r);
            traffic[r] += units * way(world, costs, s, r);
        }
    for (int32_t r = 0; r < ranks; r++) {
        int64_t reads = experts[r] * costs->expert_ps, computes = rows[r] * costs->row_ps;
        int64_t time = costs->add ? reads + computes : reads > computes ? reads : computes;
        slowest = time + traffic[r] > slowest ? time + traffic[r] : slowest;
    }
    return slowest;
}
