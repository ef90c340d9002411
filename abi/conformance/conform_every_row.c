/* SPDX-License-Identifier: Apache-2.0
 * Every rank computes every row: choices depend on the global row only, and one rank alone serves
 * a row's shared and zero experts. */
#include "conform_reference.h"

enum { RANKS = 4, SLOTS = 3, EXPERTS = 7, PHYSICAL = RANKS * SLOTS, ROWS = 50, BASE = 1001 };

static const int32_t MAP[PHYSICAL] = {0, 1, 2, 3, 4, 0, 5, 6, 0, 1, 2, 5};

struct outcome {
    struct cf_array *slots, *weights, *recorder, *zero;
};

static sluice_context *open_rank(int32_t rank, int32_t policy)
{
    struct cf_setup setup;
    cf_setup(&setup, 1, EXPERTS, 3, 2);
    cf_setup_rank(&setup, rank, RANKS);
    setup.router[0].zero_experts = 1;
    setup.layer[0].slots_per_rank = SLOTS;
    setup.config.copy_policy = policy;
    setup.config.flags = SLUICE_OPEN_EVERY_RANK_EVERY_ROW;
    sluice_context *context = cf_open(&setup);
    cf_set_placement(context, 0, MAP, PHYSICAL);
    return context;
}

static struct outcome run(sluice_context *context)
{
    struct outcome out = {cf_array(CF_I32, ROWS, 5), cf_array(CF_F32, ROWS, 5),
                          cf_array(CF_I32, ROWS, 3), cf_array(CF_F32, ROWS, 0)};
    struct cf_array *ids = cf_array(CF_I32, ROWS, 3), *weights = cf_array(CF_F32, ROWS, 3);
    struct cf_array *zero = cf_array(CF_F32, ROWS, 0), *base = cf_scalar(BASE);
    for (int32_t t = 0; t < ROWS; t++) {
        cf_put(zero, t, 0, t + 1);
        for (int32_t k = 0; k < 3; k++) {
            cf_put(ids, t, k, k == 0 ? 0 : (t + 2 * k) % EXPERTS);
            cf_put(weights, t, k, 1);
        }
    }
    sluice_remap_args args = {.struct_size = sizeof args,
                              .ids = &ids->t,
                              .weights = &weights->t,
                              .zero_weight = &zero->t,
                              .row_base = &base->t,
                              .dispatch_ids = &out.slots->t,
                              .dispatch_weights = &out.weights->t,
                              .recorder_ids = &out.recorder->t,
                              .zero_weight_here = &out.zero->t};
    EXPECT_OK(context, cf_call_remap(context, &args));
    return out;
}

/* The n-th physical expert that holds e, n counted modulo how many do. */
static int32_t copy_of(int32_t e, int64_t n)
{
    int32_t copies[PHYSICAL], count = 0;
    for (int32_t p = 0; p < PHYSICAL; p++)
        if (MAP[p] == e)
            copies[count++] = p;
    return copies[n % count];
}

static void by_row(const void *what)
{
    int32_t policy = *(const int32_t *)what;
    for (int32_t rank = 0; rank < RANKS; rank++) {
        struct outcome out = run(open_rank(rank, policy));
        for (int32_t t = 0; t < ROWS; t++)
            for (int32_t k = 0; k < 3; k++) {
                int32_t e = k == 0 ? 0 : (t + 2 * k) % EXPERTS;
                CHECK_EQ(cf_id(out.recorder, t, k), copy_of(e, BASE + t),
                         "copy of row %d, column %d on rank %d", t, k, rank);
            }
    }
}

static void shared_once(const void *what)
{
    (void)what;
    int32_t served[ROWS] = {0};
    double zero[ROWS] = {0};
    struct ref_shape shape = {EXPERTS, SLOTS, RANKS, 2, 0};
    for (int32_t rank = 0; rank < RANKS; rank++) {
        struct outcome out = run(open_rank(rank, SLUICE_COPY_STATIC));
        for (int32_t t = 0; t < ROWS; t++) {
            int32_t owner = (BASE + t) % RANKS;
            for (int32_t j = 0; j < 2; j++) {
                CHECK_EQ(cf_id(out.slots, t, 3 + j), ref_shared_slot(&shape, owner, j),
                         "shared column %d of row %d on rank %d", j, t, rank);
                served[t] += cf_id(out.slots, t, 3 + j) == ref_shared_slot(&shape, rank, j);
            }
            zero[t] += cf_get(out.zero, t, 0);
        }
    }
    for (int32_t t = 0; t < ROWS; t++) {
        CHECK_EQ(served[t], 2, "shared columns of row %d that their own rank serves", t);
        CHECK_EQ((int64_t)zero[t], t + 1, "zero_weight of row %d, summed over the ranks", t);
    }
}

static void dead_rank(const void *what)
{
    (void)what;
    sluice_context *context = open_rank(1, SLUICE_COPY_STATIC);
    static const uint8_t ALIVE[RANKS] = {1, 1, 0, 1};
    const sluice_comm comm = {.struct_size = sizeof comm, .rank = 1, .size = 3};
    const sluice_ranks ranks = {sizeof ranks, .generation = 1, .alive = ALIVE, .comm = &comm};
    EXPECT_OK(context, cf_ranks()->set(context, &ranks, NULL));
    struct outcome out = run(context);
    struct ref_shape shape = {EXPERTS, SLOTS, RANKS, 2, 1};
    static const int32_t LIVING[3] = {0, 1, 3};
    for (int32_t t = 0; t < ROWS; t++) {
        int32_t owner = LIVING[(BASE + t) % 3];
        CHECK_EQ(cf_id(out.slots, t, 3), ref_shared_slot(&shape, owner, 0),
                 "shared column of row %d", t);
        static const int32_t COPIES[2] = {0, 5}; /* of expert 0, rank 2's left out */
        CHECK_EQ(cf_id(out.recorder, t, 0), COPIES[(BASE + t) % 2], "living copy of row %d", t);
        CHECK_EQ((int64_t)cf_get(out.zero, t, 0), owner == 1 ? t + 1 : 0, "zero_weight of row %d",
                 t);
    }
}

#define INT(value_)                                                                                \
    &(const int32_t)                                                                               \
    {                                                                                              \
        value_                                                                                     \
    }

static const struct cf_case CASES[] = {
    {"every_row.static", "copy = global row mod copies, on every rank", by_row,
     INT(SLUICE_COPY_STATIC)},
    {"every_row.random", "copy = global row mod copies under the random policy too", by_row,
     INT(SLUICE_COPY_RANDOM)},
    {"every_row.shared_once", "one rank alone serves a row's shared and zero experts", shared_once,
     NULL},
    {"every_row.dead", "dead ranks serve no row", dead_rank, NULL},
};
CF_LIST(cf_every_row_cases, CASES);
