#include "ct.h"

#include "choose_reference.h"

#include <math.h>
#include <string.h>

enum { ROWS = 40, COLUMNS = 64, BIAS_ROWS = 3, TABLE_ROWS = 9, K = 8 };

/* Everything a call may give, for COLUMNS columns. */
static struct choose_call given(sluice_router router)
{
    struct choose_random random = {7};
    struct choose_call call = {.router = router, .rows = ROWS};
    int32_t *bias_row = ct_alloc(ROWS * sizeof *bias_row);
    for (int32_t t = 0; t < ROWS; t++)
        bias_row[t] = (int32_t)(choose_bits(&random) % BIAS_ROWS);
    call.io.logits = choose_normals(&random, ROWS * COLUMNS, 1.5);
    call.io.logit_stride = COLUMNS;
    call.io.bias = choose_normals(&random, BIAS_ROWS * COLUMNS, 0.3);
    call.io.bias_stride = COLUMNS;
    call.io.bias_row = (struct sl_ids){.data = bias_row, .stride = 1};
    call.io.shared_logits = choose_normals(&random, ROWS * SL_MAX_SHARED, 1);
    call.io.shared_stride = SL_MAX_SHARED;
    call.io.shared_columns = router.shared;
    call.io.valid_rows = ROWS;
    return call;
}

/* Of everything the call wrote. */
static uint64_t digest(const struct choose_call *call)
{
    const struct sl_rule *rule = &call->rule;
    size_t rows = (size_t)call->rows;
    const struct {
        const void *data;
        size_t bytes;
    } parts[] = {{call->out.ids, rows * (size_t)rule->top_k * 4},
                 {call->out.weights, rows * (size_t)rule->top_k * 4},
                 {call->out.shared, rows * (size_t)rule->shared * 4},
                 {call->out.zero, rows * 4}};
    uint64_t hash = 0xCBF29CE484222325U;
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
        for (size_t i = 0; i < parts[p].bytes; i++)
            hash = (hash ^ ((const uint8_t *)parts[p].data)[i]) * 0x100000001B3U;
    return hash;
}

/* Runs it, compares it with the reference, and gives what it wrote. */
static uint64_t result(struct choose_call *call)
{
    if (!choose_portable(call))
        return 0;
    ct_expect_true(choose_agrees(call, 3e-6));
    return digest(call);
}

#define AT(field_) offsetof(sluice_router, field_)
#define SIGMOID_BIAS .score = SLUICE_SCORE_SIGMOID, .bias_use = SLUICE_BIAS_SCORE

/* A descriptor that needs the field, and the value that takes it away. */
static const struct {
    const char *name;
    sluice_router router;
    size_t field, also; /* set to value; `also`, where not 0, to 0 */
    int32_t value;
} fields[] = {
    {"experts", {.experts = 64}, AT(experts), 0, 48},
    {"top_k", {.experts = 64}, AT(top_k), 0, 7},
    {"zero_experts", {.experts = 48, .zero_experts = 16}, AT(zero_experts), 0, 0},
    {"zero_kind",
     {.experts = 48, .zero_experts = 16, .zero_kind = SLUICE_ZERO_NULL},
     AT(zero_kind),
     0,
     SLUICE_ZERO_IDENTITY},
    {"logit_scale", {.experts = 64, .logit_scale = 0.1768f}, AT(logit_scale), 0, 0},
    {"logit_cap", {.experts = 64, .logit_cap = 2}, AT(logit_cap), 0, 0},
    {"score sigmoid",
     {.experts = 64, .score = SLUICE_SCORE_SIGMOID},
     AT(score),
     0,
     SLUICE_SCORE_SOFTMAX},
    {"score sqrt_softplus",
     {.experts = 64, .score = SLUICE_SCORE_SQRT_SOFTPLUS},
     AT(score),
     0,
     SLUICE_SCORE_SIGMOID},
    {"bias_use score", {.experts = 64, SIGMOID_BIAS}, AT(bias_use), 0, SLUICE_BIAS_NONE},
    {"bias_use rank_logit",
     {.experts = 64, .bias_use = SLUICE_BIAS_RANK_LOGIT},
     AT(bias_use),
     0,
     SLUICE_BIAS_SCORE},
    {"bias_use logit",
     {.experts = 64, .bias_use = SLUICE_BIAS_LOGIT},
     AT(bias_use),
     0,
     SLUICE_BIAS_RANK_LOGIT},
    {"bias_rows", {.experts = 64, SIGMOID_BIAS, .bias_rows = 3}, AT(bias_rows), 0, 1},
    {"groups", {.experts = 64, .groups = 8, .keep_groups = 2}, AT(groups), AT(keep_groups), 1},
    {"keep_groups", {.experts = 64, .groups = 8, .keep_groups = 2}, AT(keep_groups), 0, 3},
    {"group_value",
     {.experts = 64, .groups = 8, .keep_groups = 3, .group_value = SLUICE_GROUP_TOP2},
     AT(group_value),
     0,
     SLUICE_GROUP_MAX},
    {"group_value with a bias",
     {.experts = 64, SIGMOID_BIAS, .groups = 8, .keep_groups = 3, .group_value = SLUICE_GROUP_TOP2},
     AT(group_value),
     0,
     SLUICE_GROUP_MAX},
    {"group_mode",
     {.experts = 64, .groups = 4, .group_mode = SLUICE_GROUPS_EVEN},
     AT(group_mode),
     0,
     SLUICE_GROUPS_LIMIT},
    {"renorm", {.experts = 64, .renorm = 1}, AT(renorm), 0, 0},
    {"renorm_eps", {.experts = 64, .renorm = 1, .renorm_eps = 0.01f}, AT(renorm_eps), 0, 0},
    {"renorm_floor", {.experts = 64, .renorm = 1, .renorm_floor = 0.7f}, AT(renorm_floor), 0, 0},
    {"scale", {.experts = 64, .scale = 2.5f}, AT(scale), 0, 0},
    {"scale_by",
     {.experts = 64, .scale = 2.5f, .scale_by = SLUICE_SCALE_BY_ENGINE},
     AT(scale_by),
     0,
     SLUICE_SCALE_IN_WEIGHTS},
    {"shared",
     {.experts = 64, .shared = 3, .shared_weight = SLUICE_SHARED_SIGMOID},
     AT(shared),
     0,
     1},
    {"shared_weight sigmoid",
     {.experts = 64, .shared = 3, .shared_weight = SLUICE_SHARED_SIGMOID},
     AT(shared_weight),
     0,
     SLUICE_SHARED_ONE},
    {"shared_weight joint",
     {.experts = 64, .shared = 3, .shared_weight = SLUICE_SHARED_JOINT},
     AT(shared_weight),
     0,
     SLUICE_SHARED_SIGMOID},
    {"shared_weight joint with sigmoid",
     {.experts = 64, SIGMOID_BIAS, .shared = 3, .shared_weight = SLUICE_SHARED_JOINT},
     AT(shared_weight),
     0,
     SLUICE_SHARED_SIGMOID},
    {"shared_scale",
     {.experts = 64, .shared = 3, .shared_weight = SLUICE_SHARED_SIGMOID, .shared_scale = 0.5f},
     AT(shared_scale),
     0,
     0},
    {"shared_scale with joint",
     {.experts = 64, .shared = 2, .shared_weight = SLUICE_SHARED_JOINT, .shared_scale = 0.5f},
     AT(shared_scale),
     0,
     0},
    {"logit_cap with joint",
     {.experts = 64, .logit_cap = 2, .shared = 2, .shared_weight = SLUICE_SHARED_JOINT},
     AT(logit_cap),
     0,
     0},
};

CT(choose_fields, none_is_decoration, "taking any field of the descriptor away changes the result")
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        sluice_router router = fields[i].router;
        router.struct_size = sizeof router;
        router.top_k = K;
        struct choose_call with = given(router);
        memcpy((char *)&router + fields[i].field, &fields[i].value, sizeof fields[i].value);
        if (fields[i].also)
            memset((char *)&router + fields[i].also, 0, sizeof(int32_t));
        struct choose_call without = given(router);
        ct_note("%s", fields[i].name);
        ct_expect_true(result(&with) != result(&without));
    }
}

CT(choose_fields, weight_on_is_for_dispatch, "weight_on leaves the weights as they are")
{
    sluice_router router = choose_router(64, K);
    struct choose_call output = given(router);
    router.weight_on = SLUICE_WEIGHT_ON_INPUT;
    struct choose_call input = given(router);
    ct_eq_u64(result(&output), result(&input));
}

static sluice_router biased(void)
{
    sluice_router router = choose_router(64, K);
    router.score = SLUICE_SCORE_SIGMOID;
    router.bias_use = SLUICE_BIAS_SCORE;
    router.renorm = 1;
    return router;
}

CT(choose_fields, expert_scale_counts, "expert_scale multiplies the weight of its expert")
{
    struct choose_random random = {3};
    struct choose_call plain = given(biased()), scaled = given(biased());
    scaled.io.expert_scale = choose_normals(&random, COLUMNS, 1);
    ct_true(result(&plain) != result(&scaled));
    for (int32_t i = 0; i < ROWS * K; i++) {
        ct_eq_i64(plain.out.ids[i], scaled.out.ids[i]);
        ct_eq_f32bits(scaled.out.weights[i],
                      plain.out.weights[i] * scaled.io.expert_scale[plain.out.ids[i]]);
    }
}

CT(choose_fields, one_gate_serves_all,
   "one column of shared logits is the gate of every shared expert")
{
    sluice_router router = choose_router(64, K);
    router.shared = 4;
    router.shared_weight = SLUICE_SHARED_SIGMOID;
    struct choose_call each = given(router), all = given(router);
    all.io.shared_columns = 1;
    ct_true(result(&each) != result(&all));
    for (int32_t i = 0; i < ROWS * 4; i++)
        ct_eq_f32bits(all.out.shared[i], all.out.shared[i / 4 * 4]);
}

CT(choose_fields, gates_are_not_scaled, "a shared gate knows no logit scale, cap or routed scale")
{
    sluice_router router = choose_router(64, K);
    router.shared = 2;
    router.shared_weight = SLUICE_SHARED_SIGMOID;
    struct choose_call plain = given(router);
    router.logit_scale = 0.5f;
    router.logit_cap = 1;
    router.scale = 3;
    struct choose_call other = given(router);
    ct_true(result(&plain) != result(&other));
    ct_eq_mem(plain.out.shared, other.out.shared, ROWS * 2 * sizeof(float));
}

CT(choose_fields, engine_scales_joint_too,
   "with JOINT the shared weights hold the scale, whoever scales")
{
    sluice_router router = choose_router(64, K);
    router.shared = 2;
    router.shared_weight = SLUICE_SHARED_JOINT;
    router.scale = 2;
    struct choose_call here = given(router);
    router.scale_by = SLUICE_SCALE_BY_ENGINE;
    struct choose_call engine = given(router);
    ct_true(result(&here) != result(&engine));
    ct_eq_mem(here.out.shared, engine.out.shared, ROWS * 2 * sizeof(float));
    for (int32_t i = 0; i < ROWS * K; i++)
        ct_eq_f32bits(here.out.weights[i], 2 * engine.out.weights[i]);
}

/* A table whose ids repeat and go out of range, in int32 or int64 with unused columns. */
static struct sl_ids forced_table(int32_t wide)
{
    struct choose_random random = {11};
    int64_t stride = K + 3;
    int64_t *big = ct_alloc((size_t)(TABLE_ROWS * stride) * sizeof *big);
    int32_t *small = ct_alloc((size_t)(TABLE_ROWS * stride) * sizeof *small);
    for (int64_t i = 0; i < TABLE_ROWS * stride; i++) {
        big[i] = (int64_t)(choose_bits(&random) % (COLUMNS + 8)) - 4;
        small[i] = (int32_t)big[i];
    }
    return (struct sl_ids){
        .data = wide ? (void *)big : (void *)small, .stride = stride, .wide = wide};
}

CT(choose_fields, forced_ids_replace_ranking, "forced ids are looked up, by row or by forced_row")
{
    int32_t *row = ct_alloc(ROWS * sizeof *row);
    for (int32_t t = 0; t < ROWS; t++)
        row[t] = t * 7 % (TABLE_ROWS + 2) - 1;
    struct choose_call ranked = given(biased()), by_row = given(biased()), looked_up;
    by_row.io.forced_ids = forced_table(0);
    by_row.io.forced_rows = TABLE_ROWS;
    looked_up = by_row;
    looked_up.io.forced_row = (struct sl_ids){.data = row, .stride = 1};
    uint64_t one = result(&ranked), two = result(&by_row), three = result(&looked_up);
    ct_true(one != two && two != three);
    struct choose_call wide = looked_up;
    wide.io.forced_ids = forced_table(1);
    ct_eq_u64(result(&wide), three);
    /* Rows -1 and TABLE_ROWS of the table are not there. */
    for (int32_t t = 0; t < ROWS; t++)
        for (int32_t k = 0; k < K; k++)
            if (row[t] < 0 || row[t] >= TABLE_ROWS)
                ct_eq_i64(looked_up.out.ids[t * K + k], -1);
}

CT(choose_fields, forced_softmax_sees_all, "with forced ids the softmax is still over all experts")
{
    sluice_router router = choose_router(64, K);
    struct choose_call call = given(router);
    call.io.forced_ids = forced_table(0);
    call.io.forced_rows = TABLE_ROWS;
    ct_true(result(&call) != 0);
}

CT(choose_fields, renormalised_softmax_is_of_the_chosen,
   "columns that are not chosen leave no bit in the weights, nor do they with forced ids")
{
    sluice_router router = choose_router(COLUMNS, K);
    router.renorm = 1;
    struct choose_call ranked = given(router), lower = ranked, forced = ranked;
    uint64_t one = result(&ranked);
    float *logits = ct_alloc(ROWS * COLUMNS * sizeof *logits);
    memcpy(logits, ranked.io.logits, ROWS * COLUMNS * sizeof *logits);
    for (int32_t t = 0; t < ROWS; t++) {
        float last = logits[t * COLUMNS + ranked.out.ids[t * K + K - 1]];
        for (int32_t e = 0; e < COLUMNS; e++)
            if (logits[t * COLUMNS + e] < last)
                logits[t * COLUMNS + e] -= 0.25f;
    }
    lower.io.logits = logits;
    ct_eq_u64(result(&lower), one);
    forced.io.forced_ids = (struct sl_ids){.data = ranked.out.ids, .stride = K};
    forced.io.forced_rows = ROWS;
    ct_eq_u64(result(&forced), one);
}

CT(choose_fields, row_valid_drops_rows,
   "rows that row_valid or valid_rows leave out choose nothing")
{
    sluice_router router = biased();
    router.shared = 2;
    router.shared_weight = SLUICE_SHARED_SIGMOID;
    struct choose_call all = given(router), some = given(router);
    uint8_t *valid = ct_alloc(ROWS);
    for (int32_t t = 0; t < ROWS; t++)
        valid[t] = t % 4 == 0 ? 0 : (uint8_t)t;
    some.io.row_valid = valid;
    some.io.valid_rows = 35;
    ct_true(result(&all) != result(&some));
    for (int32_t t = 0; t < ROWS; t++) {
        bool live = t % 4 && t < 35;
        for (int32_t k = 0; k < K; k++)
            ct_eq_i64(some.out.ids[t * K + k], live ? all.out.ids[t * K + k] : -1);
        ct_eq_f32bits(some.out.shared[t * 2], live ? all.out.shared[t * 2] : 0.0f);
    }
}

CT(choose_fields, strides_are_steps, "rows further apart than they are long give the same")
{
    sluice_router router = biased();
    router.bias_rows = BIAS_ROWS;
    struct choose_call dense = given(router), apart = given(router);
    float *logits = ct_alloc(ROWS * 100 * sizeof *logits);
    float *bias = ct_alloc(BIAS_ROWS * 70 * sizeof *bias);
    int64_t *bias_row = ct_alloc(ROWS * 2 * sizeof *bias_row);
    for (int32_t t = 0; t < ROWS; t++) {
        memcpy(logits + t * 100, (const float *)dense.io.logits + t * COLUMNS,
               COLUMNS * sizeof *logits);
        bias_row[t * 2] = sl_id_at(&dense.io.bias_row, t, 0);
    }
    for (int32_t b = 0; b < BIAS_ROWS; b++)
        memcpy(bias + b * 70, dense.io.bias + b * COLUMNS, COLUMNS * sizeof *bias);
    apart.io.logits = logits;
    apart.io.logit_stride = 100;
    apart.io.bias = bias;
    apart.io.bias_stride = 70;
    apart.io.bias_row = (struct sl_ids){.data = bias_row, .stride = 2, .wide = 1};
    ct_eq_u64(result(&dense), result(&apart));
}

CT(choose_fields, blocks_do_not_matter, "a row gives the same alone and inside a block")
{
    struct choose_call call = given(biased());
    ct_true(choose_portable(&call));
    for (int32_t t = 0; t < ROWS; t++) {
        int32_t ids[K];
        float weights[K];
        struct sl_choices out = {.ids = ids, .weights = weights};
        sl_choose_portable(&call.rule, &call.io, t, 1, &out);
        ct_eq_mem(ids, call.out.ids + t * K, sizeof ids);
        ct_eq_mem(weights, call.out.weights + t * K, sizeof weights);
    }
}
