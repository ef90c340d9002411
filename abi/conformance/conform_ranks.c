/* SPDX-License-Identifier: Apache-2.0
 * sluice.ranks/1 without an exchange: who lives and what that does to choices. */
#include <string.h>

#include "conform.h"

enum { RANKS = 4, SLOTS = 3, EXPERTS = 8, PHYSICAL = RANKS * SLOTS };

/* Expert 2 lives on rank 1 only, expert 0 on ranks 0, 1 and 3. */
static const int32_t MAP[PHYSICAL] = {0, 1, 3, 2, 0, 4, 5, 6, 7, 0, 3, 1};

static sluice_context *open_rank(int32_t rank, int32_t size, int32_t most)
{
    struct cf_setup setup;
    cf_setup(&setup, 1, EXPERTS, 4, 1);
    cf_setup_rank(&setup, rank, size);
    setup.config.max_ranks = most;
    setup.layer[0].slots_per_rank = SLOTS;
    sluice_context *context = cf_open(&setup);
    cf_set_placement(context, 0, MAP, PHYSICAL);
    return context;
}

/* `own`: number of this rank among the living. */
static sluice_status set(sluice_context *context, int64_t generation, const uint8_t *alive,
                         int32_t own)
{
    int32_t living = 0;
    for (int32_t r = 0; r < RANKS; r++)
        living += alive[r];
    const sluice_comm comm = {.struct_size = sizeof comm, .rank = own, .size = living};
    const sluice_ranks ranks = {sizeof ranks, .generation = generation, .alive = alive,
                                .comm = &comm};
    return cf_ranks()->set(context, &ranks, NULL);
}

struct mapped {
    struct cf_array *slots, *weights, *recorder;
};

static struct mapped map(sluice_context *context, const int32_t *ids)
{
    struct mapped out = {cf_array(CF_I32, 1, 5), cf_array(CF_F32, 1, 5), cf_array(CF_I32, 1, 4)};
    struct cf_array *in = cf_ids(CF_I32, 1, 4, ids);
    struct cf_array *weights = cf_floats(1, 4, (const float[]){0.4F, 0.3F, 0.2F, 0.1F});
    const sluice_remap_args args = {.struct_size = sizeof args,
                                    .ids = &in->t,
                                    .weights = &weights->t,
                                    .dispatch_ids = &out.slots->t,
                                    .dispatch_weights = &out.weights->t,
                                    .recorder_ids = &out.recorder->t};
    EXPECT_OK(context, cf_call_remap(context, &args));
    return out;
}

static void dead_choice(const void *what)
{
    (void)what;
    sluice_context *context = open_rank(2, RANKS, 0);
    static const uint8_t ALIVE[RANKS] = {1, 0, 1, 1};
    EXPECT_OK(context, set(context, 1, ALIVE, 1));
    struct mapped out = map(context, (const int32_t[]){2, 5, 0, 4});
    CHECK_EQ(cf_id(out.recorder, 0, 0), -1, "a choice without a living copy");
    CHECK_EQ(cf_id(out.slots, 0, 0), -1, "its slot");
    CHECK(cf_get(out.weights, 0, 0) == 0, "its weight is not 0");
    CHECK_EQ(cf_id(out.recorder, 0, 1), 6, "a living one beside it");
    CHECK((float)cf_get(out.weights, 0, 1) == 0.3F, "the weights were renormalised");
    CHECK_EQ(cf_id(out.recorder, 0, 3), -1, "another without a living copy");
    CHECK_EQ(cf_id(out.slots, 0, 4), 2 * (SLOTS + 1) + SLOTS, "the shared column");
    sluice_stats stats = {.struct_size = sizeof stats};
    EXPECT_OK(context, cf_stats()->read(context, &stats));
    CHECK_EQ(stats.dead, 2, "dead choices that were counted");
    CHECK_EQ(stats.rejected[SLUICE_OP_REMAP], 0, "dead choices counted as rejected");
}

/* `what`: the copy policy. */
static void living_copies(const void *what)
{
    static const uint8_t ALIVE[RANKS] = {0, 1, 1, 1};
    struct cf_setup setup;
    cf_setup(&setup, 1, EXPERTS, 1, 0);
    cf_setup_rank(&setup, 2, RANKS);
    setup.layer[0].slots_per_rank = SLOTS;
    setup.config.copy_policy = *(const int32_t *)what;
    for (uint64_t seed = 0; seed < 8; seed++) {
        setup.config.seed = seed;
        sluice_context *context = cf_open(&setup);
        cf_set_placement(context, 0, MAP, PHYSICAL);
        EXPECT_OK(context, set(context, 1, ALIVE, 1));
        struct cf_array *ids = cf_array(CF_I32, 200, 1), *recorder = cf_array(CF_I32, 200, 1);
        const sluice_remap_args args = {
            .struct_size = sizeof args, .ids = &ids->t, .recorder_ids = &recorder->t};
        EXPECT_OK(context, cf_call_remap(context, &args));
        for (int32_t t = 0; t < 200; t++)
            CHECK(cf_id(recorder, t, 0) == 4 || cf_id(recorder, t, 0) == 9,
                  "expert 0 went to copy %d while rank 0 is dead", (int)cf_id(recorder, t, 0));
        cf_api->close(context);
    }
}

static void reserved(const void *what)
{
    (void)what;
    sluice_context *context = open_rank(1, 3, RANKS);
    uint8_t alive[RANKS];
    EXPECT_OK(context, cf_ranks()->alive(context, alive, RANKS));
    CHECK(alive[0] && alive[1] && alive[2] && !alive[3], "a reserved rank is not dead at open");
    struct mapped out = map(context, (const int32_t[]){1, 3, 0, 7});
    CHECK_EQ(cf_id(out.recorder, 0, 0), 1, "expert 1, with a copy on a reserved rank");
    CHECK_EQ(cf_id(out.recorder, 0, 1), 2, "expert 3, with a copy on a reserved rank");
    CHECK_EQ(cf_id(out.recorder, 0, 2), 4, "the own copy of expert 0");
    static const uint8_t ALL[RANKS] = {0, 1, 1, 1};
    EXPECT_OK(context, set(context, 4, ALL, 0));
    out = map(context, (const int32_t[]){1, 3, 0, 7});
    CHECK_EQ(cf_id(out.recorder, 0, 0), 11, "expert 1 after the newcomer came and rank 0 died");
    CHECK_EQ(cf_id(out.recorder, 0, 1), 10, "expert 3 after the newcomer came and rank 0 died");
    CHECK_EQ(cf_id(out.slots, 0, 4), 1 * (SLOTS + 1) + SLOTS,
             "the shared slot: rank numbers never change");
}

static void generations(const void *what)
{
    (void)what;
    sluice_context *context = open_rank(0, RANKS, 0);
    static const uint8_t ALIVE[RANKS] = {1, 1, 0, 1}, SELF[RANKS] = {0, 1, 1, 1},
                         BAD[RANKS] = {1, 1, 2, 0};
    CHECK_EQ(cf_ranks()->generation(context), 0, "generation at open");
    EXPECT_OK(context, set(context, 3, ALIVE, 0));
    CHECK_EQ(cf_ranks()->generation(context), 3, "generation that was set");
    EXPECT(context, set(context, 3, ALIVE, 0), SLUICE_STALE, "generation");
    EXPECT(context, set(context, 2, ALIVE, 0), SLUICE_STALE, "generation");
    EXPECT(context, set(context, 4, SELF, 0), SLUICE_INVALID, "alive[0]");
    EXPECT(context, set(context, 4, BAD, 0), SLUICE_INVALID, "alive[2]");
    EXPECT(context, set(context, 4, ALIVE, 1), SLUICE_INVALID, "comm");
    sluice_ranks ranks = {sizeof ranks, .generation = 5};
    EXPECT(context, cf_ranks()->set(context, &ranks, NULL), SLUICE_INVALID, "alive");
    CHECK_EQ(cf_ranks()->generation(context), 3, "generation after refused sets");
    uint8_t alive[RANKS];
    EXPECT_OK(context, cf_ranks()->alive(context, alive, RANKS));
    CHECK(memcmp(alive, ALIVE, sizeof alive) == 0, "the mask after refused sets");
    EXPECT(context, cf_ranks()->alive(context, alive, RANKS - 1), SLUICE_INVALID, "count");
}

static void comes_back(const void *what)
{
    (void)what;
    sluice_context *context = open_rank(2, RANKS, 0);
    static const uint8_t FEWER[RANKS] = {1, 0, 1, 1}, ALL[RANKS] = {1, 1, 1, 1};
    struct mapped before = map(context, (const int32_t[]){0, 1, 2, 3});
    EXPECT_OK(context, set(context, 1, FEWER, 1));
    EXPECT_OK(context, set(context, 2, ALL, 2));
    struct mapped after = map(context, (const int32_t[]){0, 1, 2, 3});
    for (int32_t k = 0; k < 4; k++)
        CHECK_EQ(cf_id(after.recorder, 0, k), cf_id(before.recorder, 0, k),
                 "choice %d after a rank died and came back", k);
}

static void no_fault(const void *what)
{
    (void)what;
    sluice_context *context = open_rank(0, RANKS, 0);
    sluice_fault fault = {.struct_size = sizeof fault, .kind = 9};
    EXPECT_OK(context, cf_ranks()->poll(context, &fault));
    CHECK_EQ(fault.kind, SLUICE_FAULT_NONE, "kind of no fault");
    CHECK_EQ((int64_t)fault.count, 0, "number of faults");
    EXPECT_OK(context, cf_ranks()->clear(context));
}

#define INT(value_)                                                                                \
    &(const int32_t)                                                                               \
    {                                                                                              \
        value_                                                                                     \
    }

static const struct cf_case CASES[] = {
    {"ranks.dead_choice", "a choice without a living copy is -1, weight 0, counted as dead",
     dead_choice, NULL},
    {"ranks.static", "the static choice is a living copy", living_copies, INT(SLUICE_COPY_STATIC)},
    {"ranks.random", "the random choice is a living copy", living_copies, INT(SLUICE_COPY_RANDOM)},
    {"ranks.reserved", "reserved ranks are dead until set, and keep their numbers", reserved, NULL},
    {"ranks.generation", "generations rise, and a refused verdict changes nothing", generations,
     NULL},
    {"ranks.back", "a rank that comes back gets what it had", comes_back, NULL},
    {"ranks.no_fault", "without a fault the record is empty", no_fault, NULL},
};
CF_LIST(cf_rank_cases, CASES);
