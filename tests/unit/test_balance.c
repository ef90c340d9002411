#include "balance_world.h"
#include "ct.h"
#include "ct_fail.h"
#include "place_world.h"
#include "src/core/sl_balance.h"

#include <stdio.h>
#include <string.h>

CT(balance, by_hand, "a hot expert's copies and the shared expert level three ranks together")
{
    struct balance_world *world = balance_make(3, 2, 3, 1);
    memcpy(world->map, (int32_t[]){0, 1, 0, 2, 2, -1}, 6 * sizeof(int32_t));
    memcpy(world->counts, (int64_t[]){6, 2, 0, 2, 1, 3, 2, 0, 2}, 9 * sizeof(int64_t));
    memcpy(world->tokens, (int64_t[]){4, 3, 2}, 3 * sizeof(int64_t));
    balance_solve(world);
    balance_check(world);
    int64_t rows[3];
    balance_loads(world, rows, NULL);
    ct_eq_mem(rows, ((int64_t[]){9, 9, 9}), sizeof rows);
    ct_eq_i64(world->answer.greatest, 9);
    ct_eq_i64(world->answer.bound, 9);
    ct_eq_i64(world->answer.epoch, 0);
    ct_eq_i64(world->answer.step, 0);
}

CT(balance, near_first, "own rank's quotas first, then the node's, then in rising rank")
{
    struct balance_world *world = balance_make(1, 1, 4, 0);
    memset(world->map, 0, 4 * sizeof(int32_t));
    memcpy(world->node, (int32_t[]){0, 0, 9, 9}, 4 * sizeof(int32_t));
    memcpy(world->counts, (int64_t[]){10, 1, 5, 4}, 4 * sizeof(int64_t));
    balance_solve(world);
    /* 5 on each: rank 0 keeps 5, gives 4 to rank 1 on its node, 1 to rank 3 */
    ct_eq_mem(world->routed, ((int64_t[]){5, 4, 0, 1, 0, 1, 0, 0, 0, 0, 5, 0, 0, 0, 0, 4}),
              16 * sizeof(int64_t));
}

CT(balance, shared_stays, "a shared column leaves home only where that lowers the greatest load")
{
    struct balance_world *world = balance_make(2, 1, 2, 1);
    memcpy(world->counts, (int64_t[]){10, 0, 0, 4}, 4 * sizeof(int64_t));
    memcpy(world->tokens, (int64_t[]){1, 3}, 2 * sizeof(int64_t));
    balance_solve(world);
    ct_eq_i64(world->answer.greatest, 10);
    ct_eq_mem(world->shared, ((int64_t[]){0, 1, 0, 3}), 4 * sizeof(int64_t));
    world->counts[0] = 7;
    balance_solve(world);
    ct_eq_i64(world->answer.greatest, 8);
    ct_eq_mem(world->shared, ((int64_t[]){1, 0, 0, 3}), 4 * sizeof(int64_t));
}

CT(balance, nothing, "no tokens anywhere: all quotas are 0")
{
    for (int32_t objective = 0; objective < 3; objective++) {
        struct balance_world *world = balance_make(4, 2, 3, 2);
        world->config.objective = objective;
        world->config.costs = objective == SLUICE_BALANCE_COST ? &world->costs : NULL;
        balance_solve(world);
        balance_check(world);
        ct_eq_i64(world->answer.greatest, 0);
    }
}

CT(balance, tokens, "TOKENS: quotas add up, the greatest load is the bound, the cut proves it")
{
    uint64_t random = 1;
    for (int i = 0; i < 600 && !ct_failed(); i++) {
        struct balance_world *world = balance_draw(&random, 12, 6, i % 4);
        ct_note("problem %d", i);
        balance_solve(world);
        balance_check(world);
        int64_t *rows = ct_alloc((size_t)world->problem.ranks * sizeof *rows), most = 0;
        balance_loads(world, rows, NULL);
        for (int32_t r = 0; r < world->problem.ranks; r++)
            most = rows[r] > most ? rows[r] : most;
        ct_eq_i64(world->answer.greatest, most);
        ct_eq_i64(world->answer.bound, most);
        for (int32_t r = 0; r < world->problem.ranks; r++) {
            int32_t ranks = world->problem.ranks;
            int64_t columns = 0, home = world->shared[r * ranks + r];
            for (int32_t s = 0; s < ranks; s++)
                columns += world->shared[s * ranks + r];
            int64_t room = world->answer.greatest - (rows[r] - columns);
            int64_t own = world->problem.shared * world->tokens[r];
            ct_eq_i64(home, !world->alive[r] ? 0 : own < room ? own : room);
        }
        int64_t spread = world->problem.shared * balance_all_tokens(world);
        balance_check_cut(world, balance_expert_load(world), spread);
    }
}

CT(balance, experts, "EXPERTS: one copy an expert, fewest on the fullest rank, the cut proves it")
{
    uint64_t random = 2;
    for (int i = 0; i < 600 && !ct_failed(); i++) {
        struct balance_world *world = balance_draw(&random, 12, 6, i % 2);
        ct_note("problem %d", i);
        world->config.objective = SLUICE_BALANCE_EXPERTS;
        balance_solve(world);
        balance_check(world);
        int64_t *experts = ct_alloc((size_t)world->problem.ranks * sizeof *experts), most = 0;
        balance_loads(world, NULL, experts);
        for (int32_t r = 0; r < world->problem.ranks; r++)
            most = experts[r] > most ? experts[r] : most;
        ct_eq_i64(world->answer.greatest, most);
        ct_eq_i64(world->answer.bound, most);
        int64_t *load = balance_expert_load(world), active = 0, used = 0;
        for (int32_t e = 0; e < world->problem.experts; e++)
            active += load[e] = load[e] > 0;
        for (int32_t p = 0; p < world->physical; p++) {
            bool any = false;
            for (int32_t s = 0; s < world->problem.ranks; s++)
                any = any || world->routed[s * world->physical + p];
            used += any;
        }
        ct_eq_i64(used, active);
        balance_check_cut(world, load, world->problem.shared * (balance_all_tokens(world) > 0));
    }
}

CT(balance, experts_shared,
   "EXPERTS: a shared expert is active wherever it serves; it stays at "
   "home unless that is the fullest rank")
{
    /* Rank 0 has three active experts, the others one: its shared columns leave, theirs stay. */
    struct balance_world *world = balance_make(5, 3, 3, 1);
    memcpy(world->map, (int32_t[]){0, 1, 2, 3, -1, -1, 4, -1, -1}, 9 * sizeof(int32_t));
    memcpy(world->counts, (int64_t[]){9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
           15 * sizeof(int64_t));
    memcpy(world->tokens, (int64_t[]){5, 6, 7}, 3 * sizeof(int64_t));
    world->config.objective = SLUICE_BALANCE_EXPERTS;
    balance_solve(world);
    ct_eq_i64(world->answer.greatest, 3);
    ct_eq_mem(world->shared, ((int64_t[]){0, 5, 0, 0, 6, 0, 0, 0, 7}), 9 * sizeof(int64_t));
}

CT(balance, experts_many_shared, "EXPERTS: shared experts of a token may live on several ranks")
{
    /* One rank is full; two shared experts find one rank each, in whole columns. */
    struct balance_world *world = balance_make(4, 2, 3, 2);
    memcpy(world->map, (int32_t[]){0, 1, 2, -1, 3, -1}, 6 * sizeof(int32_t));
    memcpy(world->counts, (int64_t[]){1, 1, 1, 1}, 4 * sizeof(int64_t));
    world->tokens[0] = 8;
    world->config.objective = SLUICE_BALANCE_EXPERTS;
    balance_solve(world);
    balance_check(world);
    ct_eq_i64(world->answer.greatest, 2);
    ct_eq_mem(world->shared, ((int64_t[]){0, 8, 8}), 3 * sizeof(int64_t));
}

/* Tries every choice of a copy for each active expert. */
static int64_t fewest(const struct balance_world *world, const int64_t *load, int64_t *active,
                      int32_t e, int64_t most)
{
    const sluice_balance_problem *problem = &world->problem;
    while (e < problem->experts && load[e] == 0)
        e++;
    if (e == problem->experts)
        return most;
    int64_t best = INT64_MAX;
    for (int32_t p = 0; p < world->physical; p++) {
        int32_t r = p / problem->slots_per_rank;
        if (world->map[p] != e || !world->alive[r])
            continue;
        active[r]++;
        int64_t got = fewest(world, load, active, e + 1, active[r] > most ? active[r] : most);
        active[r]--;
        best = got < best ? got : best;
    }
    return best;
}

CT(balance, experts_brute, "EXPERTS: no choice of copies has fewer")
{
    uint64_t random = 3;
    for (int i = 0; i < 200 && !ct_failed(); i++) {
        struct balance_world *world = balance_draw(&random, 4, 3, 0);
        int64_t active[4] = {0};
        world->config.objective = SLUICE_BALANCE_EXPERTS;
        balance_solve(world);
        ct_eq_i64(world->answer.greatest, fewest(world, balance_expert_load(world), active, 0, 0));
    }
}

CT(balance, cost, "COST: the slowest rank's time, never above that of the other two's answers")
{
    uint64_t random = 4;
    int better = 0;
    for (int i = 0; i < 400 && !ct_failed(); i++) {
        struct balance_world *world = balance_draw(&random, 10, 5, i % 2);
        ct_note("problem %d", i);
        sluice_costs *costs = &world->costs;
        costs->expert_ps = draw_below(&random, 1000);
        costs->row_ps = draw_below(&random, 100);
        costs->near_ps = draw_below(&random, 3) ? 0 : draw_below(&random, 30);
        costs->far_ps = costs->near_ps * 3;
        costs->add = draw_below(&random, 2);
        balance_solve(world);
        int64_t by_rows = balance_time(world, costs);
        world->config.objective = SLUICE_BALANCE_EXPERTS;
        balance_solve(world);
        int64_t by_experts = balance_time(world, costs);
        world->config.objective = SLUICE_BALANCE_COST;
        world->config.costs = costs;
        balance_solve(world);
        balance_check(world);
        ct_eq_i64(world->answer.greatest, balance_time(world, costs));
        ct_true(world->answer.greatest <= by_rows && world->answer.greatest <= by_experts);
        ct_true(world->answer.greatest >= world->answer.bound);
        better += world->answer.greatest < by_rows && world->answer.greatest < by_experts;
    }
    ct_true(better > 20);
}

CT(balance, any_source, "what a source gets does not depend on which sources were asked for")
{
    uint64_t random = 5;
    for (int i = 0; i < 100 && !ct_failed(); i++) {
        struct balance_world *world = balance_draw(&random, 9, 5, 1);
        int32_t ranks = world->problem.ranks, first = draw_below(&random, ranks);
        int32_t count = 1 + draw_below(&random, ranks - first);
        world->config.objective = i % 2;
        balance_solve(world);
        size_t routed = (size_t)(count * world->physical), shared = (size_t)(count * ranks);
        sluice_balance_answer some = {.struct_size = sizeof some,
                                      .source = first,
                                      .sources = count,
                                      .routed = ct_alloc(routed * sizeof(int64_t)),
                                      .shared = ct_alloc(shared * sizeof(int64_t)),
                                      .routed_count = (int64_t)routed,
                                      .shared_count = (int64_t)shared};
        ct_eq_i64(balance_api()->solve(&world->problem, &some, NULL, 0), SLUICE_OK);
        ct_eq_i64(some.greatest, world->answer.greatest);
        ct_eq_mem(some.routed, world->routed + first * world->physical, routed * sizeof(int64_t));
        ct_eq_mem(some.shared, world->shared + first * ranks, shared * sizeof(int64_t));
    }
}

CT(balance, wide, "1024 ranks, 320, 144; many copies: all objectives hold")
{
    uint64_t random = 6;
    static const int32_t sizes[][3] = {{1024, 1, 256}, {320, 2, 256}, {144, 2, 256}, {64, 9, 40}};
    for (int i = 0; i < 8 && !ct_failed(); i++) {
        const int32_t *size = sizes[i % 4];
        struct balance_world *world = balance_make(size[2], size[1], size[0], 1);
        struct world *place = world_make(size[2], size[1], size[0], 0, 0);
        world_shuffle(place, &random);
        memcpy(world->map, place->map, (size_t)world->physical * sizeof *world->map);
        for (int32_t r = 0; r < size[0]; r++) {
            world->node[r] = r / 8;
            world->tokens[r] = draw_below(&random, 64);
            world->alive[r] = draw_below(&random, 16) > 0;
            for (int32_t k = 0; k < 200; k++)
                world->counts[r * size[2] + draw_below(&random, size[2])]++;
        }
        world->config.objective = i / 4;
        balance_solve(world);
        balance_check(world);
        ct_eq_i64(world->answer.greatest, world->answer.bound);
    }
}

/* --------------------------------------------------------------------------------- arguments */

static void refuse(const struct balance_world *world, sluice_status status, const char *why)
{
    char text[300] = "";
    sluice_balance_answer answer = world->answer;
    ct_note("%s", why);
    ct_expect_eq_i64(balance_api()->solve(&world->problem, &answer, text, sizeof text), status);
    ct_expect_str_has(text, why);
    ct_expect_eq_mem(&answer, &world->answer, sizeof answer);
}

CT(balance, refuses_shapes, "each bad shape is refused by name, and nothing is written")
{
    struct balance_world *good = balance_make(4, 2, 3, 1), *world = balance_make(4, 2, 3, 1);
    world->problem.slots_per_rank = 0;
    refuse(world, SLUICE_INVALID, "problem.slots_per_rank is 0: must be 1 to");
    world->problem = good->problem;
    world->problem.shared = 9;
    refuse(world, SLUICE_INVALID, "problem.shared is 9: must be 0 to 8");
    world->problem = good->problem;
    world->problem.experts = 0;
    refuse(world, SLUICE_INVALID, "experts is 0");
    world->problem = good->problem;
    world->problem.ranks = 1025;
    refuse(world, SLUICE_INVALID, "ranks is 1025");
    world->problem = good->problem;
    world->problem.tokens = NULL;
    refuse(world, SLUICE_INVALID, "problem.tokens is NULL and problem.shared is 1");
    world->problem = good->problem;
    world->problem.counts = NULL;
    refuse(world, SLUICE_INVALID, "problem.counts is NULL");
    world->problem = good->problem;
    world->problem.map = NULL;
    refuse(world, SLUICE_INVALID, "problem.map is NULL");
    world->problem = good->problem;
    world->problem.config = NULL;
    refuse(world, SLUICE_INVALID, "problem.config is NULL");
    world->problem = good->problem;
    world->problem.struct_size = 8;
    refuse(world, SLUICE_INVALID, "problem.struct_size is 8");
}

CT(balance, refuses_numbers, "each bad number is refused by name, and nothing is written")
{
    struct balance_world *world = balance_make(4, 2, 3, 1);
    world->counts[5] = -1;
    refuse(world, SLUICE_INVALID, "counts of rank 1, expert 1 is -1");
    world->counts[5] = (int64_t)1 << 61;
    refuse(world, SLUICE_INVALID, "below 2^60");
    world->counts[5] = 0;
    world->tokens[2] = -7;
    refuse(world, SLUICE_INVALID, "problem.tokens[2] is -7");
    world->tokens[2] = 0;
    world->map[0] = 9;
    refuse(world, SLUICE_INVALID, "problem.map: layer 0");
    world->map[0] = 0;
    world->alive[1] = 2;
    refuse(world, SLUICE_INVALID, "problem.alive[1] is 2");
    memset(world->alive, 0, 3);
    refuse(world, SLUICE_INVALID, "no rank lives");
}

CT(balance, refuses_config, "each bad field of the config is refused by name")
{
    struct balance_world *world = balance_make(4, 2, 3, 1);
    world->config.objective = 3;
    refuse(world, SLUICE_INVALID, "problem.config.objective is 3: must be 0 to 2");
    world->config.objective = SLUICE_BALANCE_COST;
    refuse(world, SLUICE_INVALID, "problem.config.costs is NULL");
    world->config.costs = &world->costs;
    world->costs.row_ps = -1;
    refuse(world, SLUICE_INVALID, "problem.config.costs.row_ps is -1");
    world->costs.row_ps = 0;
    world->costs.add = 2;
    refuse(world, SLUICE_INVALID, "problem.config.costs.add is 2");
    world->config.objective = 0;
    refuse(world, SLUICE_INVALID, "problem.config.costs is given");
    world->config.costs = NULL;
    world->config.mode = 3;
    refuse(world, SLUICE_INVALID, "problem.config.mode is 3");
    world->config.mode = 0;
    world->config.visited_only = 2;
    refuse(world, SLUICE_INVALID, "problem.config.visited_only is 2");
    world->config.visited_only = 0;
    world->config.steps = -1;
    refuse(world, SLUICE_INVALID, "problem.config.steps is -1");
}

CT(balance, refuses_answers, "an answer without room is OVERFLOW, a source out of range INVALID")
{
    struct balance_world *world = balance_make(4, 2, 3, 1);
    const sluice_balance_answer good = world->answer;
    world->answer.routed_count--;
    refuse(world, SLUICE_OVERFLOW, "answer.routed_count is 17: must be at least 18");
    world->answer = good;
    world->answer.shared_count = 0;
    refuse(world, SLUICE_OVERFLOW, "answer.shared_count is 0: must be at least 9");
    world->answer = good;
    world->answer.cut_count = 2;
    refuse(world, SLUICE_OVERFLOW, "answer.cut_count is 2: must be at least 3");
    world->answer = good;
    world->answer.source = 3;
    refuse(world, SLUICE_INVALID, "answer.source is 3: must be 0 to 2");
    world->answer.source = 1;
    refuse(world, SLUICE_INVALID, "answer.sources is 3: must be 0 to 2");
    world->answer = good;
    world->answer.struct_size = 16;
    refuse(world, SLUICE_INVALID, "answer.struct_size is 16");
}

CT(balance, no_memory, "solve without memory says so and writes nothing")
{
    struct balance_world *world = balance_make(64, 4, 16, 0);
    if (!ct_refuse(CT_MEMORY, 1))
        ct_skip("nothing is refused under a sanitizer");
    char text[300] = "";
    sluice_balance_answer answer = world->answer;
    sluice_status status = balance_api()->solve(&world->problem, &answer, text, sizeof text);
    (void)ct_refuse(CT_MEMORY, 0);
    ct_eq_i64(status, SLUICE_NO_MEMORY);
    ct_expect_str_has(text, "no memory for");
    ct_eq_mem(&answer, &world->answer, sizeof answer);
    balance_solve(world);
}
