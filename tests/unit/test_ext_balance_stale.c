/* sluice.balance/1, mode STALE: quotas from the counts of earlier steps. */
#include <string.h>

#include "abi/ext/load.h"
#include "abi/ext/placement.h"
#include "abi/ext/ranks.h"
#include "abi/ext/route.h"
#include "ct.h"
#include "place_world.h"
#include "quota_world.h"

CT(ext_balance, stale_dispatch,
   "STALE: dispatch carries counts; quotas are those of the last steps")
{
    for (int32_t steps = 2; steps <= 4; steps += 2) {
        struct quota_world *world = quota_world(20);
        world->config.mode = SLUICE_BALANCE_STALE;
        world->config.steps = steps;
        world->uses = SLUICE_USE_EXACT;
        world->steps = 7;
        world->dispatches = true;
        quota_run(world);
        quota_all_ok(world);
        struct balance_world *sum = quota_problem(world, 7 - steps, 6, -1);
        for (int32_t r = 0; r < QW_RANKS && !ct_failed(); r++) {
            ct_eq_i64(world->answer[r].step, 7);
            ct_eq_i64(world->answer[r].greatest, sum->answer.greatest);
            ct_eq_mem(world->routed[r], sum->routed, sizeof world->routed[r]);
            ct_eq_mem(world->routed_shared[r], sum->shared, sizeof world->routed_shared[r]);
        }
        /* the last remap was made with the steps before it */
        struct balance_world *old = quota_problem(world, 6 - steps, 5, -1);
        for (int32_t r = 0; r < QW_RANKS && !ct_failed(); r++) {
            int64_t call[QW_P] = {0}, columns[QW_RANKS] = {0};
            quota_cut(world, r, 6, old->routed + r * QW_P, old->shared + r * QW_RANKS, call,
                      columns);
            quota_check(world, r, 6, call, columns);
        }
    }
}

CT(ext_balance, stale_level_alone,
   "STALE, copies RANDOM: dispatch carries the copies that were taken")
{
    struct quota_world *world = quota_world(28);
    world->config.mode = SLUICE_BALANCE_STALE;
    world->config.steps = 1;
    world->copy_policy = SLUICE_COPY_RANDOM;
    world->uses = SLUICE_USE_EXACT;
    world->steps = 3;
    world->dispatches = true;
    quota_run(world);
    quota_all_ok(world);
    for (int32_t r = 0; r < QW_RANKS && !ct_failed(); r++) {
        int64_t taken[QW_P] = {0}, columns = 0;
        const int32_t *recorder = &world->recorder[r][0][0];
        for (int32_t i = 0; i < world->rows[r] * QW_K; i++)
            if (recorder[i] >= 0)
                taken[recorder[i]]++;
        for (int32_t to = 0; to < QW_RANKS; to++)
            columns += world->routed_shared[0][r][to];
        ct_eq_mem(world->routed[0][r], taken, sizeof taken);
        ct_eq_i64(columns, (int64_t)world->rows[r] * QW_F);
        ct_eq_mem(world->routed[r], world->routed[0], sizeof world->routed[r]);
        ct_eq_mem(world->routed_shared[r], world->routed_shared[0], sizeof world->routed_shared[r]);
    }
}

static sluice_context *open_stale(struct quota_world *world, int32_t steps)
{
    world->config.mode = SLUICE_BALANCE_STALE;
    world->config.steps = steps;
    world->uses = 0;
    return quota_open(world, 0, NULL);
}

static sluice_status add(sluice_context *context, int64_t *counts, int64_t rows)
{
    sluice_balance_counts args = {.struct_size = sizeof args,
                                  .counts = ct_tensor(counts, CT_I64, rows, QW_E)};
    return balance_api()->add_counts(context, &args);
}

CT(ext_balance, stale_first, "STALE: before anything is counted copies are even, shared is at home")
{
    struct quota_world *world = quota_world(21);
    sluice_context *context = open_stale(world, 0);
    ct_eq_i64(quota_map(world, context, 0, 0), SLUICE_OK);
    int64_t even[QW_P], home[QW_RANKS] = {1}, call[QW_P] = {0}, columns[QW_RANKS] = {0};
    for (int32_t p = 0; p < QW_P; p++)
        even[p] = 1;
    quota_cut(world, 0, 0, even, home, call, columns);
    quota_check(world, 0, 0, call, columns);
    sluice_balance_answer answer = {.struct_size = sizeof answer};
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_NOT_READY);
    ct_api()->close(context);
}

CT(ext_balance, add_counts, "STALE: the counts that were added are the problem, rows = sum / K")
{
    struct quota_world *world = quota_world(22);
    sluice_context *context = open_stale(world, 2);
    struct balance_world *problem = balance_make(QW_E, QW_N, QW_RANKS, QW_F);
    uint64_t random = 22;
    memcpy(problem->map, world->map, sizeof world->map);
    memcpy(problem->node, world->node, sizeof world->node);
    for (int32_t step = 0; step < 5; step++) {
        int64_t counts[QW_RANKS][QW_E];
        for (int32_t r = 0; r < QW_RANKS; r++) {
            int64_t sum = 0;
            for (int32_t e = 0; e < QW_E; e++) {
                sum += counts[r][e] = draw_below(&random, 50);
                problem->counts[r * QW_E + e] += step < 3 ? 0 : counts[r][e];
            }
            problem->tokens[r] += step < 3 ? 0 : sum / QW_K;
        }
        ct_eq_i64(add(context, counts[0], QW_RANKS), SLUICE_OK);
    }
    balance_solve(problem);
    sluice_balance_answer answer = {.struct_size = sizeof answer,
                                    .sources = QW_RANKS,
                                    .routed = world->routed[0][0],
                                    .routed_count = QW_RANKS * QW_P};
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_OK);
    ct_eq_i64(answer.greatest, problem->answer.greatest);
    ct_eq_i64(answer.step, 5);
    ct_eq_mem(world->routed[0], problem->routed, sizeof world->routed[0]);
    ct_api()->close(context);
}

CT(ext_balance, add_sum, "STALE: a sum over ranks is shared out evenly over the living")
{
    struct quota_world *world = quota_world(23);
    sluice_context *context = open_stale(world, 1);
    int64_t counts[QW_E], sums[QW_RANKS] = {0};
    for (int32_t e = 0; e < QW_E; e++)
        counts[e] = 6 * e + e % 6;
    ct_eq_i64(add(context, counts, 1), SLUICE_OK);
    sluice_balance_answer answer = {.struct_size = sizeof answer,
                                    .sources = QW_RANKS,
                                    .routed = world->routed[0][0],
                                    .routed_count = QW_RANKS * QW_P};
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_OK);
    for (int32_t e = 0; e < QW_E; e++) {
        int64_t all = 0;
        for (int32_t r = 0; r < QW_RANKS; r++) {
            int64_t own = 0;
            for (int32_t p = 0; p < QW_P; p++)
                own += world->map[p] == e ? world->routed[0][r][p] : 0;
            ct_true(own == counts[e] / 6 || own == counts[e] / 6 + 1);
            all += own;
            sums[r] += own;
        }
        ct_eq_i64(all, counts[e]);
    }
    for (int32_t r = 0; r < QW_RANKS; r++)
        ct_true(sums[r] > sums[0] - 20 && sums[r] < sums[0] + 20);
    ct_api()->close(context);
}

CT(ext_balance, add_copies, "STALE, copies STATIC: what an expert got counts evenly at its copies")
{
    struct quota_world *world = quota_world(29);
    world->copy_policy = SLUICE_COPY_STATIC;
    sluice_context *context = open_stale(world, 1);
    int64_t counts[QW_RANKS * QW_E];
    for (int32_t i = 0; i < QW_RANKS * QW_E; i++)
        counts[i] = i % 23;
    ct_eq_i64(add(context, counts, QW_RANKS), SLUICE_OK);
    sluice_balance_answer answer = {.struct_size = sizeof answer,
                                    .sources = QW_RANKS,
                                    .routed = world->routed[0][0],
                                    .routed_count = QW_RANKS * QW_P};
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_OK);
    for (int32_t i = 0; i < QW_RANKS * QW_E; i++) {
        int64_t copies = 0, sum = 0, most = 0;
        for (int32_t p = 0; p < QW_P; p++) {
            int64_t own = world->map[p] == i % QW_E ? world->routed[0][i / QW_E][p] : 0;
            copies += world->map[p] == i % QW_E;
            sum += own;
            most = own > most ? own : most;
        }
        ct_eq_i64(sum, counts[i]);
        ct_eq_i64(most, (counts[i] + copies - 1) / copies);
    }
    ct_api()->close(context);
}

CT(ext_balance, add_large,
   "STALE: boundaries of sums beyond 2^31 are cut from sums halved until below")
{
    struct quota_world *world = quota_world(30);
    sluice_context *context = open_stale(world, 8);
    int64_t counts[QW_RANKS * QW_E];
    for (int32_t i = 0; i < QW_RANKS * QW_E; i++)
        counts[i] = 100000000 + i * 12345;
    for (int step = 0; step < 8; step++)
        ct_eq_i64(add(context, counts, QW_RANKS), SLUICE_OK);
    sluice_balance_answer answer = {.struct_size = sizeof answer,
                                    .routed = world->routed[0][0],
                                    .shared = world->routed_shared[0][0],
                                    .routed_count = QW_P,
                                    .shared_count = QW_RANKS};
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_OK);
    ct_eq_i64(quota_map(world, context, 0, 0), SLUICE_OK);
    int64_t sum = 0, running = 0, column = 0, units = (int64_t)world->rows[0] * QW_F;
    int32_t shift = 0;
    for (int32_t r = 0; r < QW_RANKS; r++)
        sum += world->routed_shared[0][0][r];
    while (sum >> shift >> 31)
        shift++;
    ct_true(shift > 0);
    for (int32_t r = 0; r < QW_RANKS; r++) {
        running += world->routed_shared[0][0][r];
        for (; column < units * (running >> shift) / (sum >> shift); column++)
            ct_eq_i64(world->slots[0][column / QW_F][QW_K + column % QW_F] / (QW_N + QW_F), r);
    }
    ct_eq_i64(column, units);
    ct_api()->close(context);
}

CT(ext_balance, add_refused, "counts of another shape, below 0 or out of mode change nothing")
{
    struct quota_world *world = quota_world(24);
    sluice_context *context = open_stale(world, 2);
    int64_t counts[QW_RANKS * QW_E] = {5};
    ct_eq_i64(add(context, counts, 2), SLUICE_INVALID);
    ct_expect_str_has(ct_error(context), "counts has 2 rows: must be 6, or 1");
    counts[QW_E + 2] = -4;
    ct_eq_i64(add(context, counts, QW_RANKS), SLUICE_INVALID);
    ct_expect_str_has(ct_error(context), "counts[1][2] is -4");
    counts[QW_E + 2] = (int64_t)1 << 31;
    ct_eq_i64(add(context, counts, QW_RANKS), SLUICE_INVALID);
    sluice_balance_answer answer = {.struct_size = sizeof answer};
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_NOT_READY);
    world->config.mode = SLUICE_BALANCE_LOCAL;
    ct_eq_i64(balance_api()->configure(context, 0, &world->config), SLUICE_OK);
    counts[QW_E + 2] = 0;
    ct_eq_i64(add(context, counts, QW_RANKS), SLUICE_INVALID);
    ct_expect_str_has(ct_error(context), "mode");
    ct_api()->close(context);
}

CT(ext_balance, new_map, "STALE: a new placement is solved anew from the same counts")
{
    struct quota_world *world = quota_world(25), *other = quota_world(26);
    const sluice_placement_api *placement = ct_api()->extension(SLUICE_EXT_PLACEMENT);
    struct balance_world *problem = balance_make(QW_E, QW_N, QW_RANKS, QW_F);
    sluice_context *context = open_stale(world, 3);
    memcpy(problem->map, other->map, sizeof world->map);
    memcpy(problem->node, world->node, sizeof world->node);
    for (int32_t i = 0; i < QW_RANKS * QW_E; i++)
        problem->tokens[i / QW_E] += problem->counts[i] = 1 + i % 17;
    for (int32_t r = 0; r < QW_RANKS; r++)
        problem->tokens[r] /= QW_K;
    balance_solve(problem);
    ct_eq_i64(add(context, problem->counts, QW_RANKS), SLUICE_OK);
    ct_eq_i64(quota_map(world, context, 0, 0), SLUICE_OK);
    ct_eq_i64(placement->set(context, 0, other->map, QW_P, 0, NULL), SLUICE_OK);
    memcpy(world->map, other->map, sizeof world->map);
    ct_eq_i64(quota_map(world, context, 0, 0), SLUICE_OK);
    int64_t call[QW_P] = {0}, columns[QW_RANKS] = {0};
    quota_cut(world, 0, 0, problem->routed, problem->shared, call, columns);
    quota_check(world, 0, 0, call, columns);
    sluice_balance_answer answer = {.struct_size = sizeof answer};
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_OK);
    ct_eq_i64(answer.epoch, 2);
    ct_eq_i64(answer.greatest, problem->answer.greatest);
    ct_api()->close(context);
}

CT(ext_balance, new_ranks, "STALE: what was counted is forgotten when ranks are set")
{
    struct quota_world *world = quota_world(27);
    const sluice_ranks_api *ranks = ct_api()->extension(SLUICE_EXT_RANKS);
    sluice_context *context = open_stale(world, 3);
    int64_t counts[QW_RANKS * QW_E] = {1, 2, 3};
    uint8_t alive[QW_RANKS] = {1, 1, 1, 1, 1, 1};
    sluice_ranks set = {.struct_size = sizeof set, .generation = 4, .alive = alive};
    sluice_balance_answer answer = {.struct_size = sizeof answer};
    ct_eq_i64(add(context, counts, QW_RANKS), SLUICE_OK);
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_OK);
    ct_eq_i64(ranks->set(context, &set, NULL), SLUICE_OK);
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_NOT_READY);
    ct_api()->close(context);
}

CT(ext_balance, emptied_slots, "STALE: slots that a new placement leaves empty count nothing")
{
    struct quota_world *world = quota_world(29);
    const sluice_placement_api *placement = ct_api()->extension(SLUICE_EXT_PLACEMENT);
    const sluice_route_api *route = ct_api()->extension(SLUICE_EXT_ROUTE);
    const sluice_load_api *load = ct_api()->extension(SLUICE_EXT_LOAD);
    sluice_context *context = open_stale(world, 3);
    float *logits = ct_alloc(QW_T * QW_E * sizeof *logits);
    int32_t *ids = ct_alloc(QW_T * QW_K * sizeof *ids);
    for (int32_t i = 0; i < QW_T * QW_E; i++)
        logits[i] = (float)(i * 37 % 101);
    const sluice_route_args args = {.struct_size = sizeof args,
                                    .logits = ct_tensor(logits, CT_F32, QW_T, QW_E),
                                    .recorder_ids = ct_tensor(ids, CT_I32, QW_T, QW_K)};
    int64_t counts[QW_P], taken[QW_P] = {0};
    for (int pass = 0; pass < 2; pass++) {
        int32_t map[QW_P];
        for (int32_t p = 0; p < QW_P; p++)
            map[p] = p < QW_E || pass == 0 ? p % QW_E : -1;
        ct_eq_i64(placement->set(context, 0, map, QW_P, 0, NULL), SLUICE_OK);
        ct_eq_i64(load->reset(context, 0, NULL), SLUICE_OK);
        ct_eq_i64(route->route(context, &args), SLUICE_OK);
    }
    for (int32_t i = 0; i < QW_T * QW_K; i++)
        taken[ids[i]]++;
    ct_eq_i64(load->snapshot(context, counts, QW_P, NULL), SLUICE_OK);
    ct_eq_mem(counts, taken, sizeof taken);
    ct_api()->close(context);
}
