/* SPDX-License-Identifier: Apache-2.0
 * topk against the reference, one feature of the descriptor a case, on random inputs drawn again
 * until no decision is close to a tie. */
#include <math.h>
#include <stdlib.h>

#include "conform_reference.h"

struct topk_spec {
    sluice_router router; /* struct_size is filled in */
    enum cf_type logits, ids;
    int32_t rows;           /* default 37 */
    double mean, spread;    /* of the logits; spread 0: 2 */
    double bias_spread;     /* default 0.3 */
    int32_t shared_columns; /* of shared_logits; default F */
    bool expert_scale, forced, forced_table, row_valid, num_valid, strided, wide_scalars;
};

struct topk_call {
    const struct topk_spec *spec;
    sluice_router router;
    int32_t columns, rows, shared_columns;
    struct cf_array *logits, *bias, *bias_row, *scale, *shared, *forced, *forced_row;
    struct cf_array *row_valid, *num_valid;
    struct cf_array *ids, *weights, *shared_weights, *zero;
    struct ref_choice *want;
};

static bool per_token_shared(const struct topk_call *call)
{
    return call->router.shared && call->router.shared_weight != SLUICE_SHARED_ONE;
}

static void read_row(const struct cf_array *array, int64_t row, int64_t columns, double *to)
{
    for (int64_t i = 0; i < columns; i++)
        to[i] = cf_get(array, row, i);
}

static void reference_row(struct topk_call *call, int64_t t)
{
    static double logits[REF_COLUMNS], bias[REF_COLUMNS], scale[REF_COLUMNS], shared[REF_SHARED];
    int64_t forced[REF_K];
    struct ref_row row = {.router = &call->router, .shared_columns = call->shared_columns};
    read_row(call->logits, t, call->columns, logits);
    row.logits = logits;
    if (call->bias) {
        int64_t b = call->bias_row ? cf_id(call->bias_row, t, 0) : 0;
        read_row(call->bias, b, call->columns, bias);
        row.bias = bias;
    }
    if (call->scale) {
        for (int32_t e = 0; e < call->columns; e++)
            scale[e] = cf_get(call->scale, e, 0);
        row.expert_scale = scale;
    }
    if (call->shared) {
        read_row(call->shared, t, call->shared_columns, shared);
        row.shared_logits = shared;
    }
    if (call->forced) {
        int64_t from = call->forced_row ? cf_id(call->forced_row, t, 0) : t;
        for (int32_t k = 0; k < call->router.top_k; k++)
            forced[k] = cf_id(call->forced, from, k);
        row.forced = forced;
    }
    row.padding = (call->row_valid && !cf_id(call->row_valid, t, 0)) ||
                  (call->num_valid && t >= cf_id(call->num_valid, 0, 0));
    ref_choose(&row, &call->want[t]);
}

static void draw_row(struct topk_call *call, struct cf_random *random, int64_t t)
{
    double spread = call->spec->spread != 0 ? call->spec->spread : 2;
    for (int32_t e = 0; e < call->columns; e++)
        cf_put(call->logits, t, e, call->spec->mean + spread * cf_normal(random));
    for (int32_t j = 0; call->shared && j < call->shared_columns; j++)
        cf_put(call->shared, t, j, call->spec->mean + spread * cf_normal(random));
}

static struct cf_array *matrix(const struct topk_call *call, enum cf_type type, int64_t columns)
{
    return call->spec->strided ? cf_strided(type, call->rows, columns, columns + 3)
                               : cf_array(type, call->rows, columns);
}

static void make_tables(struct topk_call *call, struct cf_random *random)
{
    const struct topk_spec *spec = call->spec;
    int32_t bias_rows = call->router.bias_rows > 1 ? call->router.bias_rows : 1;
    enum cf_type narrow = spec->ids == CF_I64 ? CF_I64 : CF_I32;
    if (call->router.bias_use != SLUICE_BIAS_NONE) {
        double spread = spec->bias_spread != 0 ? spec->bias_spread : 0.3;
        call->bias = cf_array(CF_F32, bias_rows, call->columns);
        for (int32_t i = 0; i < bias_rows * call->columns; i++)
            cf_put(call->bias, i / call->columns, i % call->columns, spread * cf_normal(random));
    }
    if (bias_rows > 1) {
        call->bias_row = cf_array(narrow, call->rows, 0);
        for (int32_t t = 0; t < call->rows; t++)
            cf_put(call->bias_row, t, 0, cf_below(random, bias_rows));
    }
    if (spec->expert_scale) {
        call->scale = cf_array(CF_F32, call->columns, 0);
        for (int32_t e = 0; e < call->columns; e++)
            cf_put(call->scale, e, 0, 0.5 + cf_uniform(random));
    }
    if (per_token_shared(call))
        call->shared = matrix(call, spec->logits, call->shared_columns);
    if (spec->row_valid) {
        call->row_valid = cf_array(CF_U8, call->rows, 0);
        for (int32_t t = 0; t < call->rows; t++)
            cf_put(call->row_valid, t, 0, t % 3 != 1);
    }
    if (spec->num_valid)
        call->num_valid = cf_scalar(call->rows - 5);
}

static void make_forced(struct topk_call *call, struct cf_random *random)
{
    const struct topk_spec *spec = call->spec;
    int32_t count = spec->forced_table ? 100 : call->rows, top_k = call->router.top_k;
    if (!spec->forced && !spec->forced_table)
        return;
    enum cf_type type = spec->ids == CF_I64 ? CF_I64 : CF_I32;
    call->forced = cf_array(type, count, top_k);
    for (int32_t i = 0; i < count; i++) {
        int32_t first = cf_below(random, call->columns);
        for (int32_t k = 0; k < top_k; k++) /* distinct while 7 and E+Z have no common divisor */
            cf_put(call->forced, i, k, (first + 7 * k) % call->columns);
    }
    if (!spec->forced_table)
        return;
    call->forced_row = cf_array(type, call->rows, 0);
    for (int32_t t = 0; t < call->rows; t++)
        cf_put(call->forced_row, t, 0, cf_below(random, count));
}

static void make_call(struct topk_call *call, const struct topk_spec *spec)
{
    struct cf_random random = {.state = 11};
    *call = (struct topk_call){.spec = spec, .router = spec->router};
    call->router.struct_size = sizeof call->router;
    call->columns = spec->router.experts + spec->router.zero_experts;
    call->rows = spec->rows ? spec->rows : 37;
    call->shared_columns = spec->shared_columns ? spec->shared_columns : spec->router.shared;
    call->want = calloc((size_t)call->rows, sizeof *call->want);
    CHECK(call->want, "the suite has no memory");
    call->logits = matrix(call, spec->logits, call->columns);
    make_tables(call, &random);
    make_forced(call, &random);
    for (int32_t t = 0; t < call->rows; t++)
        for (int tries = 0;; tries++) {
            CHECK(tries < 1000, "the suite finds no input without ties");
            draw_row(call, &random, t);
            reference_row(call, t);
            if (call->want[t].margin > 2e-5)
                break;
        }
    call->ids = matrix(call, spec->ids == CF_I64 ? CF_I64 : CF_I32, call->router.top_k);
    call->weights = matrix(call, CF_F32, call->router.top_k);
    if (per_token_shared(call))
        call->shared_weights = matrix(call, CF_F32, call->router.shared);
    if (call->router.zero_experts)
        call->zero = cf_array(CF_F32, call->rows, 0);
}

static void check_row(const struct topk_call *call, int32_t t)
{
    const struct ref_choice *want = &call->want[t];
    bool padding = (call->row_valid && !cf_id(call->row_valid, t, 0)) ||
                   (call->num_valid && t >= cf_id(call->num_valid, 0, 0));
    for (int32_t k = 0; k < call->router.top_k; k++) {
        CHECK_EQ(cf_id(call->ids, t, k), want->ids[k], "id of row %d, column %d", t, k);
        CHECK_NEAR(cf_get(call->weights, t, k), want->weights[k], "weight of row %d, column %d", t,
                   k);
    }
    for (int32_t j = 0; call->shared_weights && !padding && j < call->router.shared; j++)
        CHECK_NEAR(cf_get(call->shared_weights, t, j), want->shared[j],
                   "shared weight of row %d, column %d", t, j);
    if (call->zero)
        CHECK_NEAR(cf_get(call->zero, t, 0), want->zero, "zero_weight of row %d", t);
}

#define TENSOR(array_) ((array_) ? &(array_)->t : NULL)

static void against_reference(const void *what)
{
    struct topk_call call;
    make_call(&call, what);
    struct cf_setup setup;
    cf_setup(&setup, 1, call.router.experts, call.router.top_k, call.router.shared);
    setup.router[0] = call.router;
    sluice_context *context = cf_open(&setup);
    sluice_topk_args args = {.struct_size = sizeof args,
                             .logits = TENSOR(call.logits),
                             .bias = TENSOR(call.bias),
                             .bias_row = TENSOR(call.bias_row),
                             .expert_scale = TENSOR(call.scale),
                             .shared_logits = TENSOR(call.shared),
                             .forced_ids = TENSOR(call.forced),
                             .forced_row = TENSOR(call.forced_row),
                             .row_valid = TENSOR(call.row_valid),
                             .num_valid = TENSOR(call.num_valid),
                             .ids = TENSOR(call.ids),
                             .weights = TENSOR(call.weights),
                             .shared_weights = TENSOR(call.shared_weights),
                             .zero_weight = TENSOR(call.zero)};
    EXPECT_OK(context, cf_call_topk(context, &args));
    for (int32_t t = 0; t < call.rows; t++)
        check_row(&call, t);
    cf_api->close(context);
}

#define SPEC(...)                                                                                  \
    &(const struct topk_spec)                                                                      \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define ROUTER(...) .router = {__VA_ARGS__}
#define TOPK(name_, title_, ...)                                                                   \
    {                                                                                              \
        "topk." name_, title_, against_reference, SPEC(__VA_ARGS__)                                \
    }

/* DeepSeek-V3's, small. */
#define V3                                                                                         \
    .experts = 64, .top_k = 6, .score = SLUICE_SCORE_SIGMOID, .bias_use = SLUICE_BIAS_SCORE,       \
    .groups = 8, .keep_groups = 4, .group_value = SLUICE_GROUP_TOP2, .renorm = 1,                  \
    .renorm_eps = 1e-20F, .scale = 2.5F

static const struct cf_case CASES[] = {
    TOPK("softmax", "softmax weights are those of the softmax over all experts",
         ROUTER(.experts = 64, .top_k = 8)),
    TOPK("sigmoid", "sigmoid weights are each expert's own",
         ROUTER(.experts = 60, .top_k = 4, .score = SLUICE_SCORE_SIGMOID)),
    TOPK("sqrt_softplus", "sqrt_softplus weights are the root of log(1 + e^x)",
         ROUTER(.experts = 32, .top_k = 6, .score = SLUICE_SCORE_SQRT_SOFTPLUS), .spread = 6),
    TOPK("many_experts", "512 experts and 22 choices are served",
         ROUTER(.experts = 512, .top_k = 22, .renorm = 1), .rows = 9),
    TOPK("most_experts", "4096 experts and 64 choices are served",
         ROUTER(.experts = 4096, .top_k = 64, .score = SLUICE_SCORE_SIGMOID), .rows = 2,
         .spread = 1.5),
    TOPK("one_expert", "one expert and one choice are served", ROUTER(.experts = 1, .top_k = 1)),
    TOPK("odd_experts", "a number of experts that no vector divides is served",
         ROUTER(.experts = 37, .top_k = 5, .renorm = 1)),
    TOPK("all_chosen", "as many choices as experts order all of them",
         ROUTER(.experts = 8, .top_k = 8)),
    TOPK("renorm", "renormalised weights are divided by the sum of the chosen",
         ROUTER(.experts = 64, .top_k = 8, .renorm = 1)),
    TOPK("renorm_eps", "the epsilon is added to the sum",
         ROUTER(.experts = 32, .top_k = 4, .score = SLUICE_SCORE_SIGMOID, .renorm = 1,
                .renorm_eps = 1e-3F),
         .mean = -9, .spread = 1),
    TOPK("renorm_floor", "the sum is at least the floor",
         ROUTER(.experts = 32, .top_k = 4, .score = SLUICE_SCORE_SIGMOID, .renorm = 1,
                .renorm_floor = 0.01F),
         .mean = -8, .spread = 1),
    TOPK("scale", "the routed scale is in the weights",
         ROUTER(.experts = 32, .top_k = 4, .scale = 2.5F)),
    TOPK("scale_renorm", "the routed scale comes after renormalising",
         ROUTER(.experts = 32, .top_k = 4, .renorm = 1, .scale = 2.5F)),
    TOPK("scale_by_engine", "with scale_by ENGINE the weights are not scaled",
         ROUTER(.experts = 32, .top_k = 4, .renorm = 1, .scale = 2.5F,
                .scale_by = SLUICE_SCALE_BY_ENGINE)),
    TOPK("bias_score", "a bias on the score ranks and leaves the weight alone",
         ROUTER(.experts = 64, .top_k = 8, .score = SLUICE_SCORE_SIGMOID,
                .bias_use = SLUICE_BIAS_SCORE)),
    TOPK("bias_score_softmax", "a bias on a softmax score ranks and leaves the weight alone",
         ROUTER(.experts = 64, .top_k = 8, .bias_use = SLUICE_BIAS_SCORE), .bias_spread = 0.05),
    TOPK("bias_rank_logit", "a bias on the rank logit ranks and leaves the score alone",
         ROUTER(.experts = 64, .top_k = 6, .score = SLUICE_SCORE_SIGMOID,
                .bias_use = SLUICE_BIAS_RANK_LOGIT),
         .bias_spread = 1),
    TOPK("bias_logit", "a bias on the logit ranks and weighs",
         ROUTER(.experts = 32, .top_k = 4, .bias_use = SLUICE_BIAS_LOGIT, .renorm = 1),
         .bias_spread = 1),
    TOPK("bias_logit_cap", "a bias on the logit comes after scale and cap",
         ROUTER(.experts = 32, .top_k = 4, .bias_use = SLUICE_BIAS_LOGIT, .logit_cap = 3,
                .logit_scale = 0.5F),
         .bias_spread = 1, .spread = 5),
    TOPK("bias_rows", "bias_row picks each token's bias",
         ROUTER(.experts = 32, .top_k = 4, .score = SLUICE_SCORE_SIGMOID,
                .bias_use = SLUICE_BIAS_SCORE, .bias_rows = 3)),
    TOPK("bias_rows_i64", "bias_row may be int64",
         ROUTER(.experts = 32, .top_k = 4, .score = SLUICE_SCORE_SIGMOID,
                .bias_use = SLUICE_BIAS_SCORE, .bias_rows = 3),
         .ids = CF_I64),
    TOPK("logit_scale", "logits are scaled before scoring",
         ROUTER(.experts = 32, .top_k = 4, .logit_scale = 0.1768F)),
    TOPK("logit_cap", "logits are capped by tanh",
         ROUTER(.experts = 8, .top_k = 2, .logit_cap = 30), .spread = 25),
    TOPK("scale_before_cap", "the logit scale comes before the cap",
         ROUTER(.experts = 16, .top_k = 4, .logit_scale = 3, .logit_cap = 5), .spread = 2),
    TOPK("groups_max", "groups are ranked by their best score",
         ROUTER(.experts = 64, .top_k = 6, .groups = 8, .keep_groups = 3)),
    TOPK("groups_max_bias", "groups are ranked by their best biased score",
         ROUTER(.experts = 64, .top_k = 6, .groups = 8, .keep_groups = 3,
                .score = SLUICE_SCORE_SIGMOID, .bias_use = SLUICE_BIAS_SCORE)),
    TOPK("groups_top2", "groups are ranked by the sum of their two best biased scores", ROUTER(V3)),
    TOPK("groups_top2_no_bias", "groups are ranked by their two best scores without a bias too",
         ROUTER(.experts = 64, .top_k = 4, .groups = 4, .keep_groups = 2,
                .group_value = SLUICE_GROUP_TOP2, .renorm = 1)),
    TOPK("groups_even", "even groups give K/G choices each, group by group",
         ROUTER(.experts = 64, .top_k = 8, .groups = 4, .group_mode = SLUICE_GROUPS_EVEN,
                .renorm = 1)),
    TOPK("groups_keep_all", "keep_groups left out keeps every group",
         ROUTER(.experts = 64, .top_k = 6, .groups = 8)),
    TOPK("zero_identity", "choices of zero experts become zero_weight and id -1",
         ROUTER(.experts = 32, .top_k = 6, .zero_experts = 16, .scale = 6,
                .bias_use = SLUICE_BIAS_SCORE),
         .bias_spread = 0.02),
    TOPK("zero_renorm", "zero experts count in the sum that renormalises",
         ROUTER(.experts = 24, .top_k = 4, .zero_experts = 8, .renorm = 1)),
    TOPK("zero_null", "zero experts of kind null add no zero_weight",
         ROUTER(.experts = 16, .top_k = 2, .zero_experts = 3, .zero_kind = SLUICE_ZERO_NULL)),
    TOPK("zero_by_engine", "zero_weight is unscaled with scale_by ENGINE",
         ROUTER(.experts = 24, .top_k = 4, .zero_experts = 8, .scale = 6,
                .scale_by = SLUICE_SCALE_BY_ENGINE)),
    TOPK("expert_scale", "expert_scale multiplies after renormalising",
         ROUTER(.experts = 32, .top_k = 4, .renorm = 1, .scale = 1.5F), .expert_scale = true),
    TOPK("shared_gate", "one sigmoid gate serves all shared experts",
         ROUTER(.experts = 60, .top_k = 4, .shared = 4, .shared_weight = SLUICE_SHARED_SIGMOID),
         .shared_columns = 1),
    TOPK("shared_gates", "each shared expert has its sigmoid gate, times shared_scale",
         ROUTER(.experts = 32, .top_k = 4, .shared = 2, .shared_weight = SLUICE_SHARED_SIGMOID,
                .shared_scale = 0.5F)),
    TOPK("shared_gate_raw", "a shared gate has no logit scale, no cap and is not divided",
         ROUTER(.experts = 32, .top_k = 4, .shared = 1, .shared_weight = SLUICE_SHARED_SIGMOID,
                .logit_scale = 0.3F, .logit_cap = 2, .scale = 4,
                .scale_by = SLUICE_SCALE_BY_ENGINE)),
    TOPK("joint_softmax", "joint shared logits are in the softmax and in the sum",
         ROUTER(.experts = 32, .top_k = 4, .shared = 2, .shared_weight = SLUICE_SHARED_JOINT,
                .scale = 3)),
    TOPK("joint_eps", "joint shared logits are in the softmax before the epsilon is added",
         ROUTER(.experts = 32, .top_k = 4, .shared = 2, .shared_weight = SLUICE_SHARED_JOINT,
                .renorm_eps = 0.05F)),
    TOPK("joint_sigmoid", "joint shared scores are in the sum that renormalises",
         ROUTER(.experts = 64, .top_k = 6, .shared = 2, .score = SLUICE_SCORE_SIGMOID,
                .bias_use = SLUICE_BIAS_SCORE, .shared_weight = SLUICE_SHARED_JOINT, .scale = 8)),
    TOPK("joint_capped", "joint shared logits are scaled and capped, not biased",
         ROUTER(.experts = 16, .top_k = 4, .shared = 1, .shared_weight = SLUICE_SHARED_JOINT,
                .logit_scale = 0.5F, .logit_cap = 2, .bias_use = SLUICE_BIAS_LOGIT),
         .spread = 4),
    TOPK("forced", "forced ids are taken as they stand and weighed by their scores",
         ROUTER(.experts = 32, .top_k = 6, .score = SLUICE_SCORE_SQRT_SOFTPLUS, .renorm = 1,
                .scale = 1.5F),
         .forced = true),
    TOPK("forced_table", "forced_row looks a row of the table up",
         ROUTER(.experts = 32, .top_k = 6, .renorm = 1), .forced_table = true),
    TOPK("forced_i64", "forced ids and forced_row may be int64", ROUTER(.experts = 32, .top_k = 6),
         .forced_table = true, .ids = CF_I64),
    TOPK("forced_zero", "a forced zero expert becomes zero_weight",
         ROUTER(.experts = 16, .top_k = 3, .zero_experts = 9), .forced = true),
    TOPK("row_valid", "rows that are not valid are -1 and 0",
         ROUTER(.experts = 16, .top_k = 3, .zero_experts = 4), .row_valid = true),
    TOPK("num_valid", "rows from num_valid on are -1 and 0", ROUTER(.experts = 16, .top_k = 3),
         .num_valid = true),
    TOPK("f16", "float16 logits are served", ROUTER(.experts = 64, .top_k = 6, .renorm = 1),
         .logits = CF_F16),
    TOPK("bf16", "bfloat16 logits are served", ROUTER(.experts = 32, .top_k = 4, .renorm = 1),
         .logits = CF_BF16),
    TOPK("f16_denormal", "float16 logits below 2^-14 keep their value",
         ROUTER(.experts = 8, .top_k = 2, .logit_scale = 100000), .logits = CF_F16, .spread = 2e-5),
    TOPK("i64_ids", "ids may be int64", ROUTER(.experts = 64, .top_k = 6), .ids = CF_I64),
    TOPK("strided", "rows of inputs and outputs may have a stride",
         ROUTER(V3, .shared = 2, .shared_weight = SLUICE_SHARED_SIGMOID), .strided = true),
    TOPK("strided_f16_i64", "strided rows of float16 and int64 are served",
         ROUTER(.experts = 40, .top_k = 5), .strided = true, .logits = CF_F16, .ids = CF_I64),
    TOPK("many_rows", "every one of 700 rows is served",
         ROUTER(.experts = 16, .top_k = 2, .renorm = 1), .rows = 700),
    TOPK("v3_bf16", "DeepSeek-V3's router on bfloat16 logits", ROUTER(V3), .logits = CF_BF16,
         .rows = 20),
};
CF_LIST(cf_topk_cases, CASES);
