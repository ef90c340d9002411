/* SPDX-License-Identifier: Apache-2.0 */
#include "trip_kit.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const sluice_api *tk_api;
const sluice_device_api *tk_memory;
const sluice_ranks_api *tk_ranks;

void tk_find(const char *library, const char *name, void *function)
{
    void *opened = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    void *found = opened ? dlsym(opened, name) : NULL;
    if (!found) {
        printf("%s of %s is not there\n0 passed, 0 failed, 1 skipped\n", name, library);
        exit(0);
    }
    memcpy(function, &found, sizeof found);
}

void tk_load(const char *path)
{
    const sluice_api *(*get)(uint32_t);
    tk_find(path, SLUICE_ENTRY, &get);
    tk_api = get(SLUICE_ABI_MAJOR);
    tk_memory = tk_api->extension(SLUICE_EXT_DEVICE);
    tk_ranks = tk_api->extension(SLUICE_EXT_RANKS);
}

double tk_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ------------------------------------------------------------------------------------ tensors */

struct box {
    sluice_tensor t;
    int64_t shape[2];
    size_t bytes;
};

static void make(const struct tk_rank *r, struct box *box, uint8_t code, int64_t rows,
                 int64_t columns)
{
    *box = (struct box){.shape = {rows, columns}, .bytes = (size_t)(rows * columns) * 4};
    box->t = (sluice_tensor){
        .device = r->device, .ndim = 2, .dtype = {code, 32, 1}, .shape = box->shape};
    if (tk_memory->alloc(r->device, box->bytes + 4, &box->t.data))
        exit(3);
}

static bool moved(const struct tk_rank *r, void *to, const void *from, size_t bytes)
{
    return !tk_memory->copy(r->device, to, from, bytes, r->stream) &&
           !tk_memory->wait(r->device, r->stream);
}

/* --------------------------------------------------------------------------------------- open */

sluice_status tk_open(struct tk_rank *r, const sluice_comm *comm, int32_t flags, int64_t timeout_ns)
{
    const sluice_router router = {
        .struct_size = sizeof router, .experts = TK_SLOTS * TK_RANKS, .top_k = TK_COLUMNS};
    const sluice_layer layer = {.struct_size = sizeof layer, .router = &router};
    const sluice_layer *layers[1] = {&layer};
    const sluice_transport transport = {.struct_size = sizeof transport,
                                        .max_tokens = TK_TOKENS,
                                        .fixed_tokens = TK_TOKENS,
                                        .payload_row_bytes = TK_WIDTH * 4};
    sluice_needs needs = {.struct_size = sizeof needs};
    const sluice_config config = {.struct_size = sizeof config,
                                  .comm = comm,
                                  .layers = layers,
                                  .transport = &transport,
                                  .needs = &needs,
                                  .device = r->device,
                                  .layer_count = 1,
                                  .max_ranks = TK_RANKS,
                                  .flags = flags,
                                  .copy_policy = SLUICE_COPY_BALANCED,
                                  .uses = SLUICE_USE_BALANCE_NOW |
                                          (r->fixed ? SLUICE_USE_FIXED : SLUICE_USE_EXACT),
                                  .timeout_ns = timeout_ns};
    const sluice_balance_config now = {
        .struct_size = sizeof now, .objective = SLUICE_BALANCE_TOKENS, .mode = SLUICE_BALANCE_NOW};
    r->call = "open";
    r->rank = comm->rank;
    if (tk_memory->stream(r->device, &r->stream))
        exit(3);
    sluice_status status = tk_api->open(&config, &r->context, r->text, sizeof r->text);
    r->fixed_rows = needs.fixed_rows;
    if (status)
        return status;
    const sluice_balance_api *balance = tk_api->extension(SLUICE_EXT_BALANCE);
    return balance->configure(r->context, -1, &now);
}

void tk_close(struct tk_rank *r)
{
    r->call = "close";
    tk_api->close(r->context);
    tk_memory->stream_free(r->device, r->stream);
    r->context = NULL;
}

sluice_status tk_set(struct tk_rank *r, int64_t generation, const uint8_t *alive,
                     const sluice_comm *comm)
{
    const sluice_ranks ranks = {
        .struct_size = sizeof ranks, .generation = generation, .alive = alive, .comm = comm};
    r->call = "set";
    sluice_status status = tk_ranks->set(r->context, &ranks, r->stream);
    if (status)
        (void)tk_api->last_error(r->context, r->text, sizeof r->text);
    return status;
}

/* --------------------------------------------------------------------------------------- trip */

enum { CHOSEN, SENT, WEIGHTS, TOKENS, OUT, ROWS, BOXES };

static int32_t choice(uint64_t seed, int32_t rank, int32_t i)
{
    uint64_t z = (seed * 64 + (uint64_t)rank) * 0x9E3779B97F4A7C15U + (uint64_t)i;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U; /* splitmix64 */
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return i % TK_COLUMNS + TK_SLOTS * (int32_t)((z ^ (z >> 31)) % TK_RANKS);
}

static sluice_status step(struct tk_rank *r, struct box *boxes)
{
    int64_t rows = r->fixed_rows;
    const sluice_remap_args remap = {.struct_size = sizeof remap,
                                     .stream = r->stream,
                                     .ids = &boxes[CHOSEN].t,
                                     .dispatch_ids = &boxes[SENT].t};
    r->call = "remap";
    sluice_status status = tk_api->remap(r->context, &remap);
    sluice_handle handle;
    const sluice_tensor *payloads[1] = {&boxes[TOKENS].t}, *arrived[1];
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .phase = SLUICE_DISPATCH_COUNT,
                                 .stream = r->stream,
                                 .handle = &handle,
                                 .payload_count = 1,
                                 .payloads = payloads,
                                 .dispatch_ids = &boxes[SENT].t,
                                 .dispatch_weights = &boxes[WEIGHTS].t,
                                 .row_count = &rows};
    if (status)
        return status;
    r->call = "dispatch";
    if (!r->fixed && (status = tk_api->dispatch(r->context, &args)))
        return status;
    make(r, &boxes[ROWS], SLUICE_FLOAT, rows, TK_WIDTH);
    arrived[0] = &boxes[ROWS].t;
    args.phase = r->fixed ? SLUICE_DISPATCH_FIXED : SLUICE_DISPATCH_SEND;
    args.rows = arrived;
    if ((status = tk_api->dispatch(r->context, &args)))
        return status;
    r->call = "combine";
    const sluice_combine_args back = {.struct_size = sizeof back,
                                      .stream = r->stream,
                                      .handle = &handle,
                                      .rows = &boxes[ROWS].t,
                                      .out = &boxes[OUT].t};
    return tk_api->combine(r->context, &back);
}

sluice_status tk_trip(struct tk_rank *r, uint64_t seed, const uint8_t *alive, bool *right)
{
    int32_t ids[TK_TOKENS * TK_COLUMNS];
    float x[TK_TOKENS * TK_WIDTH], weights[TK_TOKENS * TK_COLUMNS], out[TK_TOKENS * TK_WIDTH];
    struct box boxes[BOXES] = {{.bytes = 0}};
    for (int32_t i = 0; i < TK_TOKENS * TK_COLUMNS; i++) {
        ids[i] = choice(seed, r->rank, i);
        weights[i] = 1;
    }
    for (int32_t i = 0; i < TK_TOKENS * TK_WIDTH; i++)
        x[i] = (float)(100 * r->rank + i);
    make(r, &boxes[CHOSEN], SLUICE_INT, TK_TOKENS, TK_COLUMNS);
    make(r, &boxes[SENT], SLUICE_INT, TK_TOKENS, TK_COLUMNS);
    make(r, &boxes[WEIGHTS], SLUICE_FLOAT, TK_TOKENS, TK_COLUMNS);
    make(r, &boxes[TOKENS], SLUICE_FLOAT, TK_TOKENS, TK_WIDTH);
    make(r, &boxes[OUT], SLUICE_FLOAT, TK_TOKENS, TK_WIDTH);
    *right = moved(r, boxes[CHOSEN].t.data, ids, sizeof ids) &&
             moved(r, boxes[WEIGHTS].t.data, weights, sizeof weights) &&
             moved(r, boxes[TOKENS].t.data, x, sizeof x);
    sluice_status status = step(r, boxes);
    *right = moved(r, out, boxes[OUT].t.data, sizeof out) && *right && !status;
    for (int32_t t = 0; t < TK_TOKENS; t++)
        for (int32_t h = 0; h < TK_WIDTH; h++) {
            int32_t answers = 0;
            for (int32_t k = 0; k < TK_COLUMNS; k++)
                answers += alive[ids[t * TK_COLUMNS + k] / TK_SLOTS];
            *right = *right && out[t * TK_WIDTH + h] == (float)answers * x[t * TK_WIDTH + h];
        }
    if (!status && !*right) {
        const sluice_remap_args remap = {.struct_size = sizeof remap,
                                         .stream = r->stream,
                                         .ids = &boxes[CHOSEN].t,
                                         .dispatch_ids = &boxes[SENT].t};
        status = tk_api->remap(r->context, &remap);
    }
    if (status)
        (void)tk_api->last_error(r->context, r->text, sizeof r->text);
    for (int32_t i = 0; i < BOXES; i++)
        tk_memory->free(r->device, boxes[i].t.data);
    return status;
}
