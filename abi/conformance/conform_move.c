/* SPDX-License-Identifier: Apache-2.0
 * Scenes: what every rank sends, what each must receive and get back. */
#include "conform_move.h"

#include <math.h>
#include <string.h>

int32_t mv_columns(const struct mv_scene *scene)
{
    return scene->top_k + scene->shared;
}

int32_t mv_width(const struct mv_scene *scene)
{
    return scene->width ? scene->width : 5;
}

static int32_t count_of(const struct mv_scene *scene, int32_t rank)
{
    static const int32_t DIFFERENCE[MV_RANKS] = {0, -2, 3, -100, 1, 2, -1, 0};
    int32_t count = scene->tokens + (scene->even ? 0 : DIFFERENCE[rank]);
    return count > 0 ? count : 0;
}

void mv_draw(const struct mv_scene *scene, int32_t rank, struct mv_tokens *tokens)
{
    struct cf_random random = {.state = 1000 * (scene->seed + 1) + (uint64_t)rank};
    struct ref_shape shape = {scene->slots * scene->ranks, scene->slots, scene->ranks,
                              scene->shared, rank};
    tokens->count = count_of(scene, rank);
    tokens->valid = scene->half ? tokens->count / 2 : tokens->count;
    CHECK(tokens->count <= MV_TOKENS && mv_columns(scene) <= MV_COLUMNS, "a scene is too large");
    for (int32_t t = 0; t < tokens->count; t++) {
        tokens->zero[t] = (float)cf_uniform(&random);
        for (int32_t k = 0; k < mv_columns(scene); k++) {
            int64_t slot = ref_slot(&shape, cf_below(&random, shape.experts));
            bool shared = k >= scene->top_k, twice = false;
            if (shared)
                slot = ref_shared_slot(&shape, t % 5 == 4 ? (rank + 1) % scene->ranks : rank,
                                       k - scene->top_k);
            for (int32_t i = 0; i < k; i++)
                twice = twice || tokens->slots[t][i] == slot;
            bool none = twice || t % 9 == 7 || (!shared && cf_below(&random, 5) == 0);
            tokens->slots[t][k] = none ? -1 : slot;
            tokens->weights[t][k] = none ? 0 : 0.1F + (float)cf_uniform(&random);
            if (scene->outside && k == 1)
                tokens->slots[t][k] = t % 2 ? -7 : ref_local(&shape) * scene->ranks + t;
        }
    }
}

struct cf_array *mv_payload(const struct mv_scene *scene, int32_t rank, int32_t index,
                            int32_t count)
{
    static const int32_t EXTRA_WIDTH[MV_PAYLOADS] = {0, 3, 2};
    enum cf_type type = index == 0 ? scene->type : index == 1 ? CF_U8 : CF_I64;
    int32_t width = index == 0 ? mv_width(scene) : EXTRA_WIDTH[index];
    struct cf_array *payload =
        scene->gaps ? cf_strided(type, count, width, width + 3) : cf_array(type, count, width);
    for (int32_t t = 0; t < count; t++)
        for (int32_t h = 0; h < width; h++)
            cf_put(payload, t, h, index == 0 ? rank * 17 + t + h * 0.25 : rank * 20 + t + h * 3);
    return payload;
}

/* Is it a slot that there is? */
static bool is_slot(const struct mv_scene *scene, int64_t slot)
{
    return slot >= 0 && slot < (int64_t)(scene->slots + scene->shared) * scene->ranks;
}

int32_t mv_expected(const struct mv_scene *scene, int32_t rank, const struct mv_tokens *tokens,
                    struct mv_row *rows)
{
    int32_t local = scene->slots + scene->shared, count = 0;
    for (int32_t s = 0; s < local; s++)
        for (int32_t q = 0; q < scene->ranks; q++)
            for (int32_t t = 0; t < tokens[q].valid; t++)
                for (int32_t k = 0; k < mv_columns(scene); k++)
                    if (tokens[q].slots[t][k] == (int64_t)rank * local + s)
                        rows[count++] = (struct mv_row){s, q, t, k, tokens[q].weights[t][k]};
    return count;
}

/* What an expert makes of x; exact in float32. */
static float expert(int64_t slot, float x)
{
    return x * (float)(1 + slot % 3) - (float)(slot % 7);
}

static float rounded(enum cf_type type, float value)
{
    return type == CF_F16    ? cf_half_to_float(cf_float_to_half(value))
           : type == CF_BF16 ? cf_bfloat_to_float(cf_float_to_bfloat(value))
                             : value;
}

/* The row that a slot's expert gives back, with the payload's rounding on the way. */
static float result_of(const struct mv_scene *scene, int32_t rank, int32_t t, int32_t h,
                       int64_t slot, float weight)
{
    float x = rounded(scene->type, (float)(rank * 17 + t + h * 0.25));
    if (scene->multiply)
        x = rounded(scene->type, x * weight);
    return rounded(scene->type, expert(slot, x));
}

float mv_expected_out(const struct mv_scene *scene, int32_t rank, const struct mv_tokens *mine,
                      int32_t t, int32_t h)
{
    int32_t local = scene->slots + scene->shared;
    bool by_rank = scene->order == SLUICE_COMBINE_PER_RANK;
    float sum = 0;
    for (int32_t r = 0; r < (by_rank ? scene->ranks : 1); r++) {
        float part = 0;
        for (int32_t k = 0; k < mv_columns(scene); k++) {
            int64_t slot = mine->slots[t][k];
            if (t >= mine->valid || !is_slot(scene, slot) || (by_rank && slot / local != r))
                continue;
            float weight = mine->weights[t][k];
            part = fmaf(scene->on_input ? 1 : weight, result_of(scene, rank, t, h, slot, weight),
                        part);
        }
        sum += part;
    }
    if (scene->zero)
        sum = fmaf(mine->zero[t], rounded(scene->type, (float)(rank * 17 + t + h * 0.25)), sum);
    if (scene->scaled)
        sum *= 2.5F;
    return rounded(scene->type, sum);
}

void mv_compute(struct mv_trip *trip, const struct mv_tokens *tokens)
{
    const struct mv_scene *scene = trip->scene;
    static _Thread_local struct mv_row rows[MV_ROWS];
    int32_t count = mv_expected(scene, trip->rank, tokens, rows);
    int32_t local = scene->slots + scene->shared, at = 0, slot = -1;
    cf_fill_bytes(trip->results, 0xFF); /* NaN: what is not sent back must not be read */
    for (int32_t i = 0; i < count; i++, at++) {
        if (rows[i].slot != slot) {
            slot = rows[i].slot;
            at = (int32_t)cf_id(trip->slot_starts, slot, 0);
        }
        CHECK(at < trip->results->rows, "slot_starts go past the rows");
        for (int32_t h = 0; h < mv_width(scene); h++)
            cf_put(trip->results, at, h,
                   (double)expert((int64_t)trip->rank * local + slot,
                                  (float)cf_get(trip->rows[0], at, h)));
    }
}

void mv_setup(const struct mv_scene *scene, const sluice_comm *comm, struct cf_setup *setup)
{
    cf_setup(setup, 2, scene->slots * scene->ranks, scene->top_k, scene->shared);
    for (int32_t i = 0; i < 2; i++) {
        setup->router[i].scale = scene->scaled ? 2.5F : 0;
        setup->router[i].scale_by = scene->scaled ? SLUICE_SCALE_BY_ENGINE : 0;
        setup->router[i].weight_on = scene->on_input ? SLUICE_WEIGHT_ON_INPUT : 0;
    }
    setup->transport.max_tokens = MV_TOKENS;
    setup->transport.fixed_tokens = MV_TOKENS;
    setup->transport.lanes = 2;
    setup->transport.row_align = scene->align;
    setup->transport.row_layout = scene->strided_layout ? SLUICE_ROWS_STRIDED : SLUICE_ROWS_GROUPED;
    setup->transport.combine_order = scene->order;
    setup->transport.capacity_pair = scene->capacity_pair;
    setup->transport.capacity_rows = scene->capacity_rows;
    setup->transport.capacity_slot = scene->capacity_slot;
    setup->transport.capacity_back = scene->capacity_back;
    setup->config.transport = &setup->transport;
    setup->config.needs = &setup->needs;
    setup->config.uses = scene->fixed ? SLUICE_USE_FIXED : SLUICE_USE_EXACT;
    setup->config.timeout_ns = 5000000000;
    if (comm)
        cf_setup_comm(setup, comm);
}
