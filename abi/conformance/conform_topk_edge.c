/* SPDX-License-Identifier: Apache-2.0
 * topk where it is decided by rule, not by size: ties, NaN, infinities, short rows. */
#include <float.h>
#include <math.h>

#include "conform.h"

/* One call of topk over given logits; -9 stands where an output was not written. */
struct call {
    sluice_context *context;
    int32_t rows, columns, top_k;
    struct cf_array *logits, *ids, *weights;
    sluice_topk_args args;
};

static void start(struct call *call, struct cf_setup *setup, int32_t rows)
{
    const sluice_router *router = &setup->router[0];
    *call = (struct call){.context = cf_open(setup), .rows = rows, .top_k = router->top_k};
    call->columns = router->experts + router->zero_experts;
    call->logits = cf_array(CF_F32, rows, call->columns);
    call->ids = cf_array(CF_I32, rows, call->top_k);
    call->weights = cf_array(CF_F32, rows, call->top_k);
    for (int32_t i = 0; i < rows * call->top_k; i++)
        cf_put(call->ids, i / call->top_k, i % call->top_k, -9);
    call->args = (sluice_topk_args){.struct_size = sizeof call->args,
                                    .logits = &call->logits->t,
                                    .ids = &call->ids->t,
                                    .weights = &call->weights->t};
}

static void run(struct call *call)
{
    EXPECT_OK(call->context, cf_call_topk(call->context, &call->args));
}

static void expect_ids(const struct call *call, int32_t row, const int32_t *want)
{
    for (int32_t k = 0; k < call->top_k; k++)
        /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): as long as a row */
        CHECK_EQ(cf_id(call->ids, row, k), want[k], "id of row %d, column %d", row, k);
}

#define IDS(...)                                                                                   \
    (const int32_t[])                                                                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void set_row(const struct call *call, int32_t row, const double *values)
{
    for (int32_t e = 0; e < call->columns; e++)
        cf_put(call->logits, row, e, values[e]);
}

#define ROW(call_, row_, ...) set_row(call_, row_, (const double[]){__VA_ARGS__})

static void ties(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 6, 3, 0);
    start(&call, &setup, 3);
    ROW(&call, 0, 1, 1, 1, 1, 1, 1);
    ROW(&call, 1, 0, 2, 1, 2, 1, 2);
    ROW(&call, 2, 0, 1, 3, 1, 1, 3);
    run(&call);
    expect_ids(&call, 0, IDS(0, 1, 2));
    expect_ids(&call, 1, IDS(1, 3, 5));
    expect_ids(&call, 2, IDS(2, 5, 1));
}

static void many_ties(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 200, 10, 0);
    start(&call, &setup, 40);
    for (int32_t t = 0; t < 40; t++)
        for (int32_t e = 0; e < 200; e++)
            cf_put(call.logits, t, e, (e * 7 + t) % 13 == 0 ? 4 : (e + t) % 5);
    run(&call);
    for (int32_t t = 0; t < 40; t++) {
        int32_t k = 0;
        for (int32_t e = 0; e < 200 && k < 10; e++)
            if ((e * 7 + t) % 13 == 0 || (e + t) % 5 == 4)
                CHECK_EQ(cf_id(call.ids, t, k++), e, "id of row %d among equals", t);
        CHECK_EQ(k, 10, "equals of row %d", t);
    }
}

/* A sigmoid is 1 in float32 from about 17.4 up; the logits still differ. */
static void saturated(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 6, 3, 0);
    setup.router[0].score = SLUICE_SCORE_SIGMOID;
    start(&call, &setup, 1);
    ROW(&call, 0, 20, 30, 25, 40, 19, 35);
    run(&call);
    expect_ids(&call, 0, IDS(3, 5, 1));
    for (int32_t k = 0; k < 3; k++)
        CHECK_NEAR(cf_get(call.weights, 0, k), 1, "weight of a saturated sigmoid");
}

static void group_ties(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 8, 2, 0);
    setup.router[0].groups = 4;
    setup.router[0].keep_groups = 2;
    setup.router[0].score = SLUICE_SCORE_SIGMOID;
    start(&call, &setup, 2);
    ROW(&call, 0, 1, 0, 1, 0.5, 1, 0.9, 1, 0.7);
    ROW(&call, 1, 0, 0, 1, 0, 2, 0, 0, 1);
    run(&call);
    expect_ids(&call, 0, IDS(0, 2));
    expect_ids(&call, 1, IDS(4, 2));
}

/* The two best of a group may be equal; both count. */
static void top2_equal(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 8, 2, 0);
    setup.router[0].groups = 2;
    setup.router[0].keep_groups = 1;
    setup.router[0].group_value = SLUICE_GROUP_TOP2;
    setup.router[0].score = SLUICE_SCORE_SIGMOID;
    start(&call, &setup, 1);
    ROW(&call, 0, 2.1, 1, 0, 0, 2, 2, -3, -3);
    run(&call);
    expect_ids(&call, 0, IDS(4, 5));
}

static void nan_logits(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 6, 3, 0);
    start(&call, &setup, 2);
    ROW(&call, 0, NAN, 1, NAN, 3, 2, 0);
    ROW(&call, 1, 0, 0, NAN, NAN, 0, 0);
    run(&call);
    expect_ids(&call, 0, IDS(3, 4, 1));
    expect_ids(&call, 1, IDS(0, 1, 4));
    double sum = exp(3) + exp(2) + exp(1) + 1;
    CHECK_NEAR(cf_get(call.weights, 0, 0), exp(3) / sum, "weight beside a NaN");
    CHECK_NEAR(cf_get(call.weights, 1, 2), 0.25, "weight beside two NaN");
}

static void nan_everywhere(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 6, 3, 0);
    setup.router[0].renorm = 1;
    start(&call, &setup, 2);
    ROW(&call, 0, NAN, NAN, NAN, NAN, NAN, NAN);
    ROW(&call, 1, -INFINITY, -INFINITY, NAN, -INFINITY, NAN, -INFINITY);
    run(&call);
    for (int32_t t = 0; t < 2; t++) {
        expect_ids(&call, t, IDS(-1, -1, -1));
        for (int32_t k = 0; k < 3; k++)
            CHECK(cf_get(call.weights, t, k) == 0, "the weight of no choice is not 0");
    }
}

static void nan_in_group(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 9, 2, 0);
    setup.router[0].groups = 3;
    setup.router[0].keep_groups = 1;
    setup.router[0].group_value = SLUICE_GROUP_TOP2;
    setup.router[0].score = SLUICE_SCORE_SIGMOID;
    start(&call, &setup, 1);
    ROW(&call, 0, NAN, NAN, 9, 1, 1, -5, NAN, 0.9, 0.8);
    run(&call);
    expect_ids(&call, 0, IDS(3, 4));
}

static void nan_bias(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 4, 2, 0);
    setup.router[0].bias_use = SLUICE_BIAS_SCORE;
    setup.router[0].score = SLUICE_SCORE_SIGMOID;
    start(&call, &setup, 1);
    ROW(&call, 0, 5, 1, 4, 2);
    struct cf_array *bias = cf_floats(4, 0, (const float[]){NAN, 0, -INFINITY, 0});
    call.args.bias = &bias->t;
    run(&call);
    expect_ids(&call, 0, IDS(3, 1));
}

static void short_row(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 6, 4, 0);
    setup.router[0].renorm = 1;
    start(&call, &setup, 1);
    ROW(&call, 0, -INFINITY, 1, -INFINITY, -INFINITY, 1, NAN);
    run(&call);
    expect_ids(&call, 0, IDS(1, 4, -1, -1));
    CHECK_NEAR(cf_get(call.weights, 0, 0), 0.5, "first weight of a short row");
    CHECK_NEAR(cf_get(call.weights, 0, 1), 0.5, "second weight of a short row");
    CHECK(cf_get(call.weights, 0, 2) == 0 && cf_get(call.weights, 0, 3) == 0,
          "the weight of no choice is not 0");
}

static void infinite_logit(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 4, 2, 0);
    start(&call, &setup, 2);
    ROW(&call, 0, 1, INFINITY, 2, 3);
    ROW(&call, 1, INFINITY, 0, INFINITY, (double)FLT_MAX);
    run(&call);
    expect_ids(&call, 0, IDS(1, 3));
    CHECK_NEAR(cf_get(call.weights, 0, 0), 1, "weight of +inf");
    CHECK(cf_get(call.weights, 0, 1) == 0, "weight beside +inf is not 0");
    expect_ids(&call, 1, IDS(0, 2));
    CHECK_NEAR(cf_get(call.weights, 1, 0), 1.0 / 3, "+inf counts as FLT_MAX");
}

/* sigmoid of -200 is 0 in float32; 0 / 0 is 0. */
static void zero_sum(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 4, 2, 0);
    setup.router[0].renorm = 1;
    setup.router[0].score = SLUICE_SCORE_SIGMOID;
    start(&call, &setup, 1);
    ROW(&call, 0, -200, -190, -210, -220);
    run(&call);
    expect_ids(&call, 0, IDS(1, 0));
    CHECK(cf_get(call.weights, 0, 0) == 0 && cf_get(call.weights, 0, 1) == 0,
          "renormalising a sum of 0 gave %g and %g", cf_get(call.weights, 0, 0),
          cf_get(call.weights, 0, 1));
}

static void no_rows(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 4, 2, 0);
    start(&call, &setup, 0);
    CHECK(!call.logits->t.data, "the suite means a NULL tensor");
    run(&call);
}

static void outputs_absent(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 12, 3, 1);
    setup.router[0].zero_experts = 4;
    setup.router[0].shared_weight = SLUICE_SHARED_SIGMOID;
    start(&call, &setup, 9);
    for (int32_t i = 0; i < 9 * 16; i++)
        cf_put(call.logits, i / 16, i % 16, (i * 37) % 101 * 0.05);
    struct cf_array *logits = cf_array(CF_F32, 9, 1);
    struct cf_array *shared = cf_array(CF_F32, 9, 1), *zero = cf_array(CF_F32, 9, 0);
    struct cf_array *shared2 = cf_array(CF_F32, 9, 1), *zero2 = cf_array(CF_F32, 9, 0);
    call.args.shared_logits = &logits->t;
    call.args.shared_weights = &shared->t;
    call.args.zero_weight = &zero->t;
    run(&call);
    sluice_topk_args args = call.args;
    args.ids = args.weights = NULL;
    args.shared_weights = &shared2->t;
    args.zero_weight = NULL;
    EXPECT_OK(call.context, cf_call_topk(call.context, &args));
    args.shared_weights = NULL;
    args.zero_weight = &zero2->t;
    EXPECT_OK(call.context, cf_call_topk(call.context, &args));
    for (int32_t t = 0; t < 9; t++) {
        CHECK(cf_get(shared, t, 0) == cf_get(shared2, t, 0), "shared_weights alone differ");
        CHECK(cf_get(zero, t, 0) == cf_get(zero2, t, 0), "zero_weight alone differs");
    }
}

static void forced_outside(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct call call;
    cf_setup(&setup, 1, 4, 3, 0);
    start(&call, &setup, 1);
    ROW(&call, 0, 0, 0, 0, 0);
    struct cf_array *forced = cf_ids(CF_I64, 1, 3, (const int32_t[]){3, -1, 1});
    call.args.forced_ids = &forced->t;
    run(&call);
    expect_ids(&call, 0, IDS(3, -1, 1));
    CHECK(cf_get(call.weights, 0, 1) == 0, "the weight of no choice is not 0");
    CHECK_NEAR(cf_get(call.weights, 0, 2), 0.25, "weight of a forced id");
}

static const struct cf_case CASES[] = {
    {"topk.ties", "equal values go to the lower id", ties, NULL},
    {"topk.many_ties", "equal values go to the lower id, over many experts and rows", many_ties,
     NULL},
    {"topk.saturated", "without a bias the logit ranks, also where scores round to the same",
     saturated, NULL},
    {"topk.group_ties", "equal groups go to the lower group", group_ties, NULL},
    {"topk.top2_equal", "two equal maxima of a group both count", top2_equal, NULL},
    {"topk.nan", "a NaN logit is never chosen and adds nothing", nan_logits, NULL},
    {"topk.nan_row", "a row of NaN and -inf gives -1 and 0", nan_everywhere, NULL},
    {"topk.nan_group", "a NaN counts as -inf in a group's value", nan_in_group, NULL},
    {"topk.nan_bias", "a bias of NaN or -inf masks an expert", nan_bias, NULL},
    {"topk.short_row", "what is left of a row with too few candidates is -1 and 0", short_row,
     NULL},
    {"topk.infinite", "+inf counts as the greatest float32", infinite_logit, NULL},
    {"topk.zero_sum", "renormalising a sum of 0 gives 0", zero_sum, NULL},
    {"topk.no_rows", "T = 0 with NULL data is fine", no_rows, NULL},
    {"topk.outputs_absent", "each output alone is what it is among all", outputs_absent, NULL},
    {"topk.forced_none", "a forced id of -1 is no choice", forced_outside, NULL},
};
CF_LIST(cf_topk_edge_cases, CASES);
