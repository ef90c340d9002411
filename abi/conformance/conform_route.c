/* SPDX-License-Identifier: Apache-2.0
 * route against topk, remap and record, bit for bit. */
#include <string.h>

#include "conform.h"

enum { RANKS = 4, SLOTS = 10, EXPERTS = 32, ROWS = 150 };

struct mix {
    sluice_router router;
    int32_t copy_policy, shared_policy, flags;
    enum cf_type logits, ids;
    bool strided, padded, expert_scale;
};

struct outputs {
    struct cf_array *slots, *slot_weights, *recorder, *ids, *weights, *shared, *zero;
};

static struct cf_array *matrix(const struct mix *mix, enum cf_type type, int64_t columns)
{
    if (columns == 0)
        return NULL;
    struct cf_array *array =
        mix->strided ? cf_strided(type, ROWS, columns, columns + 2) : cf_array(type, ROWS, columns);
    cf_fill_bytes(array, 0x77);
    return array;
}

static struct outputs make_outputs(const struct mix *mix)
{
    int32_t top_k = mix->router.top_k, shared = mix->router.shared;
    int32_t columns = top_k + (mix->shared_policy == SLUICE_SHARED_NOT_FUSED ? 0 : shared);
    bool per_token = shared && mix->router.shared_weight != SLUICE_SHARED_ONE;
    enum cf_type ids = mix->ids == CF_I64 ? CF_I64 : CF_I32;
    struct outputs out = {matrix(mix, ids, columns),
                          matrix(mix, CF_F32, columns),
                          matrix(mix, ids, top_k),
                          matrix(mix, ids, top_k),
                          matrix(mix, CF_F32, top_k),
                          matrix(mix, CF_F32, per_token ? shared : 0),
                          mix->router.zero_experts ? cf_array(CF_F32, ROWS, 0) : NULL};
    return out;
}

static sluice_context *open_mix(const struct mix *mix)
{
    struct cf_setup setup;
    cf_setup(&setup, 1, EXPERTS, 4, 0);
    cf_setup_rank(&setup, 1, RANKS);
    setup.router[0] = mix->router;
    setup.router[0].struct_size = sizeof setup.router[0];
    setup.layer[0].slots_per_rank = SLOTS;
    setup.config.copy_policy = mix->copy_policy;
    setup.config.shared_policy = mix->shared_policy;
    setup.config.flags = mix->flags;
    return cf_open(&setup);
}

#define TENSOR(array_) ((array_) ? &(array_)->t : NULL)

static sluice_route_args make_args(const struct mix *mix, const struct outputs *out)
{
    struct cf_random random = {.state = 5};
    int32_t columns = EXPERTS + mix->router.zero_experts, shared = mix->router.shared;
    struct cf_array *logits = matrix(mix, mix->logits, columns), *bias = NULL, *gates = NULL;
    struct cf_array *scale = NULL, *mask = NULL, *valid = NULL, *base = cf_scalar(77);
    for (int32_t t = 0; t < ROWS; t++)
        for (int32_t e = 0; e < columns; e++)
            cf_put(logits, t, e, 2 * cf_normal(&random));
    if (mix->router.bias_use) {
        bias = cf_array(CF_F32, columns, 0);
        for (int32_t e = 0; e < columns; e++)
            cf_put(bias, e, 0, 0.2 * cf_normal(&random));
    }
    if (out->shared) {
        gates = matrix(mix, mix->logits, shared);
        for (int32_t i = 0; i < ROWS * shared; i++)
            cf_put(gates, i / shared, i % shared, cf_normal(&random));
    }
    if (mix->expert_scale) {
        scale = cf_array(CF_F32, columns, 0);
        for (int32_t e = 0; e < columns; e++)
            cf_put(scale, e, 0, 0.5 + cf_uniform(&random));
    }
    if (mix->padded) {
        valid = cf_scalar(ROWS - 11);
        mask = cf_array(CF_U8, ROWS, 0);
        for (int32_t t = 0; t < ROWS; t++)
            cf_put(mask, t, 0, t % 5 != 2);
    }
    return (sluice_route_args){.struct_size = sizeof(sluice_route_args),
                               .logits = &logits->t,
                               .bias = TENSOR(bias),
                               .expert_scale = TENSOR(scale),
                               .shared_logits = TENSOR(gates),
                               .row_valid = TENSOR(mask),
                               .num_valid = TENSOR(valid),
                               .row_base = &base->t,
                               .dispatch_ids = TENSOR(out->slots),
                               .dispatch_weights = TENSOR(out->slot_weights),
                               .recorder_ids = TENSOR(out->recorder),
                               .ids = TENSOR(out->ids),
                               .weights = TENSOR(out->weights),
                               .shared_weights = TENSOR(out->shared),
                               .zero_weight_here = TENSOR(out->zero)};
}

/* The same inputs through the three operations. */
static void run_split(sluice_context *context, const struct mix *mix, const sluice_route_args *in,
                      const struct outputs *out)
{
    struct cf_array *zero = out->zero ? cf_array(CF_F32, ROWS, 0) : NULL;
    const sluice_topk_args topk = {sizeof topk,
                                   .logits = in->logits,
                                   .bias = in->bias,
                                   .expert_scale = in->expert_scale,
                                   .shared_logits = in->shared_logits,
                                   .row_valid = in->row_valid,
                                   .num_valid = in->num_valid,
                                   .ids = TENSOR(out->ids),
                                   .weights = TENSOR(out->weights),
                                   .shared_weights = TENSOR(out->shared),
                                   .zero_weight = TENSOR(zero)};
    EXPECT_OK(context, cf_call_topk(context, &topk));
    bool fused = mix->shared_policy != SLUICE_SHARED_NOT_FUSED;
    const sluice_remap_args remap = {sizeof remap,
                                     .ids = TENSOR(out->ids),
                                     .weights = TENSOR(out->weights),
                                     .shared_weights = fused ? TENSOR(out->shared) : NULL,
                                     .zero_weight = TENSOR(zero),
                                     .row_valid = in->row_valid,
                                     .num_valid = in->num_valid,
                                     .row_base = in->row_base,
                                     .dispatch_ids = TENSOR(out->slots),
                                     .dispatch_weights = TENSOR(out->slot_weights),
                                     .recorder_ids = TENSOR(out->recorder),
                                     .zero_weight_here = TENSOR(out->zero)};
    EXPECT_OK(context, cf_call_remap(context, &remap));
    const sluice_record_args record = {sizeof record, .recorder_ids = TENSOR(out->recorder)};
    EXPECT_OK(context, cf_call_record(context, &record));
}

static void equal(const struct cf_array *a, const struct cf_array *b, const char *what)
{
    if (!a)
        return;
    for (int64_t t = 0; t < a->rows; t++)
        for (int64_t k = 0; k < a->columns; k++) {
            size_t size = cf_type_size(a->type);
            const char *x = (const char *)a->host + (size_t)(t * a->stride + k) * size;
            const char *y = (const char *)b->host + (size_t)(t * b->stride + k) * size;
            CHECK(memcmp(x, y, size) == 0, "%s of row %d, column %d: split %.9g, route %.9g", what,
                  (int)t, (int)k, cf_get(a, t, k), cf_get(b, t, k));
        }
}

static void same_as_three(const void *what)
{
    const struct mix *mix = what;
    sluice_context *split = open_mix(mix), *fused = open_mix(mix);
    struct outputs a = make_outputs(mix), b = make_outputs(mix);
    sluice_route_args args = make_args(mix, &b);
    for (int32_t call = 0; call < 2; call++) { /* the second draws anew */
        run_split(split, mix, &args, &a);
        EXPECT_OK(fused, cf_call_route(fused, &args));
        equal(a.ids, b.ids, "ids");
        equal(a.weights, b.weights, "weights");
        equal(a.shared, b.shared, "shared_weights");
        equal(a.recorder, b.recorder, "recorder_ids");
        equal(a.slots, b.slots, "dispatch_ids");
        equal(a.slot_weights, b.slot_weights, "dispatch_weights");
        equal(a.zero, b.zero, "zero_weight");
    }
    int64_t x[RANKS * SLOTS], y[RANKS * SLOTS];
    cf_counters(split, 0, x, (int64_t)RANKS * SLOTS);
    cf_counters(fused, 0, y, (int64_t)RANKS * SLOTS);
    CHECK(memcmp(x, y, sizeof x) == 0, "the counters differ");
    CHECK_EQ(cf_rejected(split, SLUICE_OP_REMAP), cf_rejected(fused, SLUICE_OP_ROUTE),
             "rejected ids");
}

/* Each output of route without the others. */
static void outputs_alone(const void *what)
{
    const struct mix *mix = what;
    struct outputs whole = make_outputs(mix), part = make_outputs(mix);
    const sluice_route_args all = make_args(mix, &whole);
    sluice_context *context = open_mix(mix);
    EXPECT_OK(context, cf_call_route(context, &all));
    for (int32_t only = 0; only < 6; only++) {
        sluice_route_args args = all;
        args.dispatch_ids = only == 0 ? TENSOR(part.slots) : NULL;
        args.dispatch_weights = only == 1 ? TENSOR(part.slot_weights) : NULL;
        args.recorder_ids = only == 2 ? TENSOR(part.recorder) : NULL;
        args.ids = only == 3 ? TENSOR(part.ids) : NULL;
        args.weights = only == 3 ? TENSOR(part.weights) : NULL;
        args.shared_weights = only == 4 ? TENSOR(part.shared) : NULL;
        args.zero_weight_here = only == 5 ? TENSOR(part.zero) : NULL;
        context = open_mix(mix);
        EXPECT_OK(context, cf_call_route(context, &args));
    }
    equal(whole.slots, part.slots, "dispatch_ids alone");
    equal(whole.slot_weights, part.slot_weights, "dispatch_weights alone");
    equal(whole.recorder, part.recorder, "recorder_ids alone");
    equal(whole.ids, part.ids, "ids alone");
    equal(whole.weights, part.weights, "weights alone");
    equal(whole.shared, part.shared, "shared_weights alone");
    equal(whole.zero, part.zero, "zero_weight_here alone");
    sluice_route_args none = all;
    none.dispatch_ids = none.dispatch_weights = none.recorder_ids = NULL;
    none.ids = none.weights = none.shared_weights = none.zero_weight_here = NULL;
    EXPECT(context, cf_call_route(context, &none), SLUICE_INVALID, "output");
}

#define MIX(...)                                                                                   \
    &(const struct mix)                                                                            \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define ROUTER(...) .router = {.experts = EXPERTS, __VA_ARGS__}
#define SAME(name_, title_, ...)                                                                   \
    {                                                                                              \
        "route." name_, "route gives what the three operations give: " title_, same_as_three,      \
            MIX(__VA_ARGS__)                                                                       \
    }
#define GATED .top_k = 4, .shared = 2, .shared_weight = SLUICE_SHARED_SIGMOID

static const struct cf_case CASES[] = {
    SAME("plain", "no shared experts", ROUTER(.top_k = 8)),
    SAME("shared", "one shared expert, scaled by the engine",
         ROUTER(.top_k = 4, .shared = 1, .scale = 2.5F, .scale_by = SLUICE_SCALE_BY_ENGINE,
                .renorm = 1)),
    SAME("v3", "DeepSeek-V3's router",
         ROUTER(.top_k = 6, .shared = 1, .score = SLUICE_SCORE_SIGMOID,
                .bias_use = SLUICE_BIAS_SCORE, .groups = 8, .keep_groups = 4,
                .group_value = SLUICE_GROUP_TOP2, .renorm = 1, .renorm_eps = 1e-20F, .scale = 2.5F),
         .logits = CF_BF16),
    SAME("gated", "gated shared experts, strided int64 outputs, padding",
         ROUTER(GATED, .scale = 3, .scale_by = SLUICE_SCALE_BY_ENGINE), .strided = true,
         .ids = CF_I64, .padded = true),
    SAME("joint", "joint shared experts, random copies",
         ROUTER(.top_k = 4, .shared = 2, .shared_weight = SLUICE_SHARED_JOINT, .scale = 8),
         .copy_policy = SLUICE_COPY_RANDOM),
    SAME("zero", "zero experts and expert_scale", ROUTER(.top_k = 6, .zero_experts = 8),
         .expert_scale = true, .padded = true),
    SAME("not_fused", "shared experts that are no slots", ROUTER(GATED),
         .shared_policy = SLUICE_SHARED_NOT_FUSED),
    SAME("waterfill", "waterfill", ROUTER(.top_k = 4, .shared = 2, .zero_experts = 9),
         .shared_policy = SLUICE_SHARED_WATERFILL_STATIC, .padded = true),
    SAME("every_row", "every rank on every row", ROUTER(.top_k = 4, .shared = 1, .zero_experts = 4),
         .flags = SLUICE_OPEN_EVERY_RANK_EVERY_ROW),
    {"route.alone", "each output of route alone is what it is among all", outputs_alone,
     MIX(ROUTER(GATED, .zero_experts = 6), .padded = true)},
};
CF_LIST(cf_route_cases, CASES);
