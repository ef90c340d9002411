/* SPDX-License-Identifier: Apache-2.0
 * One COUNT of an exact dispatch on 8 ranks, for what its layout executes: 256 experts, 8 choices a
 * token. STANDIN_TRACE gets the numbers.
 *     cuda_layout DEVICE.so TOKENS */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../abi/ext/device.h"
#include "../../src/comm/comm_threads.h"

enum { RANKS = 8, EXPERTS = 256, TOP_K = 8 };

static const sluice_api *api;
static const sluice_device_api *memory;
static sluice_comm_threads *group;
static int64_t tokens;
static int failed;

/* Eight different experts for every token. */
static int32_t *draw(int64_t rank)
{
    int32_t *ids = calloc((size_t)tokens * TOP_K, sizeof *ids);
    uint64_t state = (uint64_t)rank;
    for (int64_t i = 0; ids && i < tokens * TOP_K; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        ids[i] = (int32_t)((i % TOP_K) * (EXPERTS / TOP_K) + (int64_t)(state >> 59));
    }
    return ids;
}

static void *run(void *data)
{
    int64_t rank = (int64_t)(intptr_t)data, shape[2] = {tokens, TOP_K}, rows = 0;
    const sluice_router router = {.struct_size = sizeof router, .experts = EXPERTS, .top_k = TOP_K};
    const sluice_layer layer = {.struct_size = sizeof layer, .router = &router};
    const sluice_layer *layers[1] = {&layer};
    const sluice_transport transport = {
        .struct_size = sizeof transport, .max_tokens = tokens, .payload_row_bytes = 16};
    sluice_device device = {SLUICE_CUDA, (int32_t)rank};
    size_t bytes = (size_t)tokens * TOP_K * sizeof(int32_t);
    int32_t *ids = draw(rank);
    sluice_context *context = NULL;
    sluice_handle handle;
    sluice_comm comm;
    char text[256] = "";
    void *there = NULL;
    sluice_comm_threads_get(group, (int)rank, &comm);
    const sluice_config config = {.struct_size = sizeof config,
                                  .comm = &comm,
                                  .layers = layers,
                                  .transport = &transport,
                                  .device = device,
                                  .layer_count = 1,
                                  .uses = SLUICE_USE_EXACT};
    sluice_status status = api->open(&config, &context, text, sizeof text);
    if (!status && !memory->alloc(device, bytes, &there) && ids &&
        !memory->copy(device, there, ids, bytes, NULL)) {
        const sluice_tensor tensor = {.data = there,
                                      .device = device,
                                      .ndim = 2,
                                      .dtype = {SLUICE_INT, 32, 1},
                                      .shape = shape};
        const sluice_dispatch_args args = {.struct_size = sizeof args,
                                           .phase = SLUICE_DISPATCH_COUNT,
                                           .handle = &handle,
                                           .dispatch_ids = &tensor,
                                           .row_count = &rows};
        status = api->dispatch(context, &args);
        if (status)
            (void)api->last_error(context, text, sizeof text);
    }
    if (status) {
        printf("rank %d: status %d: %s\n", (int)rank, status, text);
        failed = 1;
    }
    memory->free(device, there);
    api->close(context);
    free(ids);
    return NULL;
}

int main(int argc, char **argv)
{
    void *library = argc > 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    void *found = library ? dlsym(library, SLUICE_ENTRY) : NULL;
    const sluice_api *(*get)(uint32_t);
    pthread_t threads[RANKS];
    if (!found) {
        (void)fprintf(stderr, "usage: cuda_layout DEVICE.so TOKENS\n");
        return 2;
    }
    memcpy(&get, &found, sizeof found);
    api = get(SLUICE_ABI_MAJOR);
    memory = api->extension(SLUICE_EXT_DEVICE);
    tokens = strtoll(argv[2], NULL, 10);
    group = sluice_comm_threads_create(RANKS, NULL);
    for (intptr_t r = 0; r < RANKS; r++)
        if (pthread_create(&threads[r], NULL, run, (void *)r))
            return 3;
    for (int32_t r = 0; r < RANKS; r++)
        pthread_join(threads[r], NULL);
    sluice_comm_threads_destroy(group);
    return failed;
}
