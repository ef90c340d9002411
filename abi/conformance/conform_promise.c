/* SPDX-License-Identifier: Apache-2.0
 * The first promise, on every path: what is counted is routed physical experts, and nothing of the
 * shared ones. */
#include <stdlib.h>
#include <string.h>

#include "../ext/balance.h"
#include "conform_reference.h"

enum { RANKS = 4, SLOTS = 6, EXPERTS = 18, PHYSICAL = RANKS * SLOTS, TOP_K = 4, ROWS = 96 };

struct path {
    int32_t shared;        /* F */
    int32_t shared_policy; /* of the config */
    bool fused;            /* route instead of topk, remap, record */
    int32_t copy_policy;
    bool every_row;
};

static sluice_context *open_path(const struct path *path)
{
    struct cf_setup setup;
    cf_setup(&setup, 1, EXPERTS, TOP_K, path->shared);
    cf_setup_rank(&setup, 2, RANKS);
    setup.router[0].zero_experts = 4;
    setup.layer[0].slots_per_rank = SLOTS;
    setup.config.shared_policy = path->shared_policy;
    setup.config.copy_policy = path->copy_policy;
    if (path->every_row)
        setup.config.flags = SLUICE_OPEN_EVERY_RANK_EVERY_ROW;
    return cf_open(&setup);
}

struct tensors {
    struct cf_array *logits, *valid, *ids, *weights, *slots, *recorder;
};

static struct tensors make_tensors(int32_t columns)
{
    struct tensors x = {cf_array(CF_F32, ROWS, EXPERTS + 4), cf_scalar(ROWS - 9),
                        cf_array(CF_I32, ROWS, TOP_K),       cf_array(CF_F32, ROWS, TOP_K),
                        cf_array(CF_I32, ROWS, columns),     cf_array(CF_I32, ROWS, TOP_K)};
    struct cf_random random = {.state = 3};
    for (int32_t t = 0; t < ROWS; t++)
        for (int32_t e = 0; e < EXPERTS + 4; e++)
            cf_put(x.logits, t, e, cf_normal(&random) + (e > 12));
    return x;
}

static void run_split(sluice_context *context, const struct tensors *x)
{
    const sluice_topk_args topk = {sizeof topk, .logits = &x->logits->t, .num_valid = &x->valid->t,
                                   .ids = &x->ids->t, .weights = &x->weights->t};
    EXPECT_OK(context, cf_call_topk(context, &topk));
    const sluice_remap_args remap = {sizeof remap, .ids = &x->ids->t, .num_valid = &x->valid->t,
                                     .dispatch_ids = &x->slots->t, .recorder_ids = &x->recorder->t};
    EXPECT_OK(context, cf_call_remap(context, &remap));
    const sluice_record_args record = {sizeof record, .recorder_ids = &x->recorder->t,
                                       .num_valid = &x->valid->t};
    EXPECT_OK(context, cf_call_record(context, &record));
}

static void run_fused(sluice_context *context, const struct tensors *x)
{
    const sluice_route_args route = {sizeof route,
                                     .logits = &x->logits->t,
                                     .num_valid = &x->valid->t,
                                     .dispatch_ids = &x->slots->t,
                                     .recorder_ids = &x->recorder->t,
                                     .ids = &x->ids->t,
                                     .weights = &x->weights->t};
    EXPECT_OK(context, cf_call_route(context, &route));
}

/* Counters, recorder ids and dispatch ids tell the same story: one count for each valid choice, at
 * the physical expert whose slot it was sent to. */
static void counts_are_routed(const void *what)
{
    const struct path *path = what;
    if (path->shared_policy == SLUICE_SHARED_LEVEL && !cf_api->extension(SLUICE_EXT_BALANCE))
        cf_skip("sluice.balance/1 is not served");
    sluice_context *context = open_path(path);
    int32_t shared = path->shared_policy == SLUICE_SHARED_NOT_FUSED ? 0 : path->shared;
    struct ref_shape shape = {EXPERTS, SLOTS, RANKS, shared, 2};
    struct tensors x = make_tensors(TOP_K + shared);
    if (path->fused)
        run_fused(context, &x);
    else
        run_split(context, &x);
    int64_t want[PHYSICAL] = {0}, got[PHYSICAL], choices = 0, sum = 0;
    for (int32_t t = 0; t < ROWS; t++)
        for (int32_t k = 0; k < TOP_K; k++) {
            int64_t e = cf_id(x.ids, t, k), p = cf_id(x.recorder, t, k), s = cf_id(x.slots, t, k);
            choices += e >= 0;
            CHECK_EQ(p >= 0, e >= 0, "recorder id of row %d, column %d is there", t, k);
            CHECK_EQ(s, p < 0 ? -1 : ref_slot(&shape, p), "slot of recorder id %d", (int)p);
            if (p >= 0)
                CHECK_EQ(p % EXPERTS, e, "what physical expert %d holds", (int)p);
            if (p >= 0 && p < PHYSICAL)
                want[p]++;
        }
    CHECK(choices > 0, "the suite chose nothing");
    cf_counters(context, 0, got, PHYSICAL);
    for (int32_t p = 0; p < PHYSICAL; p++) {
        CHECK_EQ(got[p], want[p], "counter %d", p);
        sum += got[p];
    }
    CHECK_EQ(sum, choices, "the sum of the counters");
    CHECK_EQ(cf_rejected(context, SLUICE_OP_RECORD), 0, "ids that record rejected");
}

static void slots_drop_shared(const void *what)
{
    int32_t shared = *(const int32_t *)what;
    struct path path = {.shared = shared};
    sluice_context *context = open_path(&path);
    struct cf_array *slots = cf_array(CF_I32, SLOTS + shared, 0);
    for (int32_t s = 0; s < SLOTS + shared; s++)
        cf_put(slots, s, 0, 100 + s);
    const sluice_load_slots args = {sizeof args, .slot_counts = &slots->t};
    cf_push();
    EXPECT_OK(context, cf_load_api()->add_slots(context, &args));
    int64_t got[PHYSICAL];
    cf_counters(context, 0, got, PHYSICAL);
    for (int32_t p = 0; p < PHYSICAL; p++)
        CHECK_EQ(got[p], p / SLOTS == 2 ? 100 + p % SLOTS : 0, "counter %d", p);
}

static void skip_record(const void *what)
{
    (void)what;
    struct path path = {.shared = 1, .fused = true};
    sluice_context *context = open_path(&path);
    struct tensors x = make_tensors(TOP_K + 1);
    const sluice_route_args route = {sizeof route, .skip_record = 1, .logits = &x.logits->t,
                                     .dispatch_ids = &x.slots->t};
    EXPECT_OK(context, cf_call_route(context, &route));
    int64_t got[PHYSICAL];
    cf_counters(context, 0, got, PHYSICAL);
    for (int32_t p = 0; p < PHYSICAL; p++)
        CHECK_EQ(got[p], 0, "counter %d after a route that records nothing", p);
}

#define PATH(...)                                                                                  \
    &(const struct path)                                                                           \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define INT(value_)                                                                                \
    &(const int32_t)                                                                               \
    {                                                                                              \
        value_                                                                                     \
    }

static const struct cf_case CASES[] = {
    {"promise1.split_0", "topk, remap, record count routed choices only, F = 0", counts_are_routed,
     PATH(.shared = 0)},
    {"promise1.split_1", "topk, remap, record count routed choices only, F = 1", counts_are_routed,
     PATH(.shared = 1)},
    {"promise1.split_2", "topk, remap, record count routed choices only, F = 2", counts_are_routed,
     PATH(.shared = 2)},
    {"promise1.split_4", "topk, remap, record count routed choices only, F = 4", counts_are_routed,
     PATH(.shared = 4)},
    {"promise1.fused_0", "route counts routed choices only, F = 0", counts_are_routed,
     PATH(.shared = 0, .fused = true)},
    {"promise1.fused_1", "route counts routed choices only, F = 1", counts_are_routed,
     PATH(.shared = 1, .fused = true)},
    {"promise1.fused_4", "route counts routed choices only, F = 4", counts_are_routed,
     PATH(.shared = 4, .fused = true)},
    {"promise1.not_fused", "shared experts that are no slots are not counted", counts_are_routed,
     PATH(.shared = 2, .shared_policy = SLUICE_SHARED_NOT_FUSED)},
    {"promise1.waterfill", "waterfill's shared columns are not counted", counts_are_routed,
     PATH(.shared = 1, .shared_policy = SLUICE_SHARED_WATERFILL_STATIC)},
    {"promise1.waterfill_fused", "waterfill's shared columns are not counted by route",
     counts_are_routed,
     PATH(.shared = 2, .shared_policy = SLUICE_SHARED_WATERFILL_STATIC, .fused = true)},
    {"promise1.random", "random copies are counted where they were sent", counts_are_routed,
     PATH(.shared = 1, .copy_policy = SLUICE_COPY_RANDOM, .fused = true)},
    {"promise1.level", "shared columns that were moved for balance are not counted",
     counts_are_routed, PATH(.shared = 2, .shared_policy = SLUICE_SHARED_LEVEL)},
    {"promise1.level_fused", "nor by route", counts_are_routed,
     PATH(.shared = 2, .shared_policy = SLUICE_SHARED_LEVEL, .fused = true)},
    {"promise1.balanced", "copies by quota are counted where they were sent", counts_are_routed,
     PATH(.shared = 1, .shared_policy = SLUICE_SHARED_LEVEL, .copy_policy = SLUICE_COPY_BALANCED)},
    {"promise1.balanced_fused", "route counts copies by quota, and no shared column",
     counts_are_routed,
     PATH(.shared = 2, .shared_policy = SLUICE_SHARED_LEVEL, .copy_policy = SLUICE_COPY_BALANCED,
          .fused = true)},
    {"promise1.every_row", "every rank on every row counts routed choices only", counts_are_routed,
     PATH(.shared = 2, .every_row = true, .fused = true)},
    {"promise1.slots_0", "add_slots counts all slots where none is shared", slots_drop_shared,
     INT(0)},
    {"promise1.slots_1", "add_slots drops the shared slot", slots_drop_shared, INT(1)},
    {"promise1.slots_4", "add_slots drops all four shared slots", slots_drop_shared, INT(4)},
    {"promise1.skip_record", "route counts nothing when told so", skip_record, NULL},
};
CF_LIST(cf_promise_cases, CASES);
