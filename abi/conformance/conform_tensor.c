/* SPDX-License-Identifier: Apache-2.0
 * Corners of tensors: offsets, strides that mean nothing, scalars, bools. */
#include <string.h>

#include "conform.h"

enum { ROWS = 4, EXPERTS = 6, TOP_K = 2 };

struct call {
    sluice_context *context;
    struct cf_array *logits, *ids, *weights;
    sluice_topk_args args;
};

/* Row t prefers expert (t + 1) % 6, then (t + 3) % 6. */
static void start(struct call *call, int32_t rows)
{
    call->context = cf_open_simple(EXPERTS, TOP_K, 0);
    call->logits = cf_array(CF_F32, rows, EXPERTS);
    call->ids = cf_array(CF_I32, rows, TOP_K);
    call->weights = cf_array(CF_F32, rows, TOP_K);
    for (int32_t t = 0; t < rows; t++) {
        cf_put(call->logits, t, (t + 1) % EXPERTS, 5);
        cf_put(call->logits, t, (t + 3) % EXPERTS, 4);
    }
    call->args = (sluice_topk_args){.struct_size = sizeof call->args,
                                    .logits = &call->logits->t,
                                    .ids = &call->ids->t,
                                    .weights = &call->weights->t};
}

static void run(struct call *call, int32_t from, int32_t rows)
{
    EXPECT_OK(call->context, cf_call_topk(call->context, &call->args));
    for (int32_t t = 0; t < rows; t++) {
        CHECK_EQ(cf_id(call->ids, t, 0), (from + t + 1) % EXPERTS, "first choice of row %d", t);
        CHECK_EQ(cf_id(call->ids, t, 1), (from + t + 3) % EXPERTS, "second choice of row %d", t);
    }
}

static void offset(const void *what)
{
    (void)what;
    struct call call;
    start(&call, ROWS);
    int64_t shape[2] = {ROWS - 1, EXPERTS}, out_shape[2] = {ROWS - 1, TOP_K};
    sluice_tensor logits = call.logits->t, ids = call.ids->t, weights = call.weights->t;
    logits.byte_offset = EXPERTS * sizeof(float); /* from row 1 on */
    logits.shape = shape;
    ids.shape = weights.shape = out_shape;
    call.args.logits = &logits;
    call.args.ids = &ids;
    call.args.weights = &weights;
    run(&call, 1, ROWS - 1);
    ids.byte_offset = weights.byte_offset = TOP_K * sizeof(float);
    cf_put(call.ids, 0, 0, 77);
    EXPECT_OK(call.context, cf_call_topk(call.context, &call.args));
    CHECK_EQ(cf_id(call.ids, 0, 0), 77, "what lies before the offset");
    CHECK_EQ(cf_id(call.ids, 1, 0), 2, "first choice behind the offset");
}

static void extent_one(const void *what)
{
    (void)what;
    struct call call;
    start(&call, 1);
    int64_t wild[2] = {-12345, 1}, wilder[2] = {1000000007, 1};
    sluice_tensor logits = call.logits->t, ids = call.ids->t;
    logits.strides = wild;
    ids.strides = wilder;
    call.args.logits = &logits;
    call.args.ids = &ids;
    run(&call, 0, 1);
    /* One column: its stride means nothing either. */
    sluice_context *context = cf_open_simple(EXPERTS, 1, 0);
    struct cf_array *one = cf_ids(CF_I32, 3, 1, (const int32_t[]){4, 0, 5});
    struct cf_array *recorder = cf_array(CF_I32, 3, 1);
    int64_t columns[2] = {1, -99};
    sluice_tensor odd = one->t;
    odd.strides = columns;
    const sluice_remap_args args = {
        .struct_size = sizeof args, .ids = &odd, .recorder_ids = &recorder->t};
    EXPECT_OK(context, cf_call_remap(context, &args));
    CHECK_EQ(cf_id(recorder, 2, 0), 5, "the last recorder id");
}

static void no_extent(const void *what)
{
    (void)what;
    struct call call;
    start(&call, 0);
    int64_t wild[2] = {-5, -7};
    sluice_tensor logits = call.logits->t;
    logits.strides = wild;
    call.args.logits = &logits;
    run(&call, 0, 0);
    const sluice_record_args record = {.struct_size = sizeof record, .recorder_ids = &call.ids->t};
    EXPECT_OK(call.context, cf_call_record(call.context, &record));
    struct cf_array *slots = cf_array(CF_I32, 0, TOP_K);
    const sluice_route_args route = {
        .struct_size = sizeof route, .logits = &logits, .dispatch_ids = &slots->t};
    EXPECT_OK(call.context, cf_call_route(call.context, &route));
}

static void dense_strides(const void *what)
{
    (void)what;
    struct call call;
    start(&call, ROWS);
    int64_t strides[2] = {EXPERTS, 1}, out[2] = {TOP_K, 1};
    sluice_tensor logits = call.logits->t, ids = call.ids->t;
    logits.strides = strides;
    ids.strides = out;
    call.args.logits = &logits;
    call.args.ids = &ids;
    run(&call, 0, ROWS);
}

static void repeated_row(const void *what)
{
    (void)what;
    struct call call;
    start(&call, ROWS);
    int64_t strides[2] = {0, 1}; /* an input of one row for all tokens */
    sluice_tensor logits = call.logits->t;
    logits.strides = strides;
    call.args.logits = &logits;
    EXPECT_OK(call.context, cf_call_topk(call.context, &call.args));
    for (int32_t t = 0; t < ROWS; t++)
        CHECK_EQ(cf_id(call.ids, t, 0), 1, "first choice of row %d", t);
}

static void overlapping_rows(const void *what)
{
    (void)what;
    struct call call;
    start(&call, ROWS);
    int64_t strides[2] = {1, 1};
    sluice_tensor ids = call.ids->t;
    ids.strides = strides;
    call.args.ids = &ids;
    EXPECT(call.context, cf_call_topk(call.context, &call.args), SLUICE_INVALID, "ids", "stride");
}

static void bools(const void *what)
{
    (void)what;
    struct call call;
    start(&call, ROWS);
    struct cf_array *mask = cf_array(CF_U8, ROWS, 0);
    cf_put(mask, 0, 0, 1);
    cf_put(mask, 1, 0, 1);
    mask->t.dtype = (sluice_dtype){6, 8, 1}; /* kDLBool */
    call.args.row_valid = &mask->t;
    run(&call, 0, 2);
    CHECK_EQ(cf_id(call.ids, 3, 0), -1, "choice of a row that is not valid");
}

static void scalars(const void *what)
{
    (void)what;
    struct call call;
    start(&call, ROWS);
    static int32_t narrow[2] = {3, 3};
    static int64_t wide = 2, shape[1] = {1};
    const sluice_device host = {SLUICE_CPU, 0};
    const sluice_tensor none = {&wide, host, 0, {SLUICE_INT, 64, 1}, NULL, NULL, 0};
    const sluice_tensor one = {narrow, host, 1, {SLUICE_INT, 32, 1}, shape, NULL, 4};
    call.args.num_valid = &none;
    run(&call, 0, 2);
    CHECK_EQ(cf_id(call.ids, 2, 0), -1, "choice behind num_valid, int64 of no dimension");
    call.args.num_valid = &one;
    run(&call, 0, 3);
    CHECK_EQ(cf_id(call.ids, 3, 0), -1, "choice behind num_valid, int32 [1]");
}

static const struct cf_case CASES[] = {
    {"tensor.offset", "byte_offset is where a tensor begins", offset, NULL},
    {"tensor.extent_one", "strides of extent 1 mean nothing", extent_one, NULL},
    {"tensor.no_extent", "nor do strides of a tensor without rows", no_extent, NULL},
    {"tensor.dense_strides", "dense strides are as none", dense_strides, NULL},
    {"tensor.repeated_row", "an input's rows may be one and the same", repeated_row, NULL},
    {"tensor.overlapping_rows", "an output's rows may not overlap", overlapping_rows, NULL},
    {"tensor.bool", "masks may be bool or uint8", bools, NULL},
    {"tensor.scalars", "a scalar may have no dimension or one, int32 or int64", scalars, NULL},
};
CF_LIST(cf_tensor_cases, CASES);
