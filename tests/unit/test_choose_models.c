#include "ct.h"

#include "choose_models.h"
#include "choose_reference.h"
#include "core/sl_half.h"

#include <string.h>

enum { ROWS = 12, VOCABULARY = 40, TRIES = 400 };

static const char *const type_names[] = {"f32", "f16", "bf16"};

/* A tensor of this type with these numbers in it. */
static void *typed(const float *x, int64_t count, int32_t type)
{
    if (type == SL_F32) {
        float *same = ct_alloc((size_t)(count + 1) * sizeof *same);
        memcpy(same, x, (size_t)count * sizeof *same);
        return same;
    }
    uint16_t *half = ct_alloc((size_t)(count + 1) * sizeof *half);
    for (int64_t i = 0; i < count; i++)
        half[i] = type == SL_F16 ? sl_f32_to_f16(x[i]) : sl_f32_to_bf16(x[i]);
    return half;
}

static void give_bias(struct choose_call *call, struct choose_random *random)
{
    const sluice_router *r = &call->router;
    int32_t columns = r->experts + r->zero_experts, rows = r->bias_rows ? r->bias_rows : 1;
    if (r->bias_use == SLUICE_BIAS_NONE)
        return;
    double deviation =
        r->score == SLUICE_SCORE_SOFTMAX && r->bias_use == SLUICE_BIAS_SCORE ? 0.5 / columns : 0.2;
    call->io.bias = choose_normals(random, (int64_t)rows * columns, deviation);
    call->io.bias_stride = columns;
    if (rows == 1)
        return;
    int32_t *row = ct_alloc(ROWS * sizeof *row);
    for (int32_t t = 0; t < ROWS; t++)
        row[t] = (int32_t)(choose_bits(random) % (uint64_t)rows);
    call->io.bias_row = (struct sl_ids){.data = row, .stride = 1};
}

static void give_forced(struct choose_call *call, struct choose_random *random)
{
    int32_t top_k = call->router.top_k;
    int64_t *table = ct_alloc((size_t)(VOCABULARY * top_k) * sizeof *table);
    int32_t *token = ct_alloc(ROWS * sizeof *token);
    for (int32_t i = 0; i < VOCABULARY * top_k; i++)
        table[i] = (int64_t)(choose_bits(random) % (uint64_t)call->router.experts);
    for (int32_t t = 0; t < ROWS; t++)
        token[t] = (int32_t)(choose_bits(random) % VOCABULARY);
    call->io.forced_ids = (struct sl_ids){.data = table, .stride = top_k, .wide = 1};
    call->io.forced_row = (struct sl_ids){.data = token, .stride = 1};
    call->io.forced_rows = VOCABULARY;
}

static void give_others(struct choose_call *call, const struct choose_model *model, int32_t type,
                        struct choose_random *random)
{
    const sluice_router *r = &call->router;
    give_bias(call, random);
    if (r->shared_weight != SLUICE_SHARED_ONE) {
        int32_t columns = r->shared_weight == SLUICE_SHARED_JOINT ? r->shared : 1;
        float *x = choose_normals(random, (int64_t)ROWS * columns, 1);
        call->io.shared_logits = typed(x, (int64_t)ROWS * columns, type);
        call->io.shared_type = type;
        call->io.shared_stride = columns;
        call->io.shared_columns = columns;
    }
    if (model->expert_scale) {
        float *scale = choose_normals(random, r->experts, 0.2);
        for (int32_t e = 0; e < r->experts; e++)
            scale[e] += 1;
        call->io.expert_scale = scale;
    }
    if (model->forced)
        give_forced(call, random);
    if (model->row_valid) {
        uint8_t *valid = ct_alloc(ROWS);
        for (int32_t t = 0; t < ROWS; t++)
            valid[t] = t % 3 != 1;
        call->io.row_valid = valid;
    }
}

/* Logits whose choice is not close: each row is drawn until it is. */
static bool give_logits(struct choose_call *call, const struct choose_model *model, int32_t type,
                        struct choose_random *random)
{
    int64_t columns = call->router.experts + call->router.zero_experts;
    float *all = ct_alloc((size_t)(ROWS * columns) * sizeof *all);
    call->io.logits = all;
    call->io.logit_stride = columns;
    for (int32_t t = 0; t < ROWS; t++) {
        struct choose_truth truth = {.margin = 0};
        for (int32_t tries = 0; truth.margin < 2e-6 && tries < TRIES; tries++) {
            float *row = choose_normals(random, columns, model->wide ? 14 : 1.5);
            for (int64_t e = 0; e < columns; e++) {
                if (type == SL_F16)
                    row[e] = sl_f16_to_f32(sl_f32_to_f16(row[e]));
                if (type == SL_BF16)
                    row[e] = sl_bf16_to_f32(sl_f32_to_bf16(row[e]));
                all[t * columns + e] = row[e];
            }
            choose_reference(call, t, &truth);
        }
        if (truth.margin < 2e-6)
            return false;
    }
    call->io.logits = typed(all, ROWS * columns, type);
    call->io.logit_type = type;
    return true;
}

static void check_model(const struct choose_model *model, int32_t index, int32_t type)
{
    struct choose_random random = {(uint64_t)(index * 3 + type)};
    struct choose_call call = {.router = model->router, .rows = ROWS, .io = {.valid_rows = ROWS}};
    call.router.struct_size = sizeof call.router;
    ct_note("%s (row %d of the table), %s", model->name, index, type_names[type]);
    give_others(&call, model, type, &random);
    ct_true(give_logits(&call, model, type, &random));
    ct_true(choose_portable(&call));
    ct_true(choose_agrees(&call, 3e-6));
}

CT(choose, serves_every_model, "every router family chooses and weighs as the specification says")
{
    for (int32_t type = SL_F32; type <= SL_BF16; type++)
        for (int32_t i = 0; i < choose_model_count && !ct_failed(); i++)
            check_model(&choose_models[i], i, type);
}
