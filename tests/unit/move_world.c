#include "move_world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "abi/ext/placement.h"
#include "ct.h"
#include "ct_ranks.h"

void move_draw(struct move_world *world, int32_t ranks, uint64_t seed)
{
    world->ranks = ranks;
    world->per = MOVE_T / ranks;
    ct_fill(&world->x[0][0], (int64_t)MOVE_T * MOVE_H, 1.0F, seed);
    ct_fill(&world->weights[0][0], (int64_t)MOVE_T * MOVE_K, 1.0F, seed + 1);
    float draw[MOVE_T * MOVE_K];
    ct_fill(draw, (int64_t)MOVE_T * MOVE_K, 1.0F, seed + 2);
    for (int32_t t = 0; t < MOVE_T; t++)
        for (int32_t k = 0; k < MOVE_K; k++) {
            /* Three different experts: one of each residue class. */
            int32_t e = (int32_t)((draw[t * MOVE_K + k] + 1.0F) * 0.5F * 5.0F) * 3 + k;
            bool none = (t % 7 == 3 && k == 1) || t == 11;
            world->choices[t][k] = none ? -1 : e % MOVE_E;
        }
    world->uses = SLUICE_USE_EXACT;
    world->phase = SLUICE_DISPATCH_COUNT;
    world->transport = (sluice_transport){.struct_size = sizeof world->transport,
                                          .max_tokens = MOVE_T,
                                          .payload_row_bytes = MOVE_H * 4};
}

void move_expert(int32_t expert, const float *x, float *out)
{
    for (int32_t h = 0; h < MOVE_H; h++)
        out[h] = x[h] * (float)(expert + 1) + x[(h + expert) % MOVE_H] * 0.25F;
}

void move_expected(const struct move_world *world, int32_t t, float *out)
{
    memset(out, 0, MOVE_H * sizeof *out);
    for (int32_t c = 0; c < MOVE_C; c++) {
        int32_t expert = c < MOVE_K ? world->choices[t][c] : MOVE_E;
        float weight = c < MOVE_K ? world->weights[t][c] : 1.0F, in[MOVE_H], row[MOVE_H];
        if (expert < 0)
            continue;
        for (int32_t h = 0; h < MOVE_H; h++)
            in[h] = world->weight_on ? world->x[t][h] * weight : world->x[t][h];
        move_expert(expert, in, row);
        for (int32_t h = 0; h < MOVE_H; h++)
            out[h] = fmaf(world->weight_on ? 1.0F : weight, row[h], out[h]);
    }
}

struct rank {
    struct move_world *world;
    sluice_context *context;
    int32_t number;
    int32_t ids[MOVE_T * MOVE_C];
    float weights[MOVE_T * MOVE_C];
    sluice_handle handle;
    int64_t rows;
    float *in, *out;
    int32_t *row_slot;
};

static bool held(struct rank *rank, sluice_status status)
{
    struct move_world *world = rank->world;
    if (status == SLUICE_OK)
        return true;
    world->status[rank->number] = status;
    if (rank->context)
        (void)ct_api()->last_error(rank->context, world->error[rank->number], 512);
    return status == SLUICE_OVERFLOW;
}

static bool open_rank(struct rank *rank)
{
    struct move_world *world = rank->world;
    sluice_router router = {.struct_size = sizeof router,
                            .experts = MOVE_E,
                            .top_k = MOVE_K,
                            .shared = MOVE_F,
                            .weight_on = world->weight_on};
    int32_t slots = (MOVE_E + world->ranks - 1) / world->ranks + world->spare;
    sluice_layer layer = {.struct_size = sizeof layer, .router = &router, .slots_per_rank = slots};
    const sluice_layer *layers[] = {&layer};
    sluice_comm comm;
    sluice_comm_threads_get(world->group, rank->number, &comm);
    sluice_config config = {.struct_size = sizeof config,
                            .comm = &comm,
                            .layers = layers,
                            .layer_count = 1,
                            .transport = &world->transport,
                            .uses = world->uses,
                            .timeout_ns = 20000000000};
    return held(rank, ct_api()->open(&config, &rank->context, world->error[rank->number], 512));
}

static bool map(struct rank *rank)
{
    struct move_world *world = rank->world;
    int64_t per = world->per, first = rank->number * per;
    sluice_remap_args args = {.struct_size = sizeof args,
                              .ids = ct_tensor(world->choices[first], CT_I32, per, MOVE_K),
                              .weights = ct_tensor(world->weights[first], CT_F32, per, MOVE_K),
                              .dispatch_ids = ct_tensor(rank->ids, CT_I32, per, MOVE_C),
                              .dispatch_weights = ct_tensor(rank->weights, CT_F32, per, MOVE_C)};
    return held(rank, ct_api()->remap(rank->context, &args));
}

static bool send(struct rank *rank)
{
    struct move_world *world = rank->world;
    int64_t per = world->per;
    const sluice_tensor *payload = ct_tensor(world->x[rank->number * per], CT_F32, per, MOVE_H);
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .phase = world->phase,
                                 .handle = &rank->handle,
                                 .dispatch_ids = ct_tensor(rank->ids, CT_I32, per, MOVE_C),
                                 .dispatch_weights = ct_tensor(rank->weights, CT_F32, per, MOVE_C),
                                 .row_count = &rank->rows};
    if (world->phase == SLUICE_DISPATCH_COUNT) {
        if (!held(rank, ct_api()->dispatch(rank->context, &args)))
            return false;
        args.phase = SLUICE_DISPATCH_SEND;
    } else {
        rank->rows = MOVE_T * MOVE_C * 4;
    }
    world->counted[rank->number] = rank->rows;
    size_t cells = (size_t)rank->rows * MOVE_H + 1;
    rank->in = calloc(cells, sizeof(float));
    rank->out = calloc(cells, sizeof(float));
    rank->row_slot = calloc((size_t)rank->rows + 1, sizeof(int32_t));
    const sluice_tensor *rows = ct_tensor(rank->in, CT_F32, rank->rows, MOVE_H);
    args.payload_count = 1;
    args.payloads = &payload;
    args.rows = &rows;
    args.row_slot = ct_tensor(rank->row_slot, CT_I32, rank->rows, 0);
    args.multiply = world->weight_on == SLUICE_WEIGHT_ON_INPUT;
    return held(rank, ct_api()->dispatch(rank->context, &args));
}

static void compute(struct rank *rank)
{
    const sluice_placement_api *placement = ct_api()->extension(SLUICE_EXT_PLACEMENT);
    sluice_placement_shape shape = {.struct_size = sizeof shape};
    int32_t holds[64];
    ct_eq_i64(placement->shape(rank->context, 0, &shape), SLUICE_OK);
    ct_eq_i64(
        placement->rows(rank->context, 0, rank->number, holds, shape.slots_per_rank + shape.shared),
        SLUICE_OK);
    for (int64_t row = 0; row < rank->rows; row++) {
        int32_t slot = rank->row_slot[row];
        if (slot < 0)
            continue;
        int32_t expert = holds[slot] <= SLUICE_ROW_SHARED(0) ? MOVE_E : holds[slot];
        move_expert(expert, rank->in + row * MOVE_H, rank->out + row * MOVE_H);
    }
}

static bool bring_home(struct rank *rank)
{
    struct move_world *world = rank->world;
    int64_t per = world->per;
    sluice_combine_args args = {.struct_size = sizeof args,
                                .handle = &rank->handle,
                                .rows = ct_tensor(rank->out, CT_F32, rank->rows, MOVE_H),
                                .out =
                                    ct_tensor(world->out[rank->number * per], CT_F32, per, MOVE_H)};
    return held(rank, ct_api()->combine(rank->context, &args));
}

static void run_rank(int32_t number, void *argument)
{
    struct rank *rank = calloc(1, sizeof *rank);
    rank->world = argument;
    rank->number = number;
    if (open_rank(rank) && map(rank) && send(rank)) {
        compute(rank);
        (void)bring_home(rank);
    }
    ct_api()->close(rank->context);
    free(rank->in);
    free(rank->out);
    free(rank->row_slot);
    free(rank);
}

void move_run(struct move_world *world)
{
    memset(world->out, 0x5A, sizeof world->out);
    memset(world->status, 0, sizeof world->status);
    world->group = sluice_comm_threads_create(world->ranks, NULL);
    ct_true(world->group != NULL);
    ct_run_ranks(world->ranks, run_rank, world);
    sluice_comm_threads_destroy(world->group);
}
