/* SPDX-License-Identifier: Apache-2.0
 * sluice.placement/1: what is in force, what is refused, which row holds what. */
#include <string.h>

#include "conform.h"

enum { RANKS = 3, SLOTS = 4, EXPERTS = 7, PHYSICAL = RANKS * SLOTS, SHARED = 2 };

static const int32_t MAP[PHYSICAL] = {6, 0, 0, 1, 2, -1, 3, 0, 4, 5, 6, 2};

static sluice_context *open_placed(void)
{
    struct cf_setup setup;
    cf_setup(&setup, 1, EXPERTS, 2, SHARED);
    cf_setup_rank(&setup, 1, RANKS);
    setup.layer[0].slots_per_rank = SLOTS;
    return cf_open(&setup);
}

static int64_t epoch_of(sluice_context *context)
{
    int32_t map[PHYSICAL];
    int64_t epoch = -1;
    EXPECT_OK(context, cf_placement()->get(context, 0, map, PHYSICAL, &epoch));
    return epoch;
}

static void expect_map(sluice_context *context, const int32_t *want)
{
    int32_t map[PHYSICAL];
    EXPECT_OK(context, cf_placement()->get(context, 0, map, PHYSICAL, NULL));
    for (int32_t p = 0; p < PHYSICAL; p++)
        CHECK_EQ(map[p], want[p], "physical expert %d", p);
}

static void trivial(const void *what)
{
    (void)what;
    sluice_context *context = open_placed();
    expect_map(context, (const int32_t[]){0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4});
    CHECK_EQ(epoch_of(context), 0, "epoch at open");
}

static void shape(const void *what)
{
    (void)what;
    struct cf_setup setup;
    cf_setup(&setup, 2, EXPERTS, 2, SHARED);
    cf_setup_rank(&setup, 1, RANKS);
    setup.config.max_ranks = 5;
    setup.layer[0].slots_per_rank = SLOTS;
    setup.layer[1].slots_per_rank = SLOTS;
    setup.layer[1].bank = &setup.bank[1];
    sluice_context *context = cf_open(&setup);
    sluice_placement_shape s = {.struct_size = sizeof s};
    EXPECT_OK(context, cf_placement()->shape(context, 1, &s));
    CHECK_EQ(s.experts, EXPERTS, "experts");
    CHECK_EQ(s.slots_per_rank, SLOTS, "slots_per_rank");
    CHECK_EQ(s.ranks, 5, "ranks, the reserved included");
    CHECK_EQ(s.shared, SHARED, "shared");
    CHECK_EQ(s.rank, 1, "rank");
    CHECK_EQ(s.bank, 0, "bank");
    CHECK_EQ(s.epoch, 0, "epoch");
    EXPECT(context, cf_placement()->shape(context, 2, &s), SLUICE_INVALID, "layer");
    cf_api->close(context);
    cf_setup(&setup, 1, EXPERTS, 2, 0);
    cf_setup_rank(&setup, 0, RANKS);
    context = cf_open(&setup);
    EXPECT_OK(context, cf_placement()->shape(context, 0, &s));
    CHECK_EQ(s.slots_per_rank, 3, "slots_per_rank of 7 experts on 3 ranks by default");
}

static void set_and_get(const void *what)
{
    (void)what;
    sluice_context *context = open_placed();
    cf_set_placement(context, 0, MAP, PHYSICAL);
    expect_map(context, MAP);
    CHECK_EQ(epoch_of(context), 1, "epoch after a set");
    EXPECT_OK(context, cf_placement()->set(context, 0, MAP, PHYSICAL, 9, NULL));
    CHECK_EQ(epoch_of(context), 9, "epoch that was given");
    cf_set_placement(context, 0, MAP, PHYSICAL);
    CHECK_EQ(epoch_of(context), 10, "epoch after the next set");
}

static void stale_epoch(const void *what)
{
    (void)what;
    sluice_context *context = open_placed();
    EXPECT_OK(context, cf_placement()->set(context, 0, MAP, PHYSICAL, 5, NULL));
    int32_t other[PHYSICAL];
    memcpy(other, MAP, sizeof other);
    other[5] = 6;
    EXPECT(context, cf_placement()->set(context, 0, other, PHYSICAL, 5, NULL), SLUICE_STALE,
           "epoch");
    EXPECT(context, cf_placement()->set(context, 0, other, PHYSICAL, 3, NULL), SLUICE_STALE,
           "epoch");
    expect_map(context, MAP);
    CHECK_EQ(epoch_of(context), 5, "epoch after a refused set");
}

static void refused(const void *what)
{
    (void)what;
    sluice_context *context = open_placed();
    int32_t map[PHYSICAL];
    cf_set_placement(context, 0, MAP, PHYSICAL);
    memcpy(map, MAP, sizeof map);
    map[5] = EXPERTS;
    EXPECT(context, cf_placement()->set(context, 0, map, PHYSICAL, 0, NULL), SLUICE_INVALID, "5",
           "7");
    map[5] = -2;
    EXPECT(context, cf_placement()->set(context, 0, map, PHYSICAL, 0, NULL), SLUICE_INVALID, "5",
           "-2");
    memcpy(map, MAP, sizeof map);
    map[6] = 0; /* nobody holds expert 3 */
    EXPECT(context, cf_placement()->set(context, 0, map, PHYSICAL, 0, NULL), SLUICE_INVALID, "3");
    EXPECT(context, cf_placement()->set(context, 0, MAP, PHYSICAL - 1, 0, NULL), SLUICE_INVALID,
           "count");
    EXPECT(context, cf_placement()->set(context, 0, NULL, PHYSICAL, 0, NULL), SLUICE_INVALID,
           "map");
    EXPECT(context, cf_placement()->set(context, 4, MAP, PHYSICAL, 0, NULL), SLUICE_INVALID,
           "layer");
    EXPECT(context, cf_placement()->get(context, 0, map, PHYSICAL + 1, NULL), SLUICE_INVALID,
           "count");
    expect_map(context, MAP);
    CHECK_EQ(epoch_of(context), 1, "epoch after refused sets");
}

static void validate(const void *what)
{
    (void)what;
    const sluice_placement_api *api = cf_placement();
    char text[256] = "";
    int32_t map[6] = {0, 1, 2, 0, -1, 1};
    EXPECT_TEXT(text, api->validate(3, 3, 2, map, 6, text, sizeof text), SLUICE_OK, NULL);
    map[2] = 3;
    EXPECT_TEXT(text, api->validate(3, 3, 2, map, 6, text, sizeof text), SLUICE_INVALID, "3", "2");
    map[2] = -1;
    EXPECT_TEXT(text, api->validate(3, 3, 2, map, 6, text, sizeof text), SLUICE_INVALID, "expert",
                "2");
    map[2] = 2;
    EXPECT_TEXT(text, api->validate(3, 3, 4, map, 6, text, sizeof text), SLUICE_INVALID, "6", "4");
    EXPECT_TEXT(text, api->validate(3, 3, 0, map, 6, text, sizeof text), SLUICE_INVALID, "ranks");
    EXPECT_TEXT(text, api->validate(3, 0, 2, map, 6, text, sizeof text), SLUICE_INVALID, "experts");
    EXPECT_TEXT(text, api->validate(3, 3, 2, NULL, 6, text, sizeof text), SLUICE_INVALID, "map");
    CHECK_EQ(api->validate(3, 3, 2, NULL, 6, NULL, 0), SLUICE_INVALID, "validate without a text");
}

static void rows(const void *what)
{
    (void)what;
    sluice_context *context = open_placed();
    cf_set_placement(context, 0, MAP, PHYSICAL);
    for (int32_t rank = 0; rank < RANKS; rank++) {
        int32_t holds[SLOTS + SHARED];
        EXPECT_OK(context, cf_placement()->rows(context, 0, rank, holds, SLOTS + SHARED));
        for (int32_t s = 0; s < SLOTS; s++)
            CHECK_EQ(holds[s], MAP[rank * SLOTS + s], "row %d of rank %d", s, rank);
        for (int32_t j = 0; j < SHARED; j++)
            CHECK_EQ(holds[SLOTS + j], SLUICE_ROW_SHARED(j), "shared row %d of rank %d", j, rank);
    }
    int32_t holds[SLOTS + SHARED];
    EXPECT(context, cf_placement()->rows(context, 0, RANKS, holds, SLOTS + SHARED), SLUICE_INVALID,
           "rank");
    EXPECT(context, cf_placement()->rows(context, 0, 0, holds, SLOTS), SLUICE_INVALID, "count");
}

static void find(const void *what)
{
    (void)what;
    const sluice_placement_api *api = cf_placement();
    sluice_context *context = open_placed();
    cf_set_placement(context, 0, MAP, PHYSICAL);
    int32_t list[8], count = -1;
    EXPECT_OK(context, api->find(context, 0, 0, 0, list, 8, &count));
    CHECK(count == 2 && list[0] == 1 && list[1] == 2, "rows of expert 0 on rank 0: %d", count);
    EXPECT_OK(context, api->find(context, 0, 1, 6, list, 8, &count));
    CHECK_EQ(count, 0, "rows of expert 6 on rank 1");
    EXPECT_OK(context, api->find(context, 0, 2, SLUICE_ROW_SHARED(1), list, 8, &count));
    CHECK(count == 1 && list[0] == SLOTS + 1, "rows of shared expert 1: %d", count);
    EXPECT(context, api->find(context, 0, 0, 0, list, 1, &count), SLUICE_OVERFLOW, "2");
    CHECK_EQ(count, 2, "how many there are beyond the capacity");
    EXPECT(context, api->find(context, 0, 0, EXPERTS, list, 8, &count), SLUICE_INVALID, "expert");
    EXPECT(context, api->find(context, 0, 0, SLUICE_ROW_SHARED(2), list, 8, &count), SLUICE_INVALID,
           "expert");
    EXPECT(context, api->find(context, 0, -1, 0, list, 8, &count), SLUICE_INVALID, "rank");
}

static void copies(const void *what)
{
    (void)what;
    const sluice_placement_api *api = cf_placement();
    sluice_context *context = open_placed();
    cf_set_placement(context, 0, MAP, PHYSICAL);
    int32_t list[8], count = -1;
    EXPECT_OK(context, api->copies(context, 0, 0, list, 8, &count));
    CHECK(count == 3 && list[0] == 1 && list[1] == 2 && list[2] == 7, "copies of expert 0: %d",
          count);
    EXPECT_OK(context, api->copies(context, 0, 5, list, 1, &count));
    CHECK(count == 1 && list[0] == 9, "copies of expert 5: %d", count);
    EXPECT(context, api->copies(context, 0, 0, list, 2, &count), SLUICE_OVERFLOW, "3");
    EXPECT(context, api->copies(context, 0, -1, list, 8, &count), SLUICE_INVALID, "expert");
}

static void in_force(const void *what)
{
    (void)what;
    struct cf_setup setup;
    cf_setup(&setup, 2, EXPERTS, 2, SHARED);
    cf_setup_rank(&setup, 1, RANKS);
    setup.layer[0].slots_per_rank = setup.layer[1].slots_per_rank = SLOTS;
    setup.layer[1].bank = &setup.bank[1];
    sluice_context *context = cf_open(&setup);
    struct cf_array *ids = cf_ids(CF_I32, 1, 2, (const int32_t[]){3, 5}),
                    *slots = cf_array(CF_I32, 1, 4), *recorder = cf_array(CF_I32, 1, 2);
    sluice_remap_args args = {.struct_size = sizeof args,
                              .layer = 1,
                              .ids = &ids->t,
                              .dispatch_ids = &slots->t,
                              .recorder_ids = &recorder->t};
    cf_set_placement(context, 1, MAP, PHYSICAL);
    EXPECT_OK(context, cf_call_remap(context, &args));
    CHECK_EQ(cf_id(recorder, 0, 0), 6, "where expert 3 is now");
    CHECK_EQ(cf_id(slots, 0, 0), 6 + SHARED, "the slot of expert 3");
    CHECK_EQ(cf_id(recorder, 0, 1), 9, "where expert 5 is now");
    args.layer = 0;
    EXPECT_OK(context, cf_call_remap(context, &args));
    CHECK_EQ(cf_id(recorder, 0, 0), 6, "where expert 3 is for the bank's own layer");
}

static const struct cf_case CASES[] = {
    {"placement.trivial", "at open physical expert p holds expert p mod E", trivial, NULL},
    {"placement.shape", "shape says the layer's numbers", shape, NULL},
    {"placement.set", "get gives what set put in force, and epochs rise", set_and_get, NULL},
    {"placement.stale", "an epoch that has passed is STALE and changes nothing", stale_epoch, NULL},
    {"placement.refused", "a map that is none is refused by slot and value and changes nothing",
     refused, NULL},
    {"placement.validate", "validate tells a placement from none, without a context", validate,
     NULL},
    {"placement.rows", "rows says what each local row of any rank holds", rows, NULL},
    {"placement.find", "find gives the rows of an expert, a shared one too", find, NULL},
    {"placement.copies", "copies gives all physical experts of one", copies, NULL},
    {"placement.in_force", "remap follows the placement in force, through the bank", in_force,
     NULL},
};
CF_LIST(cf_placement_cases, CASES);
