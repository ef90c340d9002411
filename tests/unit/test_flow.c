#include "ct.h"
#include "ct_json.h"
#include "ct_npy.h"
#include "flow_world.h"
#include "place_world.h"

#include <string.h>

CT(flow, by_hand, "a hot expert with two copies is levelled against what lives beside it")
{
    struct flow_world *world = flow_make(4, 3, 5);
    /* ranks: {0, 1}, {0, 2}, {3} */
    flow_from_map(world, (int32_t[]){0, 1, 0, 2, 3, -1}, 2);
    memcpy(world->load, (int64_t[]){10, 3, 7, 2}, 4 * sizeof(int64_t));
    struct sl_flow_answer answer = flow_solve(world);
    ct_eq_i64(answer.greatest, 10);
    ct_eq_i64(answer.only, 20);
    ct_eq_mem(world->cut, ((uint8_t[]){1, 1, 0}), 3);
    ct_eq_mem(world->share, ((int64_t[]){7, 3, 3, 7, 2}), 5 * sizeof(int64_t));
    flow_check(world, &answer);
}

CT(flow, spread_fills_gaps, "units that anyone may serve go where there is room")
{
    struct flow_world *world = flow_make(3, 3, 3);
    flow_from_map(world, (int32_t[]){0, 1, 2}, 1);
    memcpy(world->load, (int64_t[]){9, 4, 1}, 3 * sizeof(int64_t));
    world->problem.spread = 9;
    struct sl_flow_answer answer = flow_solve(world);
    ct_eq_i64(answer.greatest, 9);
    ct_eq_mem(world->cut, ((uint8_t[]){1, 0, 0}), 3);
    ct_eq_mem(world->spread, ((int64_t[]){0, 5, 4}), 3 * sizeof(int64_t));
    world->problem.spread = 15;
    answer = flow_solve(world);
    ct_eq_i64(answer.greatest, 10);
    ct_eq_mem(world->cut, ((uint8_t[]){1, 1, 1}), 3);
    flow_check(world, &answer);
}

CT(flow, nothing, "no load at all is level at 0")
{
    struct flow_world *world = flow_make(2, 2, 4);
    flow_from_map(world, (int32_t[]){0, 1, 1, 0}, 2);
    struct sl_flow_answer answer = flow_solve(world);
    ct_eq_i64(answer.greatest, 0);
    flow_check(world, &answer);
}

CT(flow, two_copies_on_a_rank, "two copies on one rank are one place; the first serves")
{
    struct flow_world *world = flow_make(1, 2, 3);
    flow_from_map(world, (int32_t[]){0, 0, 0, -1}, 2);
    world->load[0] = 9;
    struct sl_flow_answer answer = flow_solve(world);
    ct_eq_mem(world->share, ((int64_t[]){5, 0, 4}), 3 * sizeof(int64_t));
    flow_check(world, &answer);
}

CT(flow, answers_are_optional, "every array of the answer may be absent")
{
    uint64_t random = 5;
    for (int i = 0; i < 50; i++) {
        struct flow_world *world = flow_draw(&random, 9, 20, 30);
        struct sl_flow_answer full = flow_solve(world);
        struct sl_flow_answer bare = {.share = NULL};
        sl_flow_solve(&world->problem, &bare, ct_alloc(sl_flow_bytes(20, 9, 60)));
        ct_eq_i64(bare.greatest, full.greatest);
        ct_eq_i64(bare.only, full.only);
        ct_eq_i64(bare.cut_size, full.cut_size);
    }
}

/* The greatest of ceil(only(A) / |A|) over all sets A of living ranks. */
static int64_t bound_by_sets(const struct flow_world *world)
{
    const struct sl_flow_problem *problem = &world->problem;
    uint32_t living = 0;
    int64_t best = 0;
    for (int32_t r = 0; r < problem->ranks; r++)
        living |= (uint32_t)world->alive[r] << r;
    for (uint32_t set = 1; set < 1U << problem->ranks; set++) {
        if (set & ~living)
            continue;
        int64_t only = set == living ? problem->spread : 0;
        int64_t size = __builtin_popcount(set);
        for (int32_t r = 0; r < problem->ranks; r++)
            only += set >> r & 1 ? world->base[r] : 0;
        for (int32_t e = 0; e < problem->experts; e++) {
            uint32_t holders = 0;
            for (int32_t c = world->start[e]; c < world->start[e + 1]; c++)
                holders |= 1U << world->holder[c];
            only += holders & ~set ? 0 : world->load[e];
        }
        best = (only + size - 1) / size > best ? (only + size - 1) / size : best;
    }
    return best;
}

CT(flow, by_sets, "the answer is the greatest bound of all sets of ranks")
{
    uint64_t random = 1;
    for (int i = 0; i < 3000 && !ct_failed(); i++) {
        struct flow_world *world = flow_draw(&random, 8, 14, 24);
        ct_note("problem %d", i);
        struct sl_flow_answer answer = flow_solve(world);
        flow_check(world, &answer);
        ct_eq_i64(answer.greatest, bound_by_sets(world));
    }
}

CT(flow, wide, "any number of ranks and copies, masked ranks too, with proof")
{
    uint64_t random = 2;
    static const int32_t sizes[][3] = {{32, 256, 64},     {144, 256, 32},   {320, 256, 300},
                                       {1024, 256, 2000}, {1024, 40, 6000}, {64, 512, 2000}};
    for (int i = 0; i < 120 && !ct_failed(); i++) {
        const int32_t *size = sizes[i % 6];
        struct flow_world *world = flow_draw(&random, size[0], size[1], size[2]);
        ct_note("problem %d", i);
        struct sl_flow_answer answer = flow_solve(world);
        flow_check(world, &answer);
    }
}

CT(flow, chain, "load moves along a chain of every rank")
{
    /* expert e lives on ranks e and e + 1; the last rank must get a unit through all the others */
    enum { RANKS = 1024 };
    struct flow_world *world = flow_make(RANKS - 1, RANKS, 2 * RANKS);
    int32_t *map = ct_alloc(2 * RANKS * sizeof *map);
    for (int32_t r = 0; r < RANKS; r++) {
        map[2 * r] = r < RANKS - 1 ? r : -1;
        map[2 * r + 1] = r - 1;
        world->load[r < RANKS - 1 ? r : 0] = RANKS;
    }
    flow_from_map(world, map, 2);
    struct sl_flow_answer answer = flow_solve(world);
    flow_check(world, &answer);
    ct_eq_i64(answer.greatest, RANKS - 1);
}

CT(flow, same_again, "the answer is a function of the problem, whatever is in the scratch")
{
    uint64_t random = 3;
    for (int i = 0; i < 100 && !ct_failed(); i++) {
        struct flow_world *world = flow_draw(&random, 40, 60, 90);
        int32_t copies = world->start[world->problem.experts];
        size_t bytes = sl_flow_bytes(world->problem.experts, world->problem.ranks, copies);
        (void)flow_solve(world);
        struct sl_flow_answer again = {.share = ct_alloc((size_t)copies * sizeof(int64_t)),
                                       .spread =
                                           ct_alloc((size_t)world->problem.ranks * sizeof(int64_t)),
                                       .cut = ct_alloc((size_t)world->problem.ranks)};
        sl_flow_solve(&world->problem, &again, memset(ct_alloc(bytes), i, bytes));
        ct_eq_mem(again.share, world->share, (size_t)copies * sizeof(int64_t));
        ct_eq_mem(again.spread, world->spread, (size_t)world->problem.ranks * sizeof(int64_t));
        ct_eq_mem(again.cut, world->cut, (size_t)world->problem.ranks);
    }
}

CT(flow, golden_lplb, "the optimum of SGLang's linear programme, rounded up")
{
    const ct_json *cases = ct_golden_cases();
    int seen = 0;
    for (size_t i = 0; i < ct_json_len(cases) && !ct_failed(); i++) {
        const ct_json *params = ct_json_get(ct_json_at(cases, i), "params");
        const char *name = ct_json_str(ct_json_get(ct_json_at(cases, i), "case"), "");
        struct ct_npy counts, map, optimum;
        if (strncmp(name, "lplb/", 5) != 0)
            continue;
        ct_note("%s", name);
        ct_true(ct_npy_golden(&counts, name, "counts.npy") &&
                ct_npy_golden(&map, name, "physical_to_logical.npy") &&
                ct_npy_golden(&optimum, name, "optimum.npy"));
        int32_t ranks = (int32_t)ct_json_int(ct_json_get(params, "W"), 0);
        struct flow_world *world = flow_make((int32_t)counts.count, ranks, (int32_t)map.count);
        int64_t sum = 0;
        for (size_t e = 0; e < counts.count; e++)
            sum += ct_npy_i64(&counts)[e];
        /* a million times finer, so that whole units are as good as fractions */
        for (size_t e = 0; e < counts.count; e++)
            world->load[e] = ct_npy_i64(&counts)[e] * 1000000;
        flow_from_map(world, ct_npy_i32(&map), (int32_t)map.count / ranks);
        struct sl_flow_answer answer = flow_solve(world);
        flow_check(world, &answer);
        double share = (double)answer.greatest / 1e6 / (double)sum;
        ct_near(share, ct_npy_f64(&optimum)[0], 1e-7);
        seen++;
    }
    if (seen == 0)
        ct_skip("no golden files of lplb");
    ct_eq_i64(seen, 4);
}

CT(flow, real_counts, "DeepSeek-R1's counts under plans for another workload, with proof")
{
    int32_t layers;
    int64_t *planned = flow_real_counts("prefill_in4096", &layers);
    int64_t *served = flow_real_counts("prefill_in512", &layers);
    if (!planned || !served)
        ct_skip("no expert counts");
    static const int32_t sizes[][2] = {{16, 32}, {32, 32}, {144, 32}, {64, 64}, {32, 0}};
    for (int i = 0; i < 5 && !ct_failed(); i++) {
        int32_t ranks = sizes[i][0], slots = (256 + sizes[i][1] + ranks - 1) / ranks;
        int32_t *map = ct_alloc((size_t)(ranks * slots) * sizeof *map);
        double sum = 0;
        for (int32_t l = 0; l < layers && !ct_failed(); l++) {
            struct flow_world *world = flow_make(256, ranks, ranks * slots);
            ct_note("W %d, layer %d", ranks, l);
            flow_plan(planned + l * 256, 256, ranks, slots, map);
            memcpy(world->load, served + l * 256, 256 * sizeof *served);
            int64_t total = 0;
            for (int32_t e = 0; e < 256; e++)
                total += world->load[e];
            world->problem.spread = total / 8;
            flow_from_map(world, map, slots);
            struct sl_flow_answer answer = flow_solve(world);
            flow_check(world, &answer);
            sum += (double)(answer.greatest * ranks) / (double)(total + total / 8);
        }
        /* BALANCE.md, column "joint" of the first table */
        if (i < 2)
            ct_near(sum / layers, i == 0 ? 1.0003 : 1.0604, 0.0005);
    }
}
