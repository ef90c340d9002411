/* What dispatch carries and combine adds up, in the corners: lanes, payloads, dtypes, no tokens. */
#include <math.h>
#include <string.h>

#include "ct.h"
#include "src/core/sl_half.h"
#include "tests/faults/fault_world.h"

enum { ODD = 1 };

static void run_lanes(struct fault_world *world, struct step_rank *rank)
{
    (void)world;
    struct step_rank *other = step_rank(rank->config, rank->number);
    other->context = rank->context;
    other->lane = 1;
    other->layer = 1;
    other->tokens = 5;
    ct_eq_i64(step_map(rank), SLUICE_OK);
    ct_eq_i64(step_map(other), SLUICE_OK);
    ct_eq_i64(step_count(rank), SLUICE_OK);
    ct_eq_i64(step_count(other), SLUICE_OK);
    ct_eq_i64(step_send(other), SLUICE_OK);
    ct_eq_i64(step_send(rank), SLUICE_OK);
    step_compute(rank);
    step_compute(other);
    ct_eq_i64(step_combine(rank), SLUICE_OK);
    ct_eq_i64(step_combine(other), SLUICE_OK);
    (void)step_expect_literal(rank);
    (void)step_expect_literal(other);
}

CT(dispatch_carried, two_lanes_in_flight,
   "two dispatches of two layers in flight on two lanes do not touch each other")
{
    struct fault_world *world = fault_world();
    world->config.layers = 2;
    world->config.draw.transport.lanes = 2;
    fault_world_run(world, run_lanes);
}

static void run_no_tokens(struct fault_world *world, struct step_rank *rank)
{
    for (int32_t i = 0; i < 3; i++) {
        bool none = world->variant == FAULT_RANKS || rank->number == world->variant;
        rank->tokens = none && i == 1 ? 0 : rank->config->draw.per;
        ct_eq_i64(step_run(rank), SLUICE_OK);
        (void)step_expect_literal(rank);
    }
}

CT(dispatch_carried, no_tokens, "a step without tokens on one rank, or on all, goes its way")
{
    for (int32_t variant = 0; variant <= FAULT_RANKS; variant++)
        for (int32_t order = 0; order < 2; order++) {
            struct fault_world *world = fault_world();
            world->variant = variant;
            world->config.draw.transport.combine_order = SLUICE_COMBINE_EXACT;
            if (order) {
                world->config.uses = SLUICE_USE_FIXED;
                world->config.phase = SLUICE_DISPATCH_FIXED;
                world->config.draw.transport.fixed_tokens = MOVE_T;
            }
            fault_world_run(world, run_no_tokens);
        }
}

static void run_small(struct fault_world *world, struct step_rank *rank)
{
    (void)world;
    ct_eq_i64(step_map(rank), SLUICE_OK);
    ct_eq_i64(step_count(rank), SLUICE_OK);
    int64_t needed = rank->rows;
    if (rank->number == ODD)
        rank->rows--;
    ct_eq_i64(step_send(rank), SLUICE_INVALID);
    fault_expect(rank, SLUICE_INVALID, "rank 1");
    rank->rows = needed;
    ct_eq_i64(step_send(rank), SLUICE_OK);
    step_compute(rank);
    ct_eq_i64(step_combine(rank), SLUICE_OK);
    (void)step_expect_literal(rank);
}

CT(dispatch_carried, small_output_is_named,
   "rows too small on one rank: all get INVALID that names it, and a repeated SEND is right")
{
    fault_world_run(fault_world(), run_small);
}

/* Hidden rows and, beside them, the number of the token (in place of a scale). */
static void run_two_payloads(struct fault_world *world, struct step_rank *rank)
{
    struct move_world *draw = &world->config.draw;
    int32_t first = rank->number * draw->per, numbers[MOVE_T], got[STEP_ROWS];
    int64_t sum = 0;
    ct_eq_i64(step_map(rank), SLUICE_OK);
    ct_eq_i64(step_count(rank), SLUICE_OK);
    for (int32_t t = 0; t < rank->tokens; t++)
        numbers[t] = first + t;
    const sluice_tensor *payloads[] = {ct_tensor(draw->x[first], CT_F32, rank->tokens, MOVE_H),
                                       ct_tensor(numbers, CT_I32, rank->tokens, 1)};
    const sluice_tensor *rows[] = {ct_tensor(rank->in, CT_F32, rank->rows, MOVE_H),
                                   ct_tensor(got, CT_I32, rank->rows, 1)};
    float weight[STEP_ROWS];
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .phase = SLUICE_DISPATCH_SEND,
                                 .handle = &rank->handle,
                                 .payload_count = 2,
                                 .payloads = payloads,
                                 .rows = rows,
                                 .multiply = 1,
                                 .dispatch_ids = ct_tensor(rank->ids, CT_I32, rank->tokens, MOVE_C),
                                 .dispatch_weights =
                                     ct_tensor(rank->weights, CT_F32, rank->tokens, MOVE_C),
                                 .row_weight = ct_tensor(weight, CT_F32, rank->rows, 0)};
    (void)step_note(rank, ct_api()->dispatch(rank->context, &args));
    fault_expect(rank, SLUICE_OK, "");
    for (int64_t row = 0; row < rank->rows; row++) {
        ct_true(got[row] >= 0 && got[row] < draw->per * FAULT_RANKS);
        for (int32_t h = 0; h < MOVE_H; h++)
            ct_eq_f32bits(rank->in[row][h], draw->x[got[row]][h] * weight[row]);
        sum += got[row] / draw->per != rank->number;
    }
    ct_true(sum > 0);
}

CT(dispatch_carried, several_payloads,
   "a second payload comes with its token's row, and only the first is multiplied")
{
    struct fault_world *world = fault_world();
    world->config.draw.transport.max_payloads = 2;
    world->config.draw.transport.payload_row_bytes = MOVE_H * 4 + 4;
    world->config.draw.weight_on = SLUICE_WEIGHT_ON_INPUT;
    fault_world_run(world, run_two_payloads);
}

/* ------------------------------------------------------------------------------ combine's sum */

static uint16_t narrow(int32_t variant, float value)
{
    return variant == 1 ? sl_f32_to_f16(value) : sl_f32_to_bf16(value);
}

static float wide(int32_t variant, uint16_t bits)
{
    return variant == 1 ? sl_f16_to_f32(bits) : sl_bf16_to_f32(bits);
}

/* What the sum must be: f32 throughout, + zero_weight * x, rounded once. */
static void sum_of(const struct step_rank *rank, int32_t variant, int32_t t, float zero, float *out)
{
    const struct move_world *draw = &rank->config->draw;
    int32_t token = rank->number * draw->per + t;
    memset(out, 0, MOVE_H * sizeof *out);
    for (int32_t c = 0; c < MOVE_C; c++) {
        int32_t expert = c < MOVE_K ? draw->choices[token][c] : MOVE_E;
        float weight = c < MOVE_K ? draw->weights[token][c] : 1.0F, row[MOVE_H];
        if (expert < 0)
            continue;
        move_expert(expert, draw->x[token], row);
        for (int32_t h = 0; h < MOVE_H; h++)
            out[h] =
                fmaf(weight, variant ? wide(variant, narrow(variant, row[h])) : row[h], out[h]);
    }
    for (int32_t h = 0; h < MOVE_H; h++) {
        float x = draw->x[token][h];
        out[h] = fmaf(zero, variant ? wide(variant, narrow(variant, x)) : x, out[h]);
    }
}

static void run_dtype(struct fault_world *world, struct step_rank *rank)
{
    static const sluice_dtype types[] = {
        {SLUICE_FLOAT, 32, 1}, {SLUICE_FLOAT, 16, 1}, {SLUICE_BFLOAT, 16, 1}};
    int32_t variant = world->variant, tokens = rank->tokens;
    size_t size = variant ? 2 : 4;
    float(*x)[MOVE_H] = world->config.draw.x + rank->number * world->config.draw.per;
    float zero[MOVE_T];
    ct_fill(zero, tokens, 1.0F, 77);
    ct_eq_i64(step_run(rank), SLUICE_OK);
    uint16_t *rows = ct_alloc(STEP_ROWS * MOVE_H * 2), *in = ct_alloc(sizeof world->config.draw.x),
             *out = ct_alloc(sizeof world->config.draw.x);
    for (int64_t i = 0; i < rank->rows; i++)
        for (int32_t h = 0; h < MOVE_H; h++)
            rows[i * MOVE_H + h] = narrow(variant, rank->out[i][h]);
    for (int32_t t = 0; t < tokens; t++)
        for (int32_t h = 0; h < MOVE_H; h++)
            in[t * MOVE_H + h] = narrow(variant, x[t][h]);
    void *source = variant ? (void *)rows : (void *)rank->out;
    void *added = variant ? (void *)in : (void *)x;
    sluice_combine_args args = {.struct_size = sizeof args,
                                .handle = &rank->handle,
                                .rows = ct_tensor(source, types[variant], rank->rows, MOVE_H),
                                .zero_weight = ct_tensor(zero, CT_F32, tokens, 0),
                                .x = ct_tensor(added, types[variant], tokens, MOVE_H),
                                .out = ct_tensor(out, types[variant], tokens, MOVE_H)};
    (void)step_note(rank, ct_api()->combine(rank->context, &args));
    fault_expect(rank, SLUICE_OK, "");
    for (int32_t t = 0; t < tokens; t++) {
        float want[MOVE_H];
        uint16_t bits[MOVE_H];
        sum_of(rank, variant, t, zero[t], want);
        for (int32_t h = 0; h < MOVE_H; h++)
            bits[h] = narrow(variant, want[h]);
        ct_note("dtype %d, rank %d, token %d", variant, rank->number, t);
        ct_eq_mem((char *)out + (size_t)t * MOVE_H * size, variant ? (void *)bits : (void *)want,
                  MOVE_H * size);
    }
}

CT(dispatch_carried, sums_of_each_dtype,
   "float32, float16 and bfloat16 rows are added in f32 with zero_weight * x, and rounded once")
{
    for (int32_t variant = 0; variant < 3; variant++) {
        struct fault_world *world = fault_world();
        world->variant = variant;
        fault_world_run(world, run_dtype);
    }
}
