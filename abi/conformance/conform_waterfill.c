/* SPDX-License-Identifier: Apache-2.0
 * SGLang's waterfill against the reference, static on one rank and dynamic among ranks. */
#include <stdlib.h>
#include <string.h>

#include "conform_reference.h"

enum { TOP_K = 4, MOST_ROWS = 300 };

struct scene {
    int32_t ranks, slots, shared, rows;
    int32_t hot;   /* of 8 choices go to rank 0 */
    bool dropped;  /* some choices are -1, some rows have none */
    int32_t valid; /* rows that are; 0: all */
};

static void draw(const struct scene *scene, int32_t rank, int32_t *ids)
{
    struct cf_random random = {.state = 100 + (uint64_t)rank};
    int32_t experts = scene->ranks * scene->slots;
    for (int32_t i = 0; i < scene->rows * TOP_K; i++) {
        bool hot = cf_below(&random, 8) < scene->hot;
        ids[i] = hot ? cf_below(&random, scene->slots) : cf_below(&random, experts);
        if (scene->dropped && (cf_below(&random, 6) == 0 || i / TOP_K % 17 == 3))
            ids[i] = -1;
    }
}

static struct cf_setup *setup_rank(struct cf_setup *setup, const struct scene *scene)
{
    cf_setup(setup, 1, scene->ranks * scene->slots, TOP_K, scene->shared);
    setup->router[0].scale = 2;
    setup->router[0].scale_by = SLUICE_SCALE_BY_ENGINE;
    return setup;
}

/* What remap gave on one rank, compared with the reference. */
static void check(sluice_context *context, const struct scene *scene, int32_t rank,
                  const struct ref_waterfill *call, const int32_t *ids)
{
    const struct ref_shape *shape = call->shape;
    int32_t columns = TOP_K + scene->shared, want[MOST_ROWS];
    struct cf_array *in = cf_ids(CF_I32, scene->rows, TOP_K, ids);
    struct cf_array *weights = cf_array(CF_F32, scene->rows, TOP_K);
    struct cf_array *slots = cf_array(CF_I32, scene->rows, columns);
    struct cf_array *out = cf_array(CF_F32, scene->rows, columns);
    struct cf_array *recorder = cf_array(CF_I32, scene->rows, TOP_K);
    struct cf_array *valid = cf_scalar(scene->valid ? scene->valid : scene->rows);
    sluice_remap_args args = {.struct_size = sizeof args,
                              .ids = &in->t,
                              .weights = &weights->t,
                              .num_valid = &valid->t,
                              .dispatch_ids = &slots->t,
                              .dispatch_weights = &out->t,
                              .recorder_ids = &recorder->t};
    EXPECT_OK(context, cf_call_remap(context, &args));
    ref_waterfill(call, want);
    for (int32_t t = 0; t < scene->rows; t++) {
        for (int32_t k = 0; k < TOP_K; k++) {
            int64_t p = call->physical[t * TOP_K + k];
            CHECK_EQ(cf_id(recorder, t, k), p, "recorder id of row %d, column %d", t, k);
            CHECK_EQ(cf_id(slots, t, k), p < 0 ? -1 : ref_slot(shape, p),
                     "dispatch id of row %d, column %d", t, k);
        }
        for (int32_t j = 0; j < scene->shared; j++) {
            int64_t slot = want[t] < 0 ? -1 : ref_shared_slot(shape, want[t], j);
            CHECK_EQ(cf_id(slots, t, TOP_K + j), slot, "shared slot %d of row %d on rank %d", j, t,
                     rank);
            CHECK(cf_get(out, t, TOP_K + j) == (want[t] < 0 ? 0 : 0.5),
                  "shared weight of row %d is %g", t, cf_get(out, t, TOP_K + j));
        }
    }
}

/* Recorder ids of a trivial placement; padding rows have none. */
static void physical_of(const struct scene *scene, const int32_t *ids, int64_t *physical)
{
    for (int32_t i = 0; i < scene->rows * TOP_K; i++)
        physical[i] = scene->valid && i / TOP_K >= scene->valid ? -1 : ids[i];
}

static void static_mode(const void *what)
{
    const struct scene *scene = what;
    int32_t ids[MOST_ROWS * TOP_K];
    int64_t physical[MOST_ROWS * TOP_K];
    for (int32_t rank = 0; rank < scene->ranks; rank += scene->ranks - 1) {
        struct ref_shape shape = {scene->ranks * scene->slots, scene->slots, scene->ranks,
                                  scene->shared, rank};
        struct ref_waterfill call = {
            .shape = &shape, .top_k = TOP_K, .rows = scene->rows, .physical = physical};
        struct cf_setup setup;
        setup_rank(&setup, scene);
        cf_setup_rank(&setup, rank, scene->ranks);
        setup.config.shared_policy = SLUICE_SHARED_WATERFILL_STATIC;
        sluice_context *context = cf_open(&setup);
        draw(scene, rank, ids);
        physical_of(scene, ids, physical);
        check(context, scene, rank, &call, ids);
        cf_api->close(context);
    }
}

static void dynamic_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    const struct scene *scene = what;
    static _Thread_local int32_t ids[MOST_ROWS * TOP_K];
    static _Thread_local int64_t physical[MOST_ROWS * TOP_K];
    int64_t loads[REF_RANKS] = {0}, tokens[REF_RANKS];
    for (int32_t r = 0; r < size; r++) {
        draw(scene, r, ids);
        physical_of(scene, ids, physical);
        for (int32_t i = 0; i < scene->rows * TOP_K; i++)
            if (physical[i] >= 0)
                loads[physical[i] / scene->slots]++;
        tokens[r] = scene->valid ? scene->valid : scene->rows;
    }
    struct ref_shape shape = {scene->ranks * scene->slots, scene->slots, size, scene->shared, rank};
    struct ref_waterfill call = {.shape = &shape,
                                 .dynamic = true,
                                 .top_k = TOP_K,
                                 .rows = scene->rows,
                                 .physical = physical,
                                 .loads = loads,
                                 .tokens = tokens};
    struct cf_setup setup;
    setup_rank(&setup, scene);
    cf_setup_comm(&setup, comm);
    setup.config.shared_policy = SLUICE_SHARED_WATERFILL_DYNAMIC;
    setup.config.uses = SLUICE_USE_BALANCE_NOW;
    sluice_context *context = cf_open(&setup);
    draw(scene, rank, ids);
    physical_of(scene, ids, physical);
    check(context, scene, rank, &call, ids);
    cf_api->close(context);
}

static void dynamic_mode(const void *what)
{
    const struct scene *scene = what;
    cf_run_ranks(scene->ranks, dynamic_rank, scene);
}

static void needs_use(const void *what)
{
    (void)what;
    struct cf_setup setup;
    cf_setup(&setup, 1, 8, 2, 1);
    setup.config.shared_policy = SLUICE_SHARED_WATERFILL_DYNAMIC;
    sluice_context *context = NULL;
    char text[256] = "";
    EXPECT_TEXT(text, cf_api->open(&setup.config, &context, text, sizeof text), SLUICE_INVALID,
                "BALANCE_NOW");
}

#define SCENE(...)                                                                                 \
    &(const struct scene)                                                                          \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* A newcomer cannot exchange before `set`: what its calls counted on the way must be forgotten. */
static void failed(const void *what)
{
    (void)what;
    struct cf_setup setup;
    cf_setup(&setup, 1, 4, 2, 1);
    cf_setup_rank(&setup, 1, 2);
    setup.config.flags = SLUICE_OPEN_JOIN;
    setup.config.uses = SLUICE_USE_BALANCE_NOW;
    setup.config.shared_policy = SLUICE_SHARED_WATERFILL_DYNAMIC;
    sluice_context *context = cf_open(&setup);
    struct cf_array *logits = cf_array(CF_F32, 5, 4), *slots = cf_array(CF_I32, 5, 3);
    struct cf_array *ids = cf_ids(CF_I32, 2, 2, (const int32_t[]){0, 9, 3, -7});
    const sluice_route_args route = {
        .struct_size = sizeof route, .logits = &logits->t, .dispatch_ids = &slots->t};
    EXPECT(context, cf_call_route(context, &route), SLUICE_NOT_READY, "set");
    int64_t counters[4];
    cf_counters(context, 0, counters, 4);
    for (int p = 0; p < 4; p++)
        CHECK_EQ(counters[p], 0, "counter %d after a route that failed", p);
    const sluice_remap_args remap = {
        .struct_size = sizeof remap, .ids = &ids->t, .dispatch_ids = &cf_array(CF_I32, 2, 3)->t};
    EXPECT(context, cf_call_remap(context, &remap), SLUICE_NOT_READY, "set");
    CHECK_EQ(cf_rejected(context, SLUICE_OP_REMAP), 0, "ids rejected by a remap that failed");
    cf_api->close(context);
}

static const struct cf_case CASES[] = {
    {"waterfill.static", "static waterfill gives SGLang's ranks", static_mode,
     SCENE(4, 8, 1, 200, 3, true, 0)},
    {"waterfill.static_hot", "static waterfill on a very uneven load", static_mode,
     SCENE(8, 4, 1, 128, 7, false, 0)},
    {"waterfill.static_shared_2", "static waterfill keeps a token's shared slots together",
     static_mode, SCENE(4, 8, 2, 100, 2, true, 0)},
    {"waterfill.static_padding", "padding rows count among the rows and get nothing", static_mode,
     SCENE(4, 8, 1, 80, 3, false, 41)},
    {"waterfill.few", "fewer than 64 rows keep their shared experts at home", static_mode,
     SCENE(4, 8, 1, 63, 7, true, 0)},
    {"waterfill.64", "64 rows do not", static_mode, SCENE(4, 8, 1, 64, 7, false, 0)},
    {"waterfill.dynamic", "dynamic waterfill gives SGLang's ranks on every rank", dynamic_mode,
     SCENE(4, 8, 1, 100, 1, true, 0)},
    {"waterfill.dynamic_hot", "dynamic waterfill under overload takes visited ranks only",
     dynamic_mode, SCENE(4, 8, 1, 100, 6, true, 0)},
    {"waterfill.dynamic_shared_2", "dynamic waterfill counts F rows a token", dynamic_mode,
     SCENE(3, 8, 2, 90, 4, true, 70)},
    {"waterfill.dynamic_few", "dynamic waterfill with few rows still exchanges and stays at home",
     dynamic_mode, SCENE(2, 8, 1, 20, 4, false, 0)},
    {"waterfill.needs_use", "dynamic waterfill must be asked for at open", needs_use, NULL},
    {"waterfill.failed", "a collective call that fails counts and rejects nothing", failed, NULL},
};
CF_LIST(cf_waterfill_cases, CASES);
