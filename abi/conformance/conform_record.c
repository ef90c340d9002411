/* SPDX-License-Identifier: Apache-2.0
 * record and the counters of sluice.load/1. */
#include <string.h>

#include "conform.h"

static sluice_context *open_with(int32_t experts, int32_t top_k, int32_t shared)
{
    struct cf_setup setup;
    cf_setup(&setup, 1, experts, top_k, shared);
    return cf_open(&setup);
}

static sluice_context *open_sized(int32_t layers, int32_t experts, int32_t rank, int32_t ranks,
                                  int32_t shared)
{
    struct cf_setup setup;
    cf_setup(&setup, layers, experts, 1, shared);
    cf_setup_rank(&setup, rank, ranks);
    return cf_open(&setup);
}

static void record(sluice_context *context, int32_t layer, const struct cf_array *ids,
                   const struct cf_array *valid)
{
    sluice_record_args args = {.struct_size = sizeof args,
                               .layer = layer,
                               .recorder_ids = &ids->t,
                               .num_valid = valid ? &valid->t : NULL};
    EXPECT_OK(context, cf_call_record(context, &args));
}

static void expect(sluice_context *context, int32_t layer, const int64_t *want, int64_t physical)
{
    int64_t counters[64];
    cf_counters(context, layer, counters, physical);
    for (int64_t p = 0; p < physical; p++)
        CHECK_EQ(counters[p], want[p], "counter %d of layer %d", (int)p, layer);
}

#define WANT(...)                                                                                  \
    (const int64_t[])                                                                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void vector(const void *what)
{
    (void)what;
    sluice_context *context = open_sized(1, 4, 0, 1, 0);
    struct cf_array *ids = cf_ids(CF_I32, 5, 0, (const int32_t[]){-1, 0, 3, 4, 9});
    record(context, 0, ids, NULL);
    expect(context, 0, WANT(1, 0, 0, 1), 4);
    CHECK_EQ(cf_rejected(context, SLUICE_OP_RECORD), 2, "rejected ids");
}

static void wide(const void *what)
{
    (void)what;
    sluice_context *context = open_with(4, 3, 0);
    struct cf_array *ids = cf_strided(CF_I64, 2, 3, 5);
    const int64_t values[2][3] = {{0, 0x100000001, -1}, {3, INT64_MIN, 3}};
    for (int64_t t = 0; t < 2; t++)
        memcpy((int64_t *)ids->host + t * 5, values[t], sizeof values[t]);
    record(context, 0, ids, NULL);
    expect(context, 0, WANT(1, 0, 0, 2), 4);
    CHECK_EQ(cf_rejected(context, SLUICE_OP_RECORD), 2, "rejected ids");
}

static void padding(const void *what)
{
    (void)what;
    sluice_context *context = open_with(4, 2, 0);
    struct cf_array *ids = cf_ids(CF_I32, 3, 2, (const int32_t[]){0, 1, 2, 3, 3, 77});
    record(context, 0, ids, cf_scalar(2));
    expect(context, 0, WANT(1, 1, 1, 1), 4);
    record(context, 0, ids, cf_scalar(0));
    expect(context, 0, WANT(1, 1, 1, 1), 4);
    CHECK_EQ(cf_rejected(context, SLUICE_OP_RECORD), 0, "rejected ids in padding");
}

/* Slot ids with their shared columns, where recorder ids belong: all of them name an expert too. */
static void dispatch_ids(const void *what)
{
    (void)what;
    sluice_context *context = open_with(4, 2, 1);
    struct cf_array *ids = cf_ids(CF_I32, 2, 3, (const int32_t[]){0, 1, 3, 2, 0, 3});
    sluice_record_args args = {.struct_size = sizeof args, .recorder_ids = &ids->t};
    EXPECT(context, cf_call_record(context, &args), SLUICE_INVALID, "recorder_ids", "3", "2");
    expect(context, 0, WANT(0, 0, 0, 0), 4);
}

/* Hot ids many times, so that a sum kept in few bits anywhere shows. */
static void many(const void *what)
{
    (void)what;
    sluice_context *context = open_with(4, 2, 0);
    enum { ROWS = 70000 };
    struct cf_array *ids = cf_array(CF_I32, ROWS, 2);
    for (int32_t t = 0; t < ROWS; t++)
        cf_put(ids, t, 1, t % 7 == 0 ? 3 : -1);
    for (int i = 0; i < 3; i++)
        record(context, 0, ids, NULL);
    expect(context, 0, WANT(210000, 0, 0, 30000), 4);
}

static void sixty_four_bits(const void *what)
{
    (void)what;
    sluice_context *context = open_sized(1, 4, 1, 2, 1);
    struct cf_array *slots = cf_array(CF_I64, 3, 0);
    cf_put(slots, 0, 0, 3e9);
    cf_put(slots, 1, 0, 1);
    cf_put(slots, 2, 0, 4e9);
    const sluice_load_slots args = {sizeof args, .slot_counts = &slots->t};
    cf_push();
    for (int i = 0; i < 3; i++)
        EXPECT_OK(context, cf_load_api()->add_slots(context, &args));
    expect(context, 0, WANT(0, 0, 9000000000, 3), 4);
    struct cf_array *ids = cf_ids(CF_I32, 1, 0, (const int32_t[]){2});
    record(context, 0, ids, NULL);
    expect(context, 0, WANT(0, 0, 9000000001, 3), 4);
}

static void layers_apart(const void *what)
{
    (void)what;
    struct cf_setup setup;
    cf_setup(&setup, 3, 4, 1, 0);
    setup.layer[2].bank = &setup.bank[2];
    setup.bank[2] = 0;
    sluice_context *context = cf_open(&setup);
    struct cf_array *ids = cf_ids(CF_I32, 2, 0, (const int32_t[]){1, 3});
    record(context, 1, ids, NULL);
    expect(context, 0, WANT(0, 0, 0, 0), 4);
    expect(context, 1, WANT(0, 1, 0, 1), 4);
    record(context, 2, ids, NULL);
    expect(context, 0, WANT(0, 1, 0, 1), 4);
    expect(context, 2, WANT(0, 1, 0, 1), 4);
    int64_t all[3 * 6];
    memset(all, 0x11, sizeof all);
    EXPECT_OK(context, cf_load_api()->snapshot(context, all, 6, NULL));
    for (int32_t layer = 0; layer < 3; layer++)
        for (int32_t p = 0; p < 4; p++)
            CHECK_EQ(all[layer * 6 + p], layer < 2 && p % 2, "snapshot of layer %d, counter %d",
                     layer, p);
    EXPECT(context, cf_load_api()->snapshot(context, all, 3, NULL), SLUICE_INVALID, "stride");
    EXPECT(context, cf_load_api()->snapshot(context, NULL, 6, NULL), SLUICE_INVALID, "counts");
}

static void reset(const void *what)
{
    (void)what;
    sluice_context *context = open_sized(2, 4, 0, 1, 0);
    struct cf_array *ids = cf_ids(CF_I32, 2, 0, (const int32_t[]){1, 3});
    record(context, 0, ids, NULL);
    record(context, 1, ids, NULL);
    EXPECT_OK(context, cf_load_api()->reset(context, 1, NULL));
    expect(context, 0, WANT(0, 1, 0, 1), 4);
    expect(context, 1, WANT(0, 0, 0, 0), 4);
    EXPECT_OK(context, cf_load_api()->reset(context, -1, NULL));
    expect(context, 0, WANT(0, 0, 0, 0), 4);
    record(context, 0, ids, NULL);
    expect(context, 0, WANT(0, 1, 0, 1), 4);
    EXPECT(context, cf_load_api()->reset(context, 2, NULL), SLUICE_INVALID, "layer");
    EXPECT(context, cf_load_api()->reset(context, -2, NULL), SLUICE_INVALID, "layer");
}

static void logical(const void *what)
{
    (void)what;
    struct cf_setup setup;
    cf_setup(&setup, 1, 3, 1, 1);
    cf_setup_rank(&setup, 0, 2);
    setup.layer[0].slots_per_rank = 3;
    sluice_context *context = cf_open(&setup);
    cf_set_placement(context, 0, (const int32_t[]){2, 0, 0, 1, -1, 0}, 6);
    struct cf_array *ids = cf_ids(CF_I32, 8, 0, (const int32_t[]){0, 1, 2, 2, 3, 5, 5, 5});
    record(context, 0, ids, NULL);
    int64_t counts[3];
    EXPECT_OK(context, cf_load_api()->read_logical(context, 0, counts, 3, NULL));
    CHECK_EQ(counts[0], 6, "choices of expert 0, over its copies");
    CHECK_EQ(counts[1], 1, "choices of expert 1");
    CHECK_EQ(counts[2], 1, "choices of expert 2");
    EXPECT(context, cf_load_api()->read_logical(context, 0, counts, 2, NULL), SLUICE_INVALID,
           "count");
}

static void slots_checked(const void *what)
{
    (void)what;
    sluice_context *context = open_sized(1, 4, 1, 2, 2);
    struct cf_array *slots = cf_ids(CF_I32, 4, 0, (const int32_t[]){5, 6, 7, 8});
    sluice_load_slots args = {sizeof args, .slot_counts = &slots->t};
    cf_push();
    EXPECT_OK(context, cf_load_api()->add_slots(context, &args));
    expect(context, 0, WANT(0, 0, 5, 6), 4);
    cf_put(slots, 1, 0, -1);
    cf_push();
    sluice_status status = cf_load_api()->add_slots(context, &args);
    if (cf_memory) { /* a device does not know before it runs */
        EXPECT_OK(context, status);
        CHECK_EQ(cf_rejected(context, SLUICE_OP_RECORD), 1, "negative entries rejected");
    } else {
        EXPECT(context, status, SLUICE_INVALID, "slot_counts");
    }
    expect(context, 0, WANT(0, 0, 5, 6), 4);
    struct cf_array *small = cf_array(CF_I32, 2, 0);
    args.slot_counts = &small->t;
    EXPECT(context, cf_load_api()->add_slots(context, &args), SLUICE_INVALID, "slot_counts");
}

static void read_checked(const void *what)
{
    (void)what;
    sluice_context *context = open_sized(1, 4, 0, 1, 0);
    struct cf_array *narrow = cf_array(CF_I32, 4, 0), *small = cf_array(CF_I64, 3, 0);
    EXPECT(context, cf_load_api()->read(context, 0, &narrow->t, NULL), SLUICE_INVALID, "counts");
    EXPECT(context, cf_load_api()->read(context, 0, &small->t, NULL), SLUICE_INVALID, "counts");
    EXPECT(context, cf_load_api()->read(context, 0, NULL, NULL), SLUICE_INVALID, "counts");
}

static const struct cf_case CASES[] = {
    {"record.vector", "the vector: -1 is ignored, what is outside [0, P) is rejected and counted",
     vector, NULL},
    {"record.wide", "int64 ids and strided rows are counted as they are", wide, NULL},
    {"record.padding", "rows from num_valid on are not counted", padding, NULL},
    {"record.dispatch_ids", "ids with shared columns are refused and count nothing", dispatch_ids,
     NULL},
    {"record.many", "hundreds of thousands of ids are counted exactly", many, NULL},
    {"record.64_bits", "counters hold more than 32 bits", sixty_four_bits, NULL},
    {"record.layers", "each layer counts for itself, one with a bank for its bank", layers_apart,
     NULL},
    {"record.reset", "reset zeroes one layer or all", reset, NULL},
    {"record.logical", "read_logical sums over an expert's copies", logical, NULL},
    {"record.slots_checked",
     "add_slots counts this rank's routed slots and refuses what is negative", slots_checked, NULL},
    {"record.read_checked", "read wants an int64 tensor of P", read_checked, NULL},
};
CF_LIST(cf_record_cases, CASES);
