/* SPDX-License-Identifier: Apache-2.0
 * Wrong tensors: every argument of every operation, damaged in every way, must be refused with a
 * text that names it, and nothing may change. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "conform.h"

enum damage {
    COLUMNS,
    ROWS,
    DTYPE,
    BITS,
    LANES,
    INNER_STRIDE,
    BACKWARD,
    DEVICE,
    DATA,
    NDIM,
    NO_DIMS,
    NEGATIVE,
    SHAPE,
    ALIGNMENT,
    DAMAGES
};

static const char *const DAMAGE_NAMES[DAMAGES] = {"one column too many",
                                                  "one row too many",
                                                  "an unknown dtype",
                                                  "a dtype of 24 bits",
                                                  "two lanes",
                                                  "a stride in its last dimension",
                                                  "a negative row stride",
                                                  "another device",
                                                  "no data",
                                                  "three dimensions",
                                                  "a negative number of dimensions",
                                                  "a negative extent",
                                                  "no shape",
                                                  "an element's misalignment"};

/* The damaged copy of a tensor. */
struct bent {
    sluice_tensor t;
    int64_t shape[4], strides[4];
};

/* False where this damage is none for this tensor. */
static bool bend(struct bent *bent, const sluice_tensor *tensor, enum damage damage)
{
    bent->t = *tensor;
    for (int32_t i = 0; i < tensor->ndim; i++)
        bent->shape[i] = tensor->shape[i];
    bent->strides[0] = tensor->ndim > 1 ? tensor->shape[1] : 1;
    bent->strides[1] = 1;
    bent->t.shape = bent->shape;
    bool matrix = tensor->ndim == 2;
    switch (damage) {
    case COLUMNS:
        bent->shape[1]++;
        return matrix;
    case ROWS:
        bent->shape[0]++;
        return true;
    case DTYPE:
        bent->t.dtype.code = 77;
        return true;
    case BITS:
        bent->t.dtype.bits = 24;
        return true;
    case LANES:
        bent->t.dtype.lanes = 2;
        return true;
    case INNER_STRIDE:
        bent->strides[1] = 2;
        bent->strides[0] *= 2;
        bent->t.strides = bent->strides;
        return matrix && tensor->shape[1] > 1;
    case BACKWARD:
        bent->strides[0] = -bent->strides[0];
        bent->t.strides = bent->strides;
        return matrix && tensor->shape[0] > 1;
    case DEVICE:
        bent->t.device.type = 99;
        return true;
    case DATA:
        bent->t.data = NULL;
        return true;
    case NDIM:
        bent->shape[1] = bent->shape[2] = 3;
        bent->t.ndim = 3;
        return true;
    case NO_DIMS:
        bent->t.ndim = -1;
        return true;
    case NEGATIVE:
        bent->shape[0] = -1;
        return true;
    case SHAPE:
        bent->t.shape = NULL;
        return true;
    default:
        bent->t.byte_offset = 1;
        return tensor->dtype.bits > 8;
    }
}

/* A tensor member of an args struct. */
struct field {
    const char *name;
    size_t offset;
    unsigned skip; /* 1 << damage: not wrong here, or found at another argument */
};

struct target {
    sluice_context *context;
    void *args;
    sluice_status (*call)(sluice_context *context, const void *args);
    const struct field *fields;
    size_t count;
};

static void bend_all(const struct target *target)
{
    EXPECT_OK(target->context, target->call(target->context, target->args));
    for (size_t i = 0; i < target->count; i++) {
        const struct field *field = &target->fields[i];
        const sluice_tensor **slot =
            (const sluice_tensor **)(void *)((char *)target->args + field->offset);
        const sluice_tensor *whole = *slot;
        CHECK(whole, "the suite gives no %s", field->name);
        for (enum damage damage = 0; damage < DAMAGES; damage++) {
            struct bent bent;
            if (field->skip & (1U << damage) || !bend(&bent, whole, damage))
                continue;
            *slot = &bent.t;
            sluice_status status = target->call(target->context, target->args);
            char text[512] = "";
            (void)cf_api->last_error(target->context, text, sizeof text);
            CHECK(status == SLUICE_INVALID, "%s with %s: got %s", field->name, DAMAGE_NAMES[damage],
                  cf_status_name(status));
            CHECK(strstr(text, field->name), "%s with %s: the text names another: %.200s",
                  field->name, DAMAGE_NAMES[damage], text);
        }
        *slot = whole;
    }
    EXPECT_OK(target->context, target->call(target->context, target->args));
}

enum { ROWS_HERE = 1U << ROWS, SCALAR = 1U << ALIGNMENT };

#define F(struct_, member_, skip_)                                                                 \
    {                                                                                              \
#member_, offsetof(struct_, member_), skip_                                                \
    }

/* A layer that takes every input. */
static void setup_full(struct cf_setup *setup)
{
    cf_setup(setup, 1, 12, 3, 2);
    sluice_router *router = &setup->router[0];
    router->zero_experts = 4;
    router->bias_use = SLUICE_BIAS_SCORE;
    router->bias_rows = 2;
    router->shared_weight = SLUICE_SHARED_SIGMOID;
}

enum { T = 5 };

/* Every tensor that topk, remap or route can take, for setup_full. */
struct tensors {
    struct cf_array *logits, *bias, *bias_row, *expert_scale, *shared_logits, *forced_ids;
    struct cf_array *forced_row, *row_valid, *num_valid, *step, *row_base;
    struct cf_array *ids, *weights, *shared_weights, *zero_weight;
    struct cf_array *dispatch_ids, *dispatch_weights, *recorder_ids, *zero_here;
};

static void make_tensors(struct tensors *x)
{
    *x = (struct tensors){cf_array(CF_F32, T, 16),
                          cf_array(CF_F32, 2, 16),
                          cf_array(CF_I32, T, 0),
                          cf_array(CF_F32, 16, 0),
                          cf_array(CF_F32, T, 2),
                          cf_array(CF_I32, T, 3),
                          cf_array(CF_I32, T, 0),
                          cf_array(CF_U8, T, 0),
                          cf_scalar(T),
                          cf_scalar(1),
                          cf_scalar(0),
                          cf_array(CF_I32, T, 3),
                          cf_array(CF_F32, T, 3),
                          cf_array(CF_F32, T, 2),
                          cf_array(CF_F32, T, 0),
                          cf_array(CF_I32, T, 5),
                          cf_array(CF_F32, T, 5),
                          cf_array(CF_I32, T, 3),
                          cf_array(CF_F32, T, 0)};
    for (int32_t t = 0; t < T; t++) {
        cf_put(x->row_valid, t, 0, 1);
        for (int32_t k = 0; k < 3; k++)
            cf_put(x->forced_ids, t, k, t + k);
    }
}

static sluice_status call_topk(sluice_context *context, const void *args)
{
    return cf_call_topk(context, args);
}

static sluice_status call_remap(sluice_context *context, const void *args)
{
    return cf_call_remap(context, args);
}

static sluice_status call_record(sluice_context *context, const void *args)
{
    return cf_call_record(context, args);
}

static sluice_status call_route(sluice_context *context, const void *args)
{
    return cf_call_route(context, args);
}

static void topk_tensors(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct tensors x;
    setup_full(&setup);
    make_tensors(&x);
    sluice_topk_args args = {sizeof args,
                             .logits = &x.logits->t,
                             .bias = &x.bias->t,
                             .bias_row = &x.bias_row->t,
                             .expert_scale = &x.expert_scale->t,
                             .shared_logits = &x.shared_logits->t,
                             .forced_ids = &x.forced_ids->t,
                             .forced_row = &x.forced_row->t,
                             .row_valid = &x.row_valid->t,
                             .num_valid = &x.num_valid->t,
                             .ids = &x.ids->t,
                             .weights = &x.weights->t,
                             .shared_weights = &x.shared_weights->t,
                             .zero_weight = &x.zero_weight->t};
    static const struct field FIELDS[] = {
        F(sluice_topk_args, logits, ROWS_HERE),
        F(sluice_topk_args, bias, 0),
        F(sluice_topk_args, bias_row, 0),
        F(sluice_topk_args, expert_scale, 0),
        F(sluice_topk_args, shared_logits, 0),
        F(sluice_topk_args, forced_ids, ROWS_HERE), /* a table of any length */
        F(sluice_topk_args, forced_row, 0),
        F(sluice_topk_args, row_valid, 0),
        F(sluice_topk_args, num_valid, SCALAR),
        F(sluice_topk_args, ids, 0),
        F(sluice_topk_args, weights, 0),
        F(sluice_topk_args, shared_weights, 0),
        F(sluice_topk_args, zero_weight, 0)};
    const struct target target = {cf_open(&setup), &args, call_topk, FIELDS,
                                  sizeof FIELDS / sizeof *FIELDS};
    bend_all(&target);
}

static void remap_tensors(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct tensors x;
    setup_full(&setup);
    make_tensors(&x);
    sluice_remap_args args = {sizeof args,
                              .ids = &x.ids->t,
                              .weights = &x.weights->t,
                              .shared_weights = &x.shared_weights->t,
                              .zero_weight = &x.zero_weight->t,
                              .row_valid = &x.row_valid->t,
                              .num_valid = &x.num_valid->t,
                              .step = &x.step->t,
                              .row_base = &x.row_base->t,
                              .dispatch_ids = &x.dispatch_ids->t,
                              .dispatch_weights = &x.dispatch_weights->t,
                              .recorder_ids = &x.recorder_ids->t,
                              .zero_weight_here = &x.zero_here->t};
    static const struct field FIELDS[] = {
        F(sluice_remap_args, ids, ROWS_HERE),    F(sluice_remap_args, weights, 0),
        F(sluice_remap_args, shared_weights, 0), F(sluice_remap_args, zero_weight, 0),
        F(sluice_remap_args, row_valid, 0),      F(sluice_remap_args, num_valid, SCALAR),
        F(sluice_remap_args, step, SCALAR),      F(sluice_remap_args, row_base, SCALAR),
        F(sluice_remap_args, dispatch_ids, 0),   F(sluice_remap_args, dispatch_weights, 0),
        F(sluice_remap_args, recorder_ids, 0),   F(sluice_remap_args, zero_weight_here, 0)};
    const struct target target = {cf_open(&setup), &args, call_remap, FIELDS,
                                  sizeof FIELDS / sizeof *FIELDS};
    bend_all(&target);
}

static void record_tensors(const void *what)
{
    (void)what;
    struct tensors x;
    make_tensors(&x);
    sluice_record_args args = {sizeof args, .recorder_ids = &x.recorder_ids->t,
                               .num_valid = &x.num_valid->t};
    static const struct field FIELDS[] = {
        F(sluice_record_args, recorder_ids, ROWS_HERE | 1U << COLUMNS),
        F(sluice_record_args, num_valid, SCALAR)};
    const struct target target = {cf_open_simple(12, 3, 0), &args, call_record, FIELDS,
                                  sizeof FIELDS / sizeof *FIELDS};
    /* A record that is refused has counted nothing. */
    bend_all(&target);
    int64_t counters[12];
    cf_counters(target.context, 0, counters, 12);
    CHECK_EQ(counters[0], 2 * T * 3, "counts after two good calls and many refused ones");
}

static void route_tensors(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct tensors x;
    setup_full(&setup);
    make_tensors(&x);
    sluice_route_args args = {sizeof args,
                              .logits = &x.logits->t,
                              .bias = &x.bias->t,
                              .bias_row = &x.bias_row->t,
                              .expert_scale = &x.expert_scale->t,
                              .shared_logits = &x.shared_logits->t,
                              .forced_ids = &x.forced_ids->t,
                              .forced_row = &x.forced_row->t,
                              .row_valid = &x.row_valid->t,
                              .num_valid = &x.num_valid->t,
                              .step = &x.step->t,
                              .row_base = &x.row_base->t,
                              .dispatch_ids = &x.dispatch_ids->t,
                              .dispatch_weights = &x.dispatch_weights->t,
                              .recorder_ids = &x.recorder_ids->t,
                              .ids = &x.ids->t,
                              .weights = &x.weights->t,
                              .shared_weights = &x.shared_weights->t,
                              .zero_weight_here = &x.zero_weight->t};
    static const struct field FIELDS[] = {F(sluice_route_args, logits, ROWS_HERE),
                                          F(sluice_route_args, bias, 0),
                                          F(sluice_route_args, forced_row, 0),
                                          F(sluice_route_args, step, SCALAR),
                                          F(sluice_route_args, row_base, SCALAR),
                                          F(sluice_route_args, dispatch_ids, 0),
                                          F(sluice_route_args, dispatch_weights, 0),
                                          F(sluice_route_args, recorder_ids, 0),
                                          F(sluice_route_args, ids, 0),
                                          F(sluice_route_args, weights, 0),
                                          F(sluice_route_args, shared_weights, 0),
                                          F(sluice_route_args, zero_weight_here, 0)};
    const struct target target = {cf_open(&setup), &args, call_route, FIELDS,
                                  sizeof FIELDS / sizeof *FIELDS};
    bend_all(&target);
    int64_t counters[12], sum = 0;
    cf_counters(target.context, 0, counters, 12);
    for (int32_t p = 0; p < 12; p++)
        sum += counters[p];
    CHECK_EQ(sum, 2 * T * 3, "counts after two good calls and many refused ones");
}

static void topk_pairs(const void *what)
{
    (void)what;
    sluice_context *context = cf_open_simple(12, 3, 1);
    struct tensors x;
    make_tensors(&x);
    struct cf_array *logits = cf_array(CF_F32, T, 12);
    sluice_topk_args good = {sizeof good, .logits = &logits->t, .ids = &x.ids->t,
                             .weights = &x.weights->t};
    sluice_topk_args args = good;
    args.weights = NULL;
    EXPECT(context, cf_call_topk(context, &args), SLUICE_INVALID, "weights");
    args = good;
    args.ids = NULL;
    EXPECT(context, cf_call_topk(context, &args), SLUICE_INVALID, "ids");
    args.weights = NULL;
    EXPECT(context, cf_call_topk(context, &args), SLUICE_INVALID, "output");
    args = good;
    args.logits = NULL;
    EXPECT(context, cf_call_topk(context, &args), SLUICE_INVALID, "logits");
    args = good;
    args.bias = &x.bias->t;
    EXPECT(context, cf_call_topk(context, &args), SLUICE_INVALID, "bias");
    args = good;
    args.shared_logits = &x.shared_logits->t;
    EXPECT(context, cf_call_topk(context, &args), SLUICE_INVALID, "shared_logits");
    args = good;
    args.forced_row = &x.forced_row->t;
    EXPECT(context, cf_call_topk(context, &args), SLUICE_INVALID, "forced_ids");
    args = good;
    args.zero_weight = &x.zero_weight->t;
    EXPECT(context, cf_call_topk(context, &args), SLUICE_INVALID, "zero_weight");
    args = good;
    args.shared_weights = &x.shared_weights->t;
    EXPECT(context, cf_call_topk(context, &args), SLUICE_INVALID, "shared_weights");
    EXPECT_OK(context, cf_call_topk(context, &good));
}

static void missing_inputs(const void *what)
{
    (void)what;
    struct cf_setup setup;
    struct tensors x;
    setup_full(&setup);
    make_tensors(&x);
    sluice_context *context = cf_open(&setup);
    sluice_topk_args good = {sizeof good,
                             .logits = &x.logits->t,
                             .bias = &x.bias->t,
                             .bias_row = &x.bias_row->t,
                             .shared_logits = &x.shared_logits->t,
                             .ids = &x.ids->t,
                             .weights = &x.weights->t};
    sluice_topk_args args = good;
    args.bias = NULL;
    EXPECT(context, cf_call_topk(context, &args), SLUICE_INVALID, "bias");
    args = good;
    args.bias_row = NULL;
    EXPECT(context, cf_call_topk(context, &args), SLUICE_INVALID, "bias_row");
    args = good;
    args.shared_logits = NULL;
    EXPECT(context, cf_call_topk(context, &args), SLUICE_INVALID, "shared_logits");
    sluice_remap_args remap = {sizeof remap, .ids = &x.ids->t, .weights = &x.weights->t,
                               .dispatch_ids = &x.dispatch_ids->t,
                               .dispatch_weights = &x.dispatch_weights->t};
    EXPECT(context, cf_call_remap(context, &remap), SLUICE_INVALID, "shared_weights");
    remap.shared_weights = &x.shared_weights->t;
    EXPECT_OK(context, cf_call_remap(context, &remap));
    remap.weights = NULL;
    EXPECT(context, cf_call_remap(context, &remap), SLUICE_INVALID, "weights");
    remap.dispatch_weights = NULL;
    remap.zero_weight_here = &x.zero_here->t;
    EXPECT(context, cf_call_remap(context, &remap), SLUICE_INVALID, "zero_weight");
    sluice_remap_args none = {sizeof none, .ids = &x.ids->t};
    EXPECT(context, cf_call_remap(context, &none), SLUICE_INVALID, "output");
}

static void bad_layer(const void *what)
{
    (void)what;
    sluice_context *context = cf_open_simple(12, 3, 0);
    struct tensors x;
    make_tensors(&x);
    struct cf_array *logits = cf_array(CF_F32, T, 12);
    sluice_topk_args topk = {sizeof topk, .logits = &logits->t, .ids = &x.ids->t,
                             .weights = &x.weights->t};
    sluice_record_args record = {sizeof record, .recorder_ids = &x.recorder_ids->t};
    sluice_remap_args remap = {sizeof remap, .ids = &x.ids->t, .recorder_ids = &x.recorder_ids->t};
    sluice_weights_args weights = {.struct_size = sizeof weights};
    for (int32_t i = 0; i < 3; i++) {
        int32_t layer = i == 0 ? -1 : i == 1 ? 1 : INT32_MAX;
        topk.layer = record.layer = remap.layer = weights.layer = layer;
        EXPECT(context, cf_call_topk(context, &topk), SLUICE_INVALID, "layer");
        EXPECT(context, cf_call_remap(context, &remap), SLUICE_INVALID, "layer");
        EXPECT(context, cf_call_record(context, &record), SLUICE_INVALID, "layer");
        EXPECT(context, cf_api->get_moe_weights(context, &weights), SLUICE_INVALID, "layer");
    }
}

static void num_valid_range(const void *what)
{
    (void)what;
    sluice_context *context = cf_open_simple(12, 3, 0);
    struct tensors x;
    make_tensors(&x);
    sluice_record_args record = {sizeof record, .recorder_ids = &x.recorder_ids->t};
    for (int32_t i = 0; i < 2; i++) {
        struct cf_array *valid = cf_scalar(i ? -1 : T + 1);
        record.num_valid = &valid->t;
        EXPECT(context, cf_call_record(context, &record), SLUICE_INVALID, "num_valid");
    }
    struct cf_array *base = cf_scalar(-1);
    sluice_remap_args remap = {sizeof remap, .ids = &x.ids->t, .row_base = &base->t,
                               .recorder_ids = &x.recorder_ids->t};
    EXPECT(context, cf_call_remap(context, &remap), SLUICE_INVALID, "row_base");
}

static void error_text(const void *what)
{
    (void)what;
    sluice_context *context = cf_open_simple(12, 3, 0), *other = cf_open_simple(12, 3, 0);
    sluice_topk_args args = {.struct_size = sizeof args, .layer = 4};
    EXPECT(context, cf_call_topk(context, &args), SLUICE_INVALID, "layer", "4");
    char whole[512] = "", cut[6] = "";
    size_t length = cf_api->last_error(context, whole, sizeof whole);
    CHECK_EQ(length, strlen(whole), "the length of last_error");
    memset(cut, 'x', sizeof cut);
    CHECK_EQ(cf_api->last_error(context, cut, sizeof cut), length, "the length of a cut text");
    CHECK(memchr(cut, 0, sizeof cut), "a cut text has no end");
    CHECK(strncmp(cut, whole, 5) == 0, "a cut text is another");
    CHECK_EQ(cf_api->last_error(context, NULL, 0), length, "the length without a buffer");
    CHECK_EQ(cf_api->last_error(other, whole, sizeof whole), 0,
             "the length of another context's text");
    sluice_record_args record = {.struct_size = sizeof record};
    EXPECT(context, cf_call_record(context, &record), SLUICE_INVALID, "recorder_ids");
}

static const struct cf_case CASES[] = {
    {"argument.topk", "every damaged tensor of topk is refused by name", topk_tensors, NULL},
    {"argument.remap", "every damaged tensor of remap is refused by name", remap_tensors, NULL},
    {"argument.record", "every damaged tensor of record is refused by name and nothing is counted",
     record_tensors, NULL},
    {"argument.route", "every damaged tensor of route is refused by name and nothing is counted",
     route_tensors, NULL},
    {"argument.pairs", "topk refuses half a pair, no output, and what the layer does not have",
     topk_pairs, NULL},
    {"argument.missing", "inputs that the layer requires are required", missing_inputs, NULL},
    {"argument.layer", "a layer outside the config is refused by every operation", bad_layer, NULL},
    {"argument.range", "num_valid and row_base out of range are refused", num_valid_range, NULL},
    {"argument.last_error", "last_error is the last failed call's, of its own context, cut to fit",
     error_text, NULL},
};
CF_LIST(cf_argument_cases, CASES);
