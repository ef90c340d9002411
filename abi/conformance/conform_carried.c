/* SPDX-License-Identifier: Apache-2.0
 * sluice.balance/1: counts that no output shows. Dispatch carries those of mode STALE, and a call
 * that asks for no ids is counted like any other. */
#include <string.h>

#include "conform_balance.h"
#include "conform_move.h"

enum { STEPS = 2, ROUNDS = 3, MOST = 64, ROUTED = MV_RANKS * MOST, SHARED = MV_RANKS * MV_RANKS };

/* ------------------------------------------------------------------------------ what is carried */

/* Adds what a rank sends: choices by physical expert, and columns with shared experts. */
static void add(const struct mv_scene *scene, const struct mv_tokens *tokens, int64_t *choices,
                int64_t *columns)
{
    int32_t local = scene->slots + scene->shared;
    for (int32_t t = 0; t < tokens->valid; t++)
        for (int32_t k = 0; k < mv_columns(scene); k++) {
            int64_t slot = tokens->slots[t][k];
            if (slot < 0 || slot >= (int64_t)local * scene->ranks)
                continue;
            if (slot % local < scene->slots)
                choices[slot / local * scene->slots + slot % local]++;
            else
                ++*columns;
        }
}

static void check_carried(sluice_context *context, const struct mv_scene *scene,
                          int64_t (*choices)[MOST], const int64_t *columns)
{
    int64_t routed[ROUTED], shared[SHARED];
    int32_t physical = scene->slots * scene->ranks;
    sluice_balance_answer answer = {.struct_size = sizeof answer,
                                    .sources = scene->ranks,
                                    .routed = routed,
                                    .shared = shared,
                                    .routed_count = ROUTED,
                                    .shared_count = SHARED};
    EXPECT_OK(context, cb_api()->read(context, 0, &answer, NULL));
    CHECK_EQ(answer.step, ROUNDS, "steps that were counted");
    for (int32_t r = 0; r < scene->ranks; r++) {
        int64_t sum = 0;
        for (int32_t p = 0; p < physical; p++)
            CHECK_EQ(routed[r * physical + p], choices[r][p],
                     "choices of rank %d for physical expert %d", r, p);
        for (int32_t to = 0; to < scene->ranks; to++)
            sum += shared[r * scene->ranks + to];
        CHECK_EQ(sum, columns[r], "shared columns of rank %d", r);
    }
}

/* Every expert has one copy, so its quotas are what was counted of the last steps. */
static void carried_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    struct mv_scene scene = *(const struct mv_scene *)what;
    static _Thread_local struct mv_tokens tokens[MV_RANKS];
    int64_t choices[MV_RANKS][MOST] = {{0}}, columns[MV_RANKS] = {0};
    const sluice_balance_config config = {
        .struct_size = sizeof config, .mode = SLUICE_BALANCE_STALE, .steps = STEPS};
    struct cf_setup setup;
    mv_setup(&scene, comm, &setup);
    setup.config.copy_policy = SLUICE_COPY_BALANCED;
    setup.config.shared_policy = SLUICE_SHARED_LEVEL;
    sluice_context *context = cf_open(&setup);
    EXPECT_OK(context, cb_api()->configure(context, -1, &config));
    for (int32_t round = 0; round < ROUNDS; round++) {
        struct mv_trip trip;
        scene.seed = (uint64_t)round + 40;
        for (int32_t r = 0; r < scene.ranks; r++) {
            mv_draw(&scene, r, &tokens[r]);
            if (round >= ROUNDS - STEPS)
                add(&scene, &tokens[r], choices[r], &columns[r]);
        }
        mv_start(&trip, &scene, context, rank, &tokens[rank]);
        trip.row_count = setup.needs.fixed_rows;
        EXPECT_OK(context, mv_dispatch(&trip));
        mv_check_rows(&trip, tokens);
        mv_compute(&trip, tokens);
        EXPECT_OK(context, mv_combine(&trip));
    }
    check_carried(context, &scene, choices, columns);
    mv_check_wire(context, &setup.needs, ROUNDS);
    cf_meet();
    cf_api->close(context);
}

static void carried(const void *what)
{
    const struct mv_scene *scene = what;
    (void)cb_api();
    cf_run_ranks(scene->ranks, carried_rank, scene);
}

/* Rank 1 has no mode STALE: what the others' messages carry is not what its own do. */
static void other_mode_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    const struct mv_scene *scene = what;
    static _Thread_local struct mv_tokens tokens;
    const sluice_balance_config config = {
        .struct_size = sizeof config, .mode = SLUICE_BALANCE_STALE, .steps = STEPS};
    struct cf_setup setup;
    struct mv_trip trip;
    mv_setup(scene, comm, &setup);
    setup.config.copy_policy = SLUICE_COPY_BALANCED;
    sluice_context *context = cf_open(&setup);
    if (rank != 1)
        EXPECT_OK(context, cb_api()->configure(context, -1, &config));
    mv_draw(scene, rank, &tokens);
    mv_start(&trip, scene, context, rank, &tokens);
    EXPECT(context, mv_count(&trip), SLUICE_MISMATCH, "rank");
    cf_meet();
    cf_api->close(context);
}

static void other_mode(const void *what)
{
    const struct mv_scene *scene = what;
    (void)cb_api();
    cf_run_ranks(scene->ranks, other_mode_rank, scene);
}

/* ---------------------------------------------------------------------------------- without ids */

enum { RANKS = 3, EXPERTS = 10, TOP_K = 3, SLOTS = 5, PHYSICAL = RANKS * SLOTS, ROWS = 33 };

struct routed {
    struct cf_array *ids, *weights;
    int64_t quotas[PHYSICAL], columns[RANKS], counters[PHYSICAL];
};

static void route(int32_t copies, int32_t objective, bool ids, struct routed *out)
{
    const sluice_costs costs = {
        .struct_size = sizeof costs, .expert_ps = 9000, .row_ps = 700, .near_ps = 50};
    const sluice_balance_config config = {.struct_size = sizeof config,
                                          .objective = objective,
                                          .costs =
                                              objective == SLUICE_BALANCE_COST ? &costs : NULL};
    struct cf_random random = {.state = 5};
    struct cf_setup setup;
    cf_setup(&setup, 1, EXPERTS, TOP_K, 1);
    cf_setup_rank(&setup, 1, RANKS);
    setup.layer[0].slots_per_rank = SLOTS;
    setup.config.copy_policy = copies;
    setup.config.shared_policy = SLUICE_SHARED_LEVEL;
    sluice_context *context = cf_open(&setup);
    EXPECT_OK(context, cb_api()->configure(context, 0, &config));
    struct cf_array *logits = cf_array(CF_F32, ROWS, EXPERTS), *valid = cf_scalar(ROWS - 2);
    for (int32_t i = 0; i < ROWS * EXPERTS; i++)
        cf_put(logits, i / EXPERTS, i % EXPERTS, cf_normal(&random) - i % EXPERTS * 0.2);
    out->ids = cf_array(CF_I32, ROWS, TOP_K + 1);
    out->weights = cf_array(CF_F32, ROWS, TOP_K + 1);
    const sluice_route_args args = {.struct_size = sizeof args,
                                    .logits = &logits->t,
                                    .num_valid = &valid->t,
                                    .dispatch_ids = ids ? &out->ids->t : NULL,
                                    .dispatch_weights = &out->weights->t};
    EXPECT_OK(context, cf_call_route(context, &args));
    sluice_balance_answer answer = {.struct_size = sizeof answer,
                                    .routed = out->quotas,
                                    .shared = out->columns,
                                    .routed_count = PHYSICAL,
                                    .shared_count = RANKS};
    EXPECT_OK(context, cb_api()->read(context, 0, &answer, NULL));
    cf_counters(context, 0, out->counters, PHYSICAL);
    cf_api->close(context);
}

/* Two contexts, of which one is asked for no ids. */
static void without_ids(const void *what)
{
    (void)what;
    static const int32_t COPIES[] = {SLUICE_COPY_BALANCED, SLUICE_COPY_STATIC};
    static struct routed with, without;
    for (int32_t i = 0; i < 4; i++) {
        int32_t objective = i < 2 ? SLUICE_BALANCE_TOKENS : SLUICE_BALANCE_COST;
        route(COPIES[i % 2], objective, true, &with);
        route(COPIES[i % 2], objective, false, &without);
        for (int32_t p = 0; p < PHYSICAL; p++) {
            CHECK_EQ(without.quotas[p], with.quotas[p], "quota of physical expert %d", p);
            CHECK_EQ(without.counters[p], with.counters[p], "counter of physical expert %d", p);
        }
        for (int32_t r = 0; r < RANKS; r++)
            CHECK_EQ(without.columns[r], with.columns[r], "shared columns to rank %d", r);
        for (int32_t t = 0; t < ROWS; t++)
            for (int32_t k = 0; k <= TOP_K; k++)
                CHECK(cf_get(without.weights, t, k) == cf_get(with.weights, t, k),
                      "weight of row %d, column %d", t, k);
    }
}

static const struct mv_scene EXACT = {
    .ranks = 3, .slots = 4, .shared = 1, .top_k = 3, .tokens = 24, .outside = true};
static const struct mv_scene FIXED = {
    .ranks = 3, .slots = 4, .shared = 1, .top_k = 3, .tokens = 24, .half = true, .fixed = true};

static const struct cf_case CASES[] = {
    {"carried.exact", "STALE: an exact dispatch carries what every rank chose", carried, &EXACT},
    {"carried.fixed", "STALE: a fixed dispatch carries what every rank chose", carried, &FIXED},
    {"carried.mismatch", "a rank without mode STALE dispatches with none that has it", other_mode,
     &EXACT},
    {"carried.without_ids", "a call that asks for no ids is counted like any other", without_ids,
     NULL},
};
CF_LIST(cf_carried_cases, CASES);
