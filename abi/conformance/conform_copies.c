/* SPDX-License-Identifier: Apache-2.0
 * Which copy: the static and the random policy. */
#include <stdlib.h>
#include <string.h>

#include "conform_reference.h"

enum { RANKS = 8, SLOTS = 3, EXPERTS = 10, PHYSICAL = RANKS * SLOTS };

/* Expert 0 has copies on ranks 0, 0, 2 and 5; 1 on ranks 1, 4 and 7; 2 on ranks 3 and 6; the rest
 * fill up. */
static const int32_t MAP[PHYSICAL] = {3, 0, 0, 1, 4, 5, 0, 6, 7, 2, 8, 9,
                                      4, 1, 3, 0, 5, 6, 2, 7, 8, 9, 1, 3};

static sluice_context *open_rank(int32_t rank, const int32_t *node, int32_t policy, uint64_t seed)
{
    struct cf_setup setup;
    cf_setup(&setup, 1, EXPERTS, 2, 1);
    cf_setup_rank(&setup, rank, RANKS);
    setup.comm.node = node;
    setup.layer[0].slots_per_rank = SLOTS;
    setup.config.copy_policy = policy;
    setup.config.seed = seed;
    sluice_context *context = cf_open(&setup);
    cf_set_placement(context, 0, MAP, PHYSICAL);
    return context;
}

/* The copy that this context's rank takes for each expert. */
static void choices(sluice_context *context, int32_t *chosen)
{
    struct cf_array *ids = cf_array(CF_I32, EXPERTS, 2), *recorder = cf_array(CF_I32, EXPERTS, 2);
    for (int32_t e = 0; e < EXPERTS; e++) {
        cf_put(ids, e, 0, e);
        cf_put(ids, e, 1, -1);
    }
    sluice_remap_args args = {
        .struct_size = sizeof args, .ids = &ids->t, .recorder_ids = &recorder->t};
    EXPECT_OK(context, cf_call_remap(context, &args));
    for (int32_t e = 0; e < EXPERTS; e++) {
        chosen[e] = (int32_t)cf_id(recorder, e, 0);
        CHECK(chosen[e] >= 0 && chosen[e] < PHYSICAL, "expert %d went to %d", e, chosen[e]);
        CHECK_EQ(MAP[chosen[e]], e, "what physical expert %d holds", chosen[e]);
    }
}

static void static_own(const void *what)
{
    (void)what;
    for (int32_t rank = 0; rank < RANKS; rank++) {
        sluice_context *context = open_rank(rank, NULL, SLUICE_COPY_STATIC, 1);
        int32_t chosen[EXPERTS];
        choices(context, chosen);
        for (int32_t e = 0; e < EXPERTS; e++)
            for (int32_t s = SLOTS - 1; s >= 0; s--)
                if (MAP[rank * SLOTS + s] == e && (s == 0 || MAP[rank * SLOTS + s - 1] != e))
                    CHECK_EQ(chosen[e], rank * SLOTS + s, "rank %d's own copy of expert %d", rank,
                             e);
        cf_api->close(context);
    }
}

/* Ranks that have no copy of `expert`, all on one node, by the copy they take. */
static void count_users(int32_t expert, uint64_t seed, int32_t *users, int32_t *needing)
{
    memset(users, 0, PHYSICAL * sizeof *users);
    *needing = 0;
    for (int32_t rank = 0; rank < RANKS; rank++) {
        bool own = false;
        for (int32_t s = 0; s < SLOTS; s++)
            own = own || MAP[rank * SLOTS + s] == expert;
        if (own)
            continue;
        sluice_context *context = open_rank(rank, NULL, SLUICE_COPY_STATIC, seed);
        int32_t chosen[EXPERTS];
        choices(context, chosen);
        users[chosen[expert]]++;
        (*needing)++;
        cf_api->close(context);
    }
}

static void static_fair(const void *what)
{
    (void)what;
    for (int32_t e = 0; e < EXPERTS; e++) {
        int32_t users[PHYSICAL], needing, copies = 0;
        count_users(e, 5, users, &needing);
        for (int32_t p = 0; p < PHYSICAL; p++)
            copies += MAP[p] == e;
        for (int32_t p = 0; p < PHYSICAL; p++)
            if (MAP[p] == e)
                CHECK(users[p] == needing / copies || users[p] == (needing + copies - 1) / copies,
                      "%d of %d ranks use copy %d of %d of expert %d", users[p], needing, p, copies,
                      e);
    }
}

static void static_seeded(const void *what)
{
    (void)what;
    bool differs = false;
    int32_t first[EXPERTS], chosen[EXPERTS];
    for (uint64_t seed = 0; seed < 12; seed++) {
        sluice_context *context = open_rank(6, NULL, SLUICE_COPY_STATIC, seed);
        choices(context, chosen);
        if (seed == 0)
            memcpy(first, chosen, sizeof first);
        differs = differs || memcmp(first, chosen, sizeof first) != 0;
        choices(context, chosen);
        cf_api->close(context);
        context = open_rank(6, NULL, SLUICE_COPY_STATIC, seed);
        int32_t again[EXPERTS];
        choices(context, again);
        CHECK(memcmp(again, chosen, sizeof again) == 0, "the same seed gave another choice");
        cf_api->close(context);
    }
    CHECK(differs, "twelve seeds gave the same choices");
}

static void static_node(const void *what)
{
    (void)what;
    static const int32_t NODE[RANKS] = {4, 4, 4, 4, 9, 9, 9, 9};
    int32_t chosen[EXPERTS];
    sluice_context *context = open_rank(3, NODE, SLUICE_COPY_STATIC, 3);
    choices(context, chosen);
    CHECK_EQ(chosen[0], 1, "the lowest copy of expert 0 on the node of rank 3");
    CHECK_EQ(chosen[1], 3, "the copy of expert 1 on the node of rank 3");
    cf_api->close(context);
    context = open_rank(5, NODE, SLUICE_COPY_STATIC, 3);
    choices(context, chosen);
    CHECK_EQ(chosen[1], 13, "the lowest copy of expert 1 on the node of rank 5");
    CHECK_EQ(chosen[2], 18, "the copy of expert 2 on the node of rank 5");
    cf_api->close(context);
}

/* Draws of one call of 2 columns: expert 0 (4 copies) and 1 (3 copies). */
static struct cf_array *draw(sluice_context *context, int32_t rows, const int64_t *step)
{
    struct cf_array *ids = cf_array(CF_I32, rows, 2), *recorder = cf_array(CF_I32, rows, 2);
    for (int32_t t = 0; t < rows; t++)
        cf_put(ids, t, 1, 1);
    struct cf_array *at = step ? cf_scalar(*step) : NULL;
    sluice_remap_args args = {.struct_size = sizeof args,
                              .ids = &ids->t,
                              .step = at ? &at->t : NULL,
                              .recorder_ids = &recorder->t};
    EXPECT_OK(context, cf_call_remap(context, &args));
    return recorder;
}

static bool same(const struct cf_array *a, const struct cf_array *b)
{
    return memcmp(a->host, b->host, a->bytes) == 0;
}

static void random_fair(const void *what)
{
    (void)what;
    enum { ROWS = 6000 };
    sluice_context *context = open_rank(4, NULL, SLUICE_COPY_RANDOM, 9);
    struct cf_array *drawn = draw(context, ROWS, NULL);
    int32_t users[2][PHYSICAL] = {{0}}, pairs = 0;
    for (int32_t t = 0; t < ROWS; t++) {
        for (int32_t k = 0; k < 2; k++)
            users[k][cf_id(drawn, t, k)]++;
        pairs += cf_id(drawn, t, 0) == 1 && cf_id(drawn, t, 1) == 3;
    }
    for (int32_t p = 0; p < PHYSICAL; p++)
        for (int32_t k = 0; k < 2; k++) {
            int32_t want = MAP[p] != k ? 0 : k == 0 ? ROWS / 4 : ROWS / 3;
            CHECK(abs(users[k][p] - want) <= (want ? 300 : 0),
                  "copy %d of expert %d was drawn %d times, expected about %d", p, k, users[k][p],
                  want);
        }
    CHECK(abs(pairs - ROWS / 12) < 150, "the columns of a row are not drawn apart: %d of %d", pairs,
          ROWS / 12);
}

static void random_steps(const void *what)
{
    (void)what;
    const int64_t step[3] = {5, 6, 5 + (1LL << 33)};
    sluice_context *context = open_rank(4, NULL, SLUICE_COPY_RANDOM, 9);
    struct cf_array *a = draw(context, 400, &step[0]), *b = draw(context, 400, &step[0]);
    CHECK(same(a, b), "the same step drew two results");
    CHECK(!same(a, draw(context, 400, &step[1])), "another step drew the same");
    CHECK(!same(a, draw(context, 400, &step[2])), "a step 2^33 later drew the same");
    sluice_context *other = open_rank(4, NULL, SLUICE_COPY_RANDOM, 9);
    CHECK(same(a, draw(other, 400, &step[0])), "another context of the same seed drew another");
    other = open_rank(4, NULL, SLUICE_COPY_RANDOM, 10);
    CHECK(!same(a, draw(other, 400, &step[0])), "another seed drew the same");
}

static void random_counts_calls(const void *what)
{
    (void)what;
    sluice_context *a = open_rank(4, NULL, SLUICE_COPY_RANDOM, 9);
    sluice_context *b = open_rank(4, NULL, SLUICE_COPY_RANDOM, 9);
    struct cf_array *first = draw(a, 400, NULL), *second = draw(a, 400, NULL);
    CHECK(!same(first, second), "the second call drew what the first did");
    CHECK(same(first, draw(b, 400, NULL)), "the first calls of equal contexts differ");
    /* A refused call does not count; one without rows does. */
    sluice_remap_args bad = {.struct_size = sizeof bad};
    EXPECT(b, cf_call_remap(b, &bad), SLUICE_INVALID, "ids");
    CHECK(same(second, draw(b, 400, NULL)), "a refused call has moved the draws");
    struct cf_array *third = draw(a, 400, NULL);
    (void)draw(b, 0, NULL);
    CHECK(!same(third, draw(b, 400, NULL)), "a call without rows did not count");
}

static void random_rows(const void *what)
{
    (void)what;
    const int64_t step = 3;
    sluice_context *context = open_rank(4, NULL, SLUICE_COPY_RANDOM, 9);
    struct cf_array *whole = draw(context, 300, &step), *part = draw(context, 100, &step);
    CHECK(memcmp(whole->host, part->host, part->bytes) == 0,
          "the draws of a row depend on how many follow");
}

static void layers_differ(const void *what)
{
    (void)what;
    struct cf_setup setup;
    cf_setup(&setup, 2, EXPERTS, 2, 0);
    cf_setup_rank(&setup, 0, RANKS);
    setup.layer[0].slots_per_rank = setup.layer[1].slots_per_rank = SLOTS;
    setup.layer[1].bank = &setup.bank[0];
    setup.config.copy_policy = SLUICE_COPY_RANDOM;
    sluice_context *context = cf_open(&setup);
    cf_set_placement(context, 0, MAP, PHYSICAL);
    struct cf_array *ids = cf_array(CF_I32, 300, 2), *a = cf_array(CF_I32, 300, 2),
                    *b = cf_array(CF_I32, 300, 2), *step = cf_scalar(1);
    sluice_remap_args args = {
        .struct_size = sizeof args, .ids = &ids->t, .step = &step->t, .recorder_ids = &a->t};
    EXPECT_OK(context, cf_call_remap(context, &args));
    args.layer = 1;
    args.recorder_ids = &b->t;
    EXPECT_OK(context, cf_call_remap(context, &args));
    CHECK(!same(a, b), "two layers of one bank drew the same");
}

static const struct cf_case CASES[] = {
    {"copies.own", "the static choice is the lowest copy on the own rank", static_own, NULL},
    {"copies.fair", "ranks without a copy share the copies out fairly", static_fair, NULL},
    {"copies.seeded", "the static shares come from the seed, the same every time", static_seeded,
     NULL},
    {"copies.node", "the static choice is the lowest copy on the node, where not all are there",
     static_node, NULL},
    {"copies.random", "random takes every copy with equal chance, each column for itself",
     random_fair, NULL},
    {"copies.random_steps", "a random choice is a function of seed and step", random_steps, NULL},
    {"copies.random_calls", "without a step, executed calls are counted", random_counts_calls,
     NULL},
    {"copies.random_rows", "a row's draws do not depend on the other rows", random_rows, NULL},
    {"copies.random_layers", "layers of one bank draw apart", layers_differ, NULL},
};
CF_LIST(cf_copy_cases, CASES);
