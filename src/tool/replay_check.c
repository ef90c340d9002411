/* The sum of a layer without the plugin: a loop over a token's choices. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

struct layer {
    const struct sl_replay_case *c;
    const struct sl_world *plain;
    int32_t number;
    struct sl_expert_shape shape;
    float *experts; /* [E + F] */
    char *in, *row; /* one token's */
};

static float shared_weight(const struct layer *l, int64_t t, int32_t j)
{
    const sluice_router *r = &l->c->router;
    float scale = r->shared_scale != 0.0F ? r->shared_scale : 1.0F;
    float divisor = r->scale_by == SLUICE_SCALE_BY_ENGINE && r->scale != 0.0F ? r->scale : 1.0F;
    if (!l->c->inputs[l->number].shared_logits)
        return scale / divisor;
    size_t at = ((size_t)l->number * (size_t)l->c->rows + (size_t)t) * (size_t)r->shared;
    return l->plain->shared_weights[at + (size_t)j] / divisor;
}

static void add(const struct layer *l, const char *x, int32_t expert, float weight, float *sum)
{
    const struct sl_expert_shape *shape = &l->shape;
    bool on_input = l->c->router.weight_on == SLUICE_WEIGHT_ON_INPUT;
    for (int32_t h = 0; h < shape->hidden; h++) {
        float value = sl_element_get(x, h, shape->bf16);
        sl_element_put(l->in, h, on_input ? value * weight : value, shape->bf16);
    }
    sl_expert_run(shape, l->experts + (size_t)expert * sl_expert_floats(shape), l->in, l->row);
    for (int32_t h = 0; h < shape->hidden; h++)
        sum[h] = fmaf(on_input ? 1.0F : weight, sl_element_get(l->row, h, shape->bf16), sum[h]);
}

static void sum_token(const struct layer *l, int64_t t, char *out)
{
    const sluice_router *r = &l->c->router;
    size_t row_bytes = (size_t)l->shape.hidden * sl_element_bytes(l->shape.bf16);
    size_t at = (size_t)l->number * (size_t)l->c->rows + (size_t)t;
    const char *x = (const char *)l->c->x + at * row_bytes;
    float sum[8192] = {0};
    for (int32_t k = 0; k < r->top_k; k++) {
        size_t i = at * (size_t)r->top_k + (size_t)k;
        if (l->plain->ids[i] >= 0)
            add(l, x, l->plain->ids[i], l->plain->weights[i], sum);
    }
    for (int32_t j = 0; j < l->c->fused; j++)
        add(l, x, r->experts + j, shared_weight(l, t, j), sum);
    float scale = r->scale_by == SLUICE_SCALE_BY_ENGINE && r->scale != 0.0F ? r->scale : 1.0F;
    for (int32_t h = 0; h < l->shape.hidden; h++) {
        float value = sum[h];
        if (r->zero_experts)
            value = fmaf(l->plain->zero_weight[at], sl_element_get(x, h, l->shape.bf16), value);
        sl_element_put(out + (size_t)t * row_bytes, h, value * scale, l->shape.bf16);
    }
}

void sl_replay_literal(const struct sl_replay_case *c, const struct sl_world *plain, int32_t step,
                       int32_t number, void *out)
{
    const struct sl_replay_options *o = c->options;
    struct layer l = {
        .c = c, .plain = plain, .number = number, .shape = {o->hidden, o->width, o->bf16}};
    size_t floats = sl_expert_floats(&l.shape);
    int32_t experts = c->router.experts + c->fused;
    l.experts = malloc((size_t)experts * floats * sizeof(float));
    l.in = malloc((size_t)o->hidden * 4);
    l.row = malloc((size_t)o->hidden * 4);
    if (l.experts && l.in && l.row) {
        for (int32_t e = 0; e < experts; e++)
            sl_expert_draw(&l.shape, o->seed, number, e, l.experts + (size_t)e * floats);
        for (int64_t t = 0; t < c->rows; t++) {
            sum_token(&l, t, out);
            sl_replay_advance(c, SL_CHECK, step, number, t, c->rows);
        }
    }
    free(l.experts);
    free(l.in);
    free(l.row);
}
