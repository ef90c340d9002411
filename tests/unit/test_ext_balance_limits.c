/* sluice.balance/1 at its edges: the greatest costs, callers newer than the plugin, a NOW that
 * failed. */
#include <stdio.h>
#include <string.h>

#include "ct.h"
#include "ct_ranks.h"
#include "quota_world.h"
#include "src/comm/comm_threads.h"

static sluice_status add(sluice_context *context, int64_t *counts)
{
    const sluice_balance_counts args = {.struct_size = sizeof args,
                                        .counts = ct_tensor(counts, CT_I64, QW_RANKS, QW_E)};
    return balance_api()->add_counts(context, &args);
}

static const sluice_costs DEAREST = {.struct_size = sizeof DEAREST,
                                     .expert_ps = 1000000000000,
                                     .row_ps = 1000000000,
                                     .near_ps = 1000000000,
                                     .far_ps = 1000000000,
                                     .add = 1};

/* A rank of the world with the dearest costs, the most choices that it takes, all of expert 0. */
static sluice_context *open_dearest(struct quota_world *world, int32_t steps, int64_t *counts)
{
    const int64_t rows = ((int64_t)1 << 60) / 5000000001 / QW_RANKS / steps;
    world->config = (sluice_balance_config){.struct_size = sizeof world->config,
                                            .objective = SLUICE_BALANCE_COST,
                                            .mode = SLUICE_BALANCE_STALE,
                                            .steps = steps,
                                            .costs = &DEAREST};
    world->uses = 0;
    memset(counts, 0, sizeof(int64_t[QW_RANKS * QW_E]));
    for (int32_t r = 0; r < QW_RANKS; r++)
        counts[r * QW_E] = rows / (QW_K + world->shared) * QW_K;
    return quota_open(world, 0, NULL);
}

CT(ext_balance, dearest,
   "STALE, COST: the most choices that are taken, at the greatest costs, add up")
{
    for (int32_t steps = 1; steps <= 64; steps *= 8) {
        struct quota_world *world = quota_world(40);
        world->shared = 0;
        world->shared_policy = SLUICE_SHARED_AT_HOME;
        int64_t counts[QW_RANKS * QW_E];
        sluice_context *context = open_dearest(world, steps, counts);
        struct balance_world *problem = balance_make(QW_E, QW_N, QW_RANKS, 0);
        memcpy(problem->map, world->map, sizeof world->map);
        memcpy(problem->node, world->node, sizeof world->node);
        problem->config = world->config;
        for (int32_t i = 0; i < QW_RANKS * QW_E; i++)
            problem->counts[i] = counts[i] * steps;
        for (int32_t step = 0; step < steps; step++)
            ct_eq_i64(add(context, counts), SLUICE_OK);
        balance_solve(problem);
        sluice_balance_answer answer = {.struct_size = sizeof answer};
        ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_OK);
        ct_eq_i64(answer.greatest, problem->answer.greatest);
        ct_true(answer.greatest > counts[0] * steps && answer.greatest < (int64_t)1 << 60);
        ct_api()->close(context);
    }
}

CT(ext_balance, dearest_shared,
   "STALE, COST: choices leave room for the shared columns that come with them; more are refused")
{
    struct quota_world *world = quota_world(43);
    int64_t counts[QW_RANKS * QW_E], most;
    sluice_context *context = open_dearest(world, 3, counts);
    sluice_balance_answer answer = {.struct_size = sizeof answer};
    for (int32_t step = 0; step < 3; step++)
        ct_eq_i64(add(context, counts), SLUICE_OK);
    ct_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_OK);
    ct_true(answer.greatest > counts[0] && answer.greatest < (int64_t)1 << 60);
    most = counts[QW_E]--;
    counts[QW_E + 3] = 1;
    ct_eq_i64(add(context, counts), SLUICE_OK);
    counts[QW_E + 3] = 2;
    ct_eq_i64(add(context, counts), SLUICE_INVALID);
    char part[100];
    (void)snprintf(part, sizeof part,
                   "counts[1][3] is 2: must not be negative, and a row's sum at "
                   "most %lld",
                   (long long)most);
    ct_expect_str_has(ct_error(context), part);
    ct_api()->close(context);
}

CT(ext_balance, newer_caller,
   "a rank whose structs have grown since is no mismatch: costs, config and transport")
{
    struct quota_world *world = quota_world(41);
    sluice_costs costs = {.struct_size = sizeof costs, .expert_ps = 700, .row_ps = 90};
    world->config.objective = SLUICE_BALANCE_COST;
    world->config.costs = &costs;
    world->uses |= SLUICE_USE_EXACT;
    world->dispatches = true;
    world->newer = true;
    quota_run(world);
    quota_all_ok(world);
}

/* ------------------------------------------------------------------------- a NOW that failed */

struct failing {
    struct quota_world *world;
    sluice_comm_threads *group;
};

static void run_failing(int32_t rank, void *argument)
{
    const struct failing *failing = argument;
    struct quota_world *world = failing->world;
    sluice_comm comm;
    sluice_comm_threads_get(failing->group, rank, &comm);
    sluice_context *context = quota_open(world, rank, &comm);
    ct_true(context != NULL);
    sluice_balance_answer answer = {.struct_size = sizeof answer};
    ct_expect_eq_i64(quota_map(world, context, rank, 0), SLUICE_OK);
    ct_expect_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_OK);
    if (rank == 1) {
        sluice_balance_config other = world->config;
        other.objective = SLUICE_BALANCE_EXPERTS;
        ct_expect_eq_i64(balance_api()->configure(context, 0, &other), SLUICE_OK);
    }
    ct_expect_eq_i64(quota_map(world, context, rank, 1), SLUICE_MISMATCH);
    ct_expect_eq_i64(balance_api()->read(context, 0, &answer, NULL), SLUICE_NOT_READY);
    ct_expect_str_has(ct_error(context), "nothing has been counted");
    ct_api()->close(context);
}

CT(ext_balance, now_failed, "NOW: after a remap that failed read has no quotas of before to show")
{
    struct failing failing = {quota_world(42), NULL};
    failing.group = sluice_comm_threads_create(QW_RANKS, failing.world->node);
    ct_true(failing.group != NULL);
    ct_run_ranks(QW_RANKS, run_failing, &failing);
    sluice_comm_threads_destroy(failing.group);
}
