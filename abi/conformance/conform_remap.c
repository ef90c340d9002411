/* SPDX-License-Identifier: Apache-2.0
 * remap with one copy of every expert: slots, shared columns, weights, what is refused. */
#include <stdlib.h>
#include <string.h>

#include "conform_reference.h"

#define IDS(...)                                                                                   \
    (const int32_t[])                                                                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

struct call {
    sluice_context *context;
    int32_t rows, top_k, shared;
    struct cf_array *ids, *weights, *slots, *slot_weights, *recorder;
    sluice_remap_args args;
};

static void start(struct call *call, struct cf_setup *setup, int32_t rows, const int32_t *ids)
{
    const sluice_router *router = &setup->router[0];
    *call = (struct call){.context = cf_open(setup), .rows = rows, .top_k = router->top_k};
    call->shared =
        setup->config.shared_policy == SLUICE_SHARED_NOT_FUSED ? 0 : setup->router[0].shared;
    int32_t columns = call->top_k + call->shared;
    call->ids = cf_ids(CF_I32, rows, call->top_k, ids);
    call->weights = cf_array(CF_F32, rows, call->top_k);
    for (int32_t i = 0; i < rows * call->top_k; i++)
        cf_put(call->weights, i / call->top_k, i % call->top_k, 0.25 + i);
    call->slots = cf_array(CF_I32, rows, columns);
    call->slot_weights = cf_array(CF_F32, rows, columns);
    call->recorder = cf_array(CF_I32, rows, call->top_k);
    cf_fill_bytes(call->slots, 0x55);
    cf_fill_bytes(call->slot_weights, 0x55);
    cf_fill_bytes(call->recorder, 0x55);
    call->args = (sluice_remap_args){.struct_size = sizeof call->args,
                                     .ids = &call->ids->t,
                                     .weights = &call->weights->t,
                                     .dispatch_ids = &call->slots->t,
                                     .dispatch_weights = &call->slot_weights->t,
                                     .recorder_ids = &call->recorder->t};
}

static void run(struct call *call)
{
    EXPECT_OK(call->context, cf_call_remap(call->context, &call->args));
}

static void expect(const struct cf_array *array, int32_t row, const int32_t *want, const char *what)
{
    for (int32_t k = 0; k < array->columns; k++)
        /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): as long as a row */
        CHECK_EQ(cf_id(array, row, k), want[k], "%s of row %d, column %d", what, row, k);
}

static void expect_weight(const struct call *call, int32_t row, int32_t column, float want)
{
    float got = (float)cf_get(call->slot_weights, row, column);
    CHECK(cf_same_bits(got, want), "weight of row %d, column %d: got %.9g, want %.9g", row, column,
          (double)got, (double)want);
}

static void vector_264(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 264, 3, 1);
    cf_setup_rank(&setup, 7, 8);
    start(&call, &setup, 1, IDS(0, 33, 263));
    run(&call);
    expect(call.slots, 0, IDS(0, 34, 270, 271), "dispatch id");
    expect(call.recorder, 0, IDS(0, 33, 263), "recorder id");
    expect_weight(&call, 0, 0, 0.25F);
    expect_weight(&call, 0, 2, 2.25F);
    expect_weight(&call, 0, 3, 1);
}

static void vector_256(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 256, 2, 1);
    cf_setup_rank(&setup, 2, 4);
    setup.router[0].scale = 2.5F;
    setup.router[0].scale_by = SLUICE_SCALE_BY_ENGINE;
    start(&call, &setup, 2, IDS(0, 65, 63, 127));
    run(&call);
    expect(call.slots, 0, IDS(0, 66, 194), "dispatch id");
    expect(call.slots, 1, IDS(63, 128, 194), "dispatch id");
    expect(call.recorder, 0, IDS(0, 65), "recorder id");
    expect(call.recorder, 1, IDS(63, 127), "recorder id");
    expect_weight(&call, 0, 2, 0.4F);
    expect_weight(&call, 1, 2, 0.4F);
    expect_weight(&call, 1, 1, 3.25F);
}

/* F as int in `what`. */
static void slots_with_shared(const void *what)
{
    int32_t shared = *(const int32_t *)what;
    struct ref_shape shape = {.experts = 20, .slots = 5, .ranks = 4, .shared = shared, .rank = 2};
    int32_t ids[7 * 4];
    for (int32_t i = 0; i < 28; i++)
        ids[i] = i * 3 % 20;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, shape.experts, 4, shared);
    cf_setup_rank(&setup, shape.rank, shape.ranks);
    setup.router[0].shared_scale = 0.5F;
    setup.router[0].scale = 3; /* in the weights: nothing to divide by */
    start(&call, &setup, 7, ids);
    run(&call);
    for (int32_t t = 0; t < 7; t++) {
        for (int32_t k = 0; k < 4; k++) {
            CHECK_EQ(cf_id(call.recorder, t, k), ids[t * 4 + k], "recorder id of row %d", t);
            CHECK_EQ(cf_id(call.slots, t, k), ref_slot(&shape, ids[t * 4 + k]),
                     "dispatch id of row %d, column %d", t, k);
        }
        for (int32_t j = 0; j < shared; j++) {
            CHECK_EQ(cf_id(call.slots, t, 4 + j), ref_shared_slot(&shape, shape.rank, j),
                     "shared slot of row %d, column %d", t, j);
            expect_weight(&call, t, 4 + j, 0.5F);
        }
    }
}

static void per_token_shared(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 8, 1, 2);
    setup.router[0].shared_weight = SLUICE_SHARED_SIGMOID;
    setup.router[0].shared_scale = 0.5F; /* topk's part: not applied again */
    setup.router[0].scale = 2.5F;
    setup.router[0].scale_by = SLUICE_SCALE_BY_ENGINE;
    start(&call, &setup, 2, IDS(3, 4));
    struct cf_array *shared = cf_floats(2, 2, (const float[]){0.1F, 0.7F, 0.3F, 1});
    call.args.shared_weights = &shared->t;
    run(&call);
    for (int32_t t = 0; t < 2; t++)
        for (int32_t j = 0; j < 2; j++)
            expect_weight(&call, t, 1 + j, (float)cf_get(shared, t, j) / 2.5F);
    cf_api->close(call.context);
    setup.router[0].scale_by = SLUICE_SCALE_IN_WEIGHTS;
    start(&call, &setup, 2, IDS(3, 4));
    call.args.shared_weights = &shared->t;
    run(&call);
    for (int32_t t = 0; t < 2; t++)
        for (int32_t j = 0; j < 2; j++)
            expect_weight(&call, t, 1 + j, (float)cf_get(shared, t, j));
}

static void constant_divided(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 8, 1, 2);
    setup.router[0].shared_scale = 0.5F;
    setup.router[0].scale = 3;
    setup.router[0].scale_by = SLUICE_SCALE_BY_ENGINE;
    start(&call, &setup, 1, IDS(3));
    run(&call);
    expect_weight(&call, 0, 1, 0.5F / 3);
    expect_weight(&call, 0, 2, 0.5F / 3);
    struct cf_array *given = cf_floats(1, 2, (const float[]){6, 9});
    call.args.shared_weights = &given->t;
    run(&call);
    expect_weight(&call, 0, 1, 2);
    expect_weight(&call, 0, 2, 3);
}

static void not_fused(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 16, 3, 2);
    cf_setup_rank(&setup, 1, 4);
    setup.config.shared_policy = SLUICE_SHARED_NOT_FUSED;
    start(&call, &setup, 1, IDS(5, 15, 0));
    run(&call);
    expect(call.slots, 0, IDS(5, 15, 0), "dispatch id");
    expect(call.recorder, 0, IDS(5, 15, 0), "recorder id");
    sluice_placement_shape shape = {.struct_size = sizeof shape};
    EXPECT_OK(call.context, cf_placement()->shape(call.context, 0, &shape));
    CHECK_EQ(shape.shared, 0, "shared slots of a layer that does not fuse");
}

static void none_stays_none(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 16, 3, 2);
    cf_setup_rank(&setup, 3, 4);
    start(&call, &setup, 2, IDS(5, -1, 15, -1, -1, -1));
    run(&call);
    expect(call.slots, 0, IDS(5 + 2, -1, 15 + 6, 22, 23), "dispatch id");
    expect(call.recorder, 0, IDS(5, -1, 15), "recorder id");
    expect_weight(&call, 0, 1, 0);
    /* A row without a choice is still a token: its shared experts serve it. */
    expect(call.slots, 1, IDS(-1, -1, -1, 22, 23), "dispatch id");
    expect_weight(&call, 1, 0, 0);
    expect_weight(&call, 1, 3, 1);
    CHECK_EQ(cf_rejected(call.context, SLUICE_OP_REMAP), 0, "rejected ids");
}

static void none_without_shared(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 16, 6, 0);
    start(&call, &setup, 2, IDS(5, -1, 15, -1, 2, 99, -1, 3, -1, -1, -1, 4));
    run(&call);
    expect(call.slots, 0, IDS(5, -1, 15, -1, 2, -1), "dispatch id");
    expect(call.slots, 1, IDS(-1, 3, -1, -1, -1, 4), "dispatch id");
    for (int32_t t = 0; t < 2; t++)
        for (int32_t k = 0; k < 6; k++)
            expect_weight(&call, t, k,
                          cf_id(call.slots, t, k) < 0 ? 0 : (float)cf_get(call.weights, t, k));
}

static void rejected(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 6, 4, 1);
    cf_setup_rank(&setup, 0, 4);
    setup.layer[0].slots_per_rank = 2; /* P = 8: 6 and 7 are physical experts, not logical ones */
    start(&call, &setup, 1, IDS(5, 6, -2, 7));
    call.ids = cf_array(CF_I64, 2, 4);
    for (int32_t k = 0; k < 4; k++)
        cf_put(call.ids, 0, k, k == 0 ? 5 : k == 1 ? 6 : k == 2 ? -2 : 7);
    static const int64_t WIDE[4] = {0x100000003, INT64_MIN, INT64_MAX, 0};
    memcpy((int64_t *)call.ids->host + 4, WIDE, sizeof WIDE);
    call.weights = cf_array(CF_F32, 2, 4);
    call.slots = cf_array(CF_I32, 2, 5);
    call.slot_weights = cf_array(CF_F32, 2, 5);
    call.recorder = cf_array(CF_I32, 2, 4);
    for (int32_t i = 0; i < 8; i++)
        cf_put(call.weights, i / 4, i % 4, 1);
    call.args.ids = &call.ids->t;
    call.args.weights = &call.weights->t;
    call.args.dispatch_ids = &call.slots->t;
    call.args.dispatch_weights = &call.slot_weights->t;
    call.args.recorder_ids = &call.recorder->t;
    run(&call);
    expect(call.recorder, 0, IDS(5, -1, -1, -1), "recorder id");
    expect(call.recorder, 1, IDS(-1, -1, -1, 0), "recorder id");
    for (int32_t k = 1; k < 4; k++) {
        CHECK_EQ(cf_id(call.slots, 0, k), -1, "dispatch id of a rejected id");
        expect_weight(&call, 0, k, 0);
        expect_weight(&call, 1, k - 1, 0);
    }
    CHECK_EQ(cf_rejected(call.context, SLUICE_OP_REMAP), 6, "rejected ids");
}

static void wide_ids(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 32, 3, 1);
    cf_setup_rank(&setup, 1, 4);
    start(&call, &setup, 3, IDS(0, 8, 31, 7, 9, 30, -1, 1, 2));
    struct cf_array *ids = cf_strided(CF_I64, 3, 3, 5), *weights = cf_strided(CF_F32, 3, 3, 4);
    struct cf_array *slots = cf_strided(CF_I64, 3, 4, 9), *recorder = cf_strided(CF_I64, 3, 3, 4);
    struct cf_array *out = cf_strided(CF_F32, 3, 4, 7);
    for (int32_t i = 0; i < 9; i++) {
        cf_put(ids, i / 3, i % 3, (double)cf_id(call.ids, i / 3, i % 3));
        cf_put(weights, i / 3, i % 3, cf_get(call.weights, i / 3, i % 3));
    }
    run(&call);
    sluice_remap_args args = call.args;
    args.ids = &ids->t;
    args.weights = &weights->t;
    args.dispatch_ids = &slots->t;
    args.dispatch_weights = &out->t;
    args.recorder_ids = &recorder->t;
    EXPECT_OK(call.context, cf_call_remap(call.context, &args));
    for (int32_t t = 0; t < 3; t++)
        for (int32_t k = 0; k < 4; k++) {
            CHECK_EQ(cf_id(slots, t, k), cf_id(call.slots, t, k), "int64 dispatch id");
            CHECK(cf_get(out, t, k) == cf_get(call.slot_weights, t, k), "strided weight differs");
            if (k < 3)
                CHECK_EQ(cf_id(recorder, t, k), cf_id(call.recorder, t, k), "int64 recorder id");
        }
    expect(call.slots, 0, IDS(0, 9, 34, 17), "dispatch id");
}

/* `what`: a bool, row_valid instead of num_valid. */
static void padding(const void *what)
{
    bool by_mask = *(const bool *)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 8, 2, 2);
    cf_setup_rank(&setup, 1, 2);
    start(&call, &setup, 4, IDS(0, 1, 4, 7, 99, -5, 3, 2));
    struct cf_array *mask = cf_array(CF_U8, 4, 0), *valid = cf_scalar(2);
    cf_put(mask, 0, 0, 1);
    cf_put(mask, 1, 0, 1);
    if (by_mask)
        call.args.row_valid = &mask->t;
    else
        call.args.num_valid = &valid->t;
    run(&call);
    expect(call.slots, 1, IDS(6, 9, 10, 11), "dispatch id");
    for (int32_t t = 2; t < 4; t++) {
        expect(call.slots, t, IDS(-1, -1, -1, -1), "dispatch id of padding");
        expect(call.recorder, t, IDS(-1, -1), "recorder id of padding");
        for (int32_t k = 0; k < 4; k++)
            expect_weight(&call, t, k, 0);
    }
    CHECK_EQ(cf_rejected(call.context, SLUICE_OP_REMAP), 0, "rejected ids in padding");
}

static void outputs_alone(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 8, 2, 1);
    cf_setup_rank(&setup, 1, 2);
    start(&call, &setup, 2, IDS(0, 7, 4, -1));
    sluice_remap_args args = call.args;
    args.weights = NULL;
    args.dispatch_ids = NULL;
    args.dispatch_weights = NULL;
    EXPECT_OK(call.context, cf_call_remap(call.context, &args));
    expect(call.recorder, 0, IDS(0, 7), "recorder id alone");
    args.recorder_ids = NULL;
    args.dispatch_ids = &call.slots->t;
    EXPECT_OK(call.context, cf_call_remap(call.context, &args));
    expect(call.slots, 1, IDS(5, -1, 9), "dispatch id alone");
    args = call.args;
    args.dispatch_ids = NULL;
    args.recorder_ids = NULL;
    EXPECT_OK(call.context, cf_call_remap(call.context, &args));
    expect_weight(&call, 0, 1, 1.25F);
    expect_weight(&call, 1, 1, 0);
    expect_weight(&call, 1, 2, 1);
}

static void no_rows(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 8, 2, 1);
    start(&call, &setup, 0, IDS(0));
    run(&call);
}

static void zero_here(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 8, 1, 1);
    setup.router[0].zero_experts = 2;
    start(&call, &setup, 3, IDS(1, 2, 3));
    struct cf_array *zero = cf_floats(3, 0, (const float[]){0.5F, 0, 2}),
                    *here = cf_array(CF_F32, 3, 0);
    call.args.zero_weight = &zero->t;
    call.args.zero_weight_here = &here->t;
    run(&call);
    for (int32_t t = 0; t < 3; t++)
        CHECK(cf_get(here, t, 0) == cf_get(zero, t, 0), "zero_weight_here of row %d is %g", t,
              cf_get(here, t, 0));
}

#define INT(value_)                                                                                \
    &(const int32_t)                                                                               \
    {                                                                                              \
        value_                                                                                     \
    }

static const struct cf_case CASES[] = {
    {"remap.vector_264", "the vector of 264 experts on 8 ranks", vector_264, NULL},
    {"remap.vector_256", "the vector of 256 experts on 4 ranks, scaled by the engine", vector_256,
     NULL},
    {"remap.shared_0", "without shared experts the slot is the physical expert", slots_with_shared,
     INT(0)},
    {"remap.shared_1", "one shared slot a rank shifts by the rank", slots_with_shared, INT(1)},
    {"remap.shared_2", "two shared slots a rank shift by twice the rank", slots_with_shared,
     INT(2)},
    {"remap.shared_4", "four shared slots a rank shift by four times the rank", slots_with_shared,
     INT(4)},
    {"remap.shared_8", "eight shared slots a rank shift by eight times the rank", slots_with_shared,
     INT(8)},
    {"remap.per_token",
     "per-token shared weights are divided by the scale once, where the engine scales",
     per_token_shared, NULL},
    {"remap.constant",
     "the constant shared weight is shared_scale, divided where the engine scales",
     constant_divided, NULL},
    {"remap.not_fused", "shared experts that are not fused have no slot and no column", not_fused,
     NULL},
    {"remap.none", "a choice of -1 stays -1 with weight 0, and its row keeps its shared experts",
     none_stays_none, NULL},
    {"remap.none_0", "without shared experts a choice of -1 has weight 0 too", none_without_shared,
     NULL},
    {"remap.rejected", "an id outside [0, E) gives -1, weight 0, and is counted", rejected, NULL},
    {"remap.wide", "int64 ids and strided rows give what int32 and dense rows give", wide_ids,
     NULL},
    {"remap.num_valid", "rows from num_valid on are -1 in every column, shared ones too", padding,
     &(const bool){false}},
    {"remap.row_valid", "rows that are not valid are -1 in every column, shared ones too", padding,
     &(const bool){true}},
    {"remap.outputs_alone", "each output alone is what it is among all", outputs_alone, NULL},
    {"remap.no_rows", "T = 0 with NULL data is fine", no_rows, NULL},
    {"remap.zero_here", "zero_weight_here is zero_weight where tokens stay apart", zero_here, NULL},
};
CF_LIST(cf_remap_cases, CASES);
