#include "mpi_layer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../abi/ext/placement.h"
#include "../../abi/ext/ranks.h"
#include "../../abi/hosts/host_kit.h"

/* Which rows each rank has; one has none. */
static const int64_t FIRST[RANKS] = {0, 7, 19, 19}, COUNT[RANKS] = {7, 12, 0, 5};

struct batch {
    float x[LAYER_ROWS][LAYER_H], logits[LAYER_ROWS][LAYER_E];
    int32_t ids[LAYER_ROWS][LAYER_K], slots[LAYER_ROWS][LAYER_C];
    float weights[LAYER_ROWS][LAYER_K], slot_weights[LAYER_ROWS][LAYER_C];
    float *rows;
    int32_t *row_slot;
    int64_t row_count;
    sluice_handle handle;
};

static sluice_status note(struct layer *layer, sluice_status status)
{
    if (status)
        (void)layer->api->last_error(layer->context, layer->text, sizeof layer->text);
    return status;
}

void layer_open(struct layer *layer, const sluice_api *api, const sluice_comm *comm,
                int64_t timeout_ns)
{
    const sluice_router router = {
        .struct_size = sizeof router, .experts = LAYER_E, .top_k = LAYER_K, .shared = LAYER_F};
    const sluice_layer one = {.struct_size = sizeof one,
                              .router = &router,
                              .slots_per_rank = comm ? LAYER_SLOTS : LAYER_E};
    const sluice_layer *layers[LAYER_COUNT] = {&one, &one};
    const sluice_transport transport = {.struct_size = sizeof transport,
                                        .max_tokens = LAYER_ROWS,
                                        .payload_row_bytes = LAYER_H * sizeof(float)};
    const sluice_config config = {.struct_size = sizeof config,
                                  .comm = comm,
                                  .layers = layers,
                                  .transport = &transport,
                                  .layer_count = LAYER_COUNT,
                                  .uses = SLUICE_USE_EXACT,
                                  .timeout_ns = timeout_ns};
    *layer = (struct layer){.api = api};
    sluice_status status = api->open(&config, &layer->context, layer->text, sizeof layer->text);
    if (!mpi_check(status == SLUICE_OK, "open")) {
        fprintf(stderr, "%s\n", layer->text);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

void layer_close(struct layer *layer)
{
    layer->api->close(layer->context);
}

static void draw(struct batch *batch, uint64_t step, int64_t first, int64_t count)
{
    for (int64_t t = 0; t < count; t++) {
        uint64_t seed = step * 1000 + (uint64_t)(first + t);
        for (uint64_t h = 0; h < LAYER_H; h++)
            batch->x[t][h] = kit_noise(seed, h);
        for (uint64_t e = 0; e < LAYER_E; e++)
            batch->logits[t][e] = 4.0f * kit_noise(seed, LAYER_H + e);
    }
}

static sluice_status choose(struct layer *layer, int32_t index, struct batch *batch, int64_t count)
{
    struct kit_tensor logits, ids, weights, slots, slot_weights;
    const sluice_topk_args topk = {.struct_size = sizeof topk,
                                   .layer = index,
                                   .logits = kit_f32(&logits, batch->logits, count, LAYER_E),
                                   .ids = kit_i32(&ids, batch->ids, count, LAYER_K),
                                   .weights = kit_f32(&weights, batch->weights, count, LAYER_K)};
    const sluice_remap_args remap = {
        .struct_size = sizeof remap,
        .layer = index,
        .ids = &ids.tensor,
        .weights = &weights.tensor,
        .dispatch_ids = kit_i32(&slots, batch->slots, count, LAYER_C),
        .dispatch_weights = kit_f32(&slot_weights, batch->slot_weights, count, LAYER_C)};
    sluice_status status = layer->api->topk(layer->context, &topk);
    return status ? status : layer->api->remap(layer->context, &remap);
}

static sluice_status dispatch(struct layer *layer, int32_t index, struct batch *batch,
                              int64_t count)
{
    struct kit_tensor x, rows, slots, slot_weights, row_slot;
    const sluice_tensor *payload = kit_f32(&x, batch->x, count, LAYER_H), *out = &rows.tensor;
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .layer = index,
                                 .phase = SLUICE_DISPATCH_COUNT,
                                 .handle = &batch->handle,
                                 .dispatch_ids = kit_i32(&slots, batch->slots, count, LAYER_C),
                                 .dispatch_weights =
                                     kit_f32(&slot_weights, batch->slot_weights, count, LAYER_C),
                                 .row_count = &batch->row_count};
    sluice_status status = layer->api->dispatch(layer->context, &args);
    if (status)
        return status;
    if (layer->between)
        layer->between();
    batch->rows = kit_zeros((size_t)batch->row_count * LAYER_H, sizeof(float));
    batch->row_slot = kit_zeros((size_t)batch->row_count, sizeof(int32_t));
    (void)kit_f32(&rows, batch->rows, batch->row_count, LAYER_H);
    args.phase = SLUICE_DISPATCH_SEND;
    args.payload_count = 1;
    args.payloads = &payload;
    args.rows = &out;
    args.row_slot = kit_i32(&row_slot, batch->row_slot, batch->row_count, 0);
    return layer->api->dispatch(layer->context, &args);
}

static void compute(struct layer *layer, int32_t index, struct batch *batch)
{
    const sluice_placement_api *placement = kit_extension(layer->api, SLUICE_EXT_PLACEMENT);
    sluice_placement_shape shape = {.struct_size = sizeof shape};
    int32_t holds[LAYER_E + LAYER_F];
    if (!mpi_check(placement->shape(layer->context, index, &shape) == SLUICE_OK, "shape") ||
        !mpi_check(placement->rows(layer->context, index, shape.rank, holds,
                                   shape.slots_per_rank + shape.shared) == SLUICE_OK,
                   "rows of the placement"))
        return;
    for (int64_t row = 0; row < batch->row_count; row++)
        for (int32_t h = 0; h < LAYER_H; h++)
            batch->rows[row * LAYER_H + h] *= kit_weight(index, holds[batch->row_slot[row]], 0, h);
}

static sluice_status combine(struct layer *layer, int32_t index, struct batch *batch, int64_t count,
                             float *out)
{
    struct kit_tensor rows, home;
    const sluice_combine_args args = {.struct_size = sizeof args,
                                      .layer = index,
                                      .handle = &batch->handle,
                                      .rows =
                                          kit_f32(&rows, batch->rows, batch->row_count, LAYER_H),
                                      .out = kit_f32(&home, out, count, LAYER_H)};
    return layer->api->combine(layer->context, &args);
}

sluice_status layer_step(struct layer *layer, int32_t index, uint64_t step, int64_t first,
                         int64_t count, float *out)
{
    struct batch *batch = kit_zeros(1, sizeof *batch);
    draw(batch, step, first, count);
    sluice_status status = choose(layer, index, batch, count);
    if (!status)
        status = dispatch(layer, index, batch, count);
    if (!status) {
        compute(layer, index, batch);
        status = combine(layer, index, batch, count, out);
    }
    free(batch->rows);
    free(batch->row_slot);
    free(batch);
    return note(layer, status);
}

bool layer_agrees(struct layer *layer, uint64_t step)
{
    float *mine = kit_zeros((size_t)LAYER_ROWS * LAYER_H, sizeof *mine);
    float *whole = kit_zeros((size_t)LAYER_ROWS * LAYER_H, sizeof *whole);
    struct layer alone;
    bool same = true;
    layer_open(&alone, layer->api, NULL, LONG_NS);
    for (int32_t index = 0; index < LAYER_COUNT; index++) {
        sluice_status status =
            layer_step(layer, index, step, FIRST[mpi_rank], COUNT[mpi_rank], mine);
        if (!mpi_check(status == SLUICE_OK, "a step"))
            fprintf(stderr, "rank %d: status %d: %s\n", mpi_rank, status, layer->text);
        same = status == SLUICE_OK &&
               mpi_check(layer_step(&alone, index, step, 0, LAYER_ROWS, whole) == SLUICE_OK,
                         "a step of one rank alone") &&
               mpi_check(memcmp(mine, whole + FIRST[mpi_rank] * LAYER_H,
                                (size_t)COUNT[mpi_rank] * LAYER_H * sizeof *mine) == 0,
                         "the bits of one rank alone") &&
               same;
    }
    layer_close(&alone);
    free(mine);
    free(whole);
    return same;
}

void layer_fails(struct layer *layer, int32_t index, sluice_status status, const char *part)
{
    float *out = kit_zeros((size_t)LAYER_ROWS * LAYER_H, sizeof *out);
    sluice_status got = layer_step(layer, index, 1, FIRST[mpi_rank], COUNT[mpi_rank], out);
    if (!mpi_check(got == status && strstr(layer->text, part), "the failure that was meant"))
        fprintf(stderr, "rank %d: status %d, text '%s'; should be %d, '%s'\n", mpi_rank, got,
                layer->text, status, part);
    free(out);
}

void layer_set(struct layer *layer, const bool *alive, const sluice_comm *comm)
{
    const sluice_ranks_api *ranks = kit_extension(layer->api, SLUICE_EXT_RANKS);
    uint8_t mask[RANKS];
    for (int r = 0; r < RANKS; r++)
        mask[r] = alive[r];
    const sluice_ranks verdict = {.struct_size = sizeof verdict,
                                  .generation = ++layer->generation,
                                  .alive = mask,
                                  .comm = comm};
    sluice_status status = note(layer, ranks->set(layer->context, &verdict, NULL));
    if (!mpi_check(status == SLUICE_OK, "set of sluice.ranks/1"))
        fprintf(stderr, "rank %d: %s\n", mpi_rank, layer->text);
}
