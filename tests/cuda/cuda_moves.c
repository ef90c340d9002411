/* SPDX-License-Identifier: Apache-2.0
 * Two plugins, one on a device: do dispatch and combine give the same bits? Ranks are threads;
 * random scenes over every option, with ids that are no slots, slots twice in a token, capacities
 * that are too small, NaN, infinities and subnormals. In some, dispatch carries counts for the step
 * balance, eagerly and in graphs: do `read`'s quotas of all ranks differ? RANKS: of every scene,
 * else they vary; with "rounds" rows are so long that a pair's staging is filled more than once.
 *     cuda_moves CPU.so DEVICE.so SCENES [SEED [RANKS | rounds]] */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../abi/ext/balance.h"
#include "../../abi/ext/device.h"
#include "../../abi/ext/stats.h"
#include "../../src/comm/comm_threads.h"
#include "move_scene.h"

enum { MOST_BUFFERS = 24, CPU = 0, THERE = 1 };

static const sluice_dtype F32 = {SLUICE_FLOAT, 32, 1}, I32 = {SLUICE_INT, 32, 1},
                          I64 = {SLUICE_INT, 64, 1}, U8 = {SLUICE_UINT, 8, 1};

/* ------------------------------------------------------------------------------- one rank's run */

struct side {
    const sluice_api *api;
    const sluice_device_api *memory;
    sluice_device device;
};

static struct side sides[2];

struct buffer {
    sluice_tensor t;
    int64_t shape[2], strides[2];
    size_t bytes;
    unsigned char *host;
};

struct run {
    const struct scene *scene;
    const struct side *side;
    sluice_device device;
    int32_t rank, used;
    sluice_comm comm;
    struct buffer buffers[MOST_BUFFERS];
    int64_t rows;
    sluice_status status[4];   /* open, count, send or fixed, combine */
    int64_t told[2], moved[2]; /* bytes of dispatch and of combine: at most, by needs; by stats */
    sluice_balance_answer answer;
    int64_t routed[MOST_RANKS * MOST_RANKS * MOST_SLOTS], columns[MOST_RANKS * MOST_RANKS];
    char text[512];
};

static struct buffer *make(struct run *run, sluice_dtype type, int64_t rows, int64_t columns)
{
    struct buffer *b = &run->buffers[run->used++];
    int64_t stride = (columns ? columns : 1) + (run->scene->gaps && columns ? 3 : 0);
    b->shape[0] = rows;
    b->shape[1] = columns;
    b->strides[0] = stride;
    b->strides[1] = 1;
    b->bytes = (size_t)(rows * stride) * type.bits / 8;
    b->host = calloc(1, b->bytes + 1);
    b->t = (sluice_tensor){.device = run->device,
                           .ndim = columns ? 2 : 1,
                           .dtype = type,
                           .shape = b->shape,
                           .strides = b->strides};
    if (run->side->memory->alloc(run->device, b->bytes + 1, &b->t.data))
        exit(3);
    return b;
}

/* Bytes that depend on the place alone; floats among them are of all sorts. */
static void fill(struct run *run, struct buffer *b, uint64_t salt)
{
    uint64_t s = mix(salt) + (uint64_t)run->rank * 7919;
    bool wild = chance(&s, 30), f32 = b->t.dtype.bits == 32 && b->t.dtype.code == SLUICE_FLOAT;
    size_t size = b->t.dtype.bits / 8;
    for (size_t i = 0; i + size <= b->bytes; i += size) {
        uint32_t bits = (uint32_t)next(&s);
        float f = (float)((double)bits * 0x1p-31 - 1);
        if (f32 && !wild)
            memcpy(b->host + i, &f, sizeof f);
        else if (size == 2 && !wild)
            bits = (bits & 0x8FFF) | 0x3000, memcpy(b->host + i, &bits, 2);
        else
            for (size_t k = 0; k < size; k++)
                b->host[i + k] = (unsigned char)(bits >> (k % 4 * 8));
    }
}

static void push(struct run *run)
{
    for (int32_t i = 0; i < run->used; i++)
        if (run->buffers[i].bytes)
            (void)run->side->memory->copy(run->device, run->buffers[i].t.data, run->buffers[i].host,
                                          run->buffers[i].bytes, NULL);
    (void)run->side->memory->wait(run->device, NULL);
}

static void pull(struct run *run)
{
    for (int32_t i = 0; i < run->used; i++)
        if (run->buffers[i].bytes)
            (void)run->side->memory->copy(run->device, run->buffers[i].host, run->buffers[i].t.data,
                                          run->buffers[i].bytes, NULL);
    (void)run->side->memory->wait(run->device, NULL);
}

static void put_id(struct buffer *b, int64_t at, int64_t id)
{
    int32_t narrow = (int32_t)id;
    if (b->t.dtype.bits == 64)
        memcpy(b->host + at * 8, &id, 8);
    else
        memcpy(b->host + at * 4, &narrow, 4);
}

static void draw_ids(const struct scene *c, int32_t rank, struct buffer *ids)
{
    uint64_t s = mix(c->seed * 31 + (uint64_t)rank);
    int64_t slots = (int64_t)c->ranks * (c->slots + c->shared);
    int32_t hot = chance(&s, 20) ? below(&s, (int32_t)slots) : -1;
    for (int64_t t = 0; t < ids->shape[0]; t++) {
        int64_t row[16];
        for (int32_t k = 0; k < c->columns; k++) {
            int64_t id = hot >= 0 && chance(&s, 60) ? hot : below(&s, (int32_t)slots);
            for (int32_t i = 0; i < k; i++)
                if (row[i] == id && !c->twice)
                    id = -1;
            if (chance(&s, 15))
                id = -1;
            if (c->outside && chance(&s, 10))
                id = chance(&s, 50) ? slots + below(&s, 9) : -2 - below(&s, 9);
            if (c->away)
                id = (rank + 1) % c->ranks * (int64_t)(c->slots + c->shared) + t % c->slots;
            row[k] = id;
            put_id(ids, t * ids->strides[0] + k, id);
        }
    }
}

/* OVERFLOW comes a call later from a device. */
static bool good(sluice_status status)
{
    return status == SLUICE_OK || status == SLUICE_OVERFLOW;
}

static sluice_status said(struct run *run, sluice_context *context, sluice_status status)
{
    if (status)
        (void)run->side->api->last_error(context, run->text, sizeof run->text);
    return status;
}

static sluice_context *open_one(struct run *run, int64_t *fixed_rows)
{
    const struct scene *c = run->scene;
    const sluice_router router = {.struct_size = sizeof router,
                                  .experts = c->experts,
                                  .top_k = c->top_k,
                                  .shared = c->shared,
                                  .scale = 2.5F,
                                  .scale_by = c->scaled ? SLUICE_SCALE_BY_ENGINE : 0,
                                  .weight_on = c->on_input};
    const sluice_layer layer = {
        .struct_size = sizeof layer, .router = &router, .slots_per_rank = c->slots};
    const sluice_layer *layers[1] = {&layer};
    const sluice_transport transport = {.struct_size = sizeof transport,
                                        .max_tokens = c->most,
                                        .fixed_tokens = c->most,
                                        .payload_row_bytes = c->row_bytes,
                                        .max_payloads = PAYLOADS,
                                        .capacity_pair = c->capacity_pair,
                                        .capacity_rows = c->capacity_rows,
                                        .capacity_slot = c->capacity_slot,
                                        .capacity_back = c->capacity_back,
                                        .row_layout = c->strided,
                                        .row_align = c->align,
                                        .combine_order = c->order};
    sluice_needs needs = {.struct_size = sizeof needs};
    const sluice_config config = {.struct_size = sizeof config,
                                  .comm = c->ranks > 1 ? &run->comm : NULL,
                                  .layers = layers,
                                  .transport = &transport,
                                  .needs = &needs,
                                  .device = run->device,
                                  .layer_count = 1,
                                  .uses = c->fixed ? SLUICE_USE_FIXED : SLUICE_USE_EXACT,
                                  .copy_policy = c->stale && !c->by_copy ? SLUICE_COPY_BALANCED : 0,
                                  .shared_policy = c->stale ? SLUICE_SHARED_LEVEL : 0,
                                  .timeout_ns = 100000000000};
    sluice_context *context = NULL;
    run->status[0] = run->side->api->open(&config, &context, run->text, sizeof run->text);
    *fixed_rows = needs.fixed_rows;
    run->told[0] = (int64_t)needs.dispatch_wire_bytes * (c->fixed ? 1 + c->before : 1);
    run->told[1] = needs.combine_wire_bytes;
    if (run->status[0] || !c->stale)
        return context;
    const sluice_balance_api *balance = run->side->api->extension(SLUICE_EXT_BALANCE);
    const sluice_balance_config stale = {
        .struct_size = sizeof stale, .mode = SLUICE_BALANCE_STALE, .steps = c->steps};
    run->status[0] = said(run, context, balance->configure(context, 0, &stale));
    return context;
}

static sluice_status read_quotas(struct run *run, sluice_context *context)
{
    const sluice_balance_api *balance = run->side->api->extension(SLUICE_EXT_BALANCE);
    run->answer = (sluice_balance_answer){.struct_size = sizeof run->answer,
                                          .sources = run->scene->ranks,
                                          .routed = run->routed,
                                          .shared = run->columns,
                                          .routed_count = sizeof run->routed / 8,
                                          .shared_count = sizeof run->columns / 8};
    return said(run, context, balance->read(context, 0, &run->answer, NULL));
}

/* Dispatches before the one that is compared; on a device in a graph, if the scene says so, whose
 * communicator the first of them makes. */
static sluice_status dispatch_before(struct run *run, sluice_context *context,
                                     sluice_dispatch_args args)
{
    const struct side *there = run->side;
    void *stream = NULL, *graph = NULL;
    sluice_status status = SLUICE_OK;
    int32_t i = 0;
    bool captured = run->scene->captured && there == &sides[THERE];
    for (; i < run->scene->before && !(captured && i == 1) && good(status); i++)
        status = said(run, context, there->api->dispatch(context, &args));
    if (!good(status) || i == run->scene->before)
        return status;
    (void)there->memory->wait(run->device, NULL);
    if (there->memory->stream(run->device, &stream) ||
        there->memory->capture_begin(run->device, stream))
        exit(3);
    args.stream = stream;
    status = said(run, context, there->api->dispatch(context, &args));
    if (there->memory->capture_end(run->device, stream, &graph))
        exit(3);
    for (; i < run->scene->before && good(status); i++)
        if (there->memory->graph_launch(run->device, graph, stream))
            exit(3);
    (void)there->memory->wait(run->device, stream);
    there->memory->graph_free(run->device, graph);
    there->memory->stream_free(run->device, stream);
    return status;
}

static void trip(struct run *run, sluice_context *context, int64_t fixed_rows)
{
    const struct scene *c = run->scene;
    const sluice_api *api = run->side->api;
    uint64_t s = mix(c->seed + 1000003 * (uint64_t)(run->rank + 1));
    int64_t tokens = chance(&s, 15) ? 0 : below(&s, c->most + 1);
    if (c->full)
        tokens = c->most;
    if (c->away)
        tokens = run->rank == 0 ? c->most : 2;
    int32_t local = c->slots + c->shared;
    sluice_dtype ids_type = c->wide ? I64 : I32;
    struct buffer *ids = make(run, ids_type, tokens, c->columns);
    struct buffer *weights = make(run, F32, tokens, c->columns);
    struct buffer *counts = make(run, ids_type, local, 0);
    struct buffer *starts = make(run, ids_type, local + 1, 0);
    struct buffer *zero = make(run, F32, tokens, 0), *out = make(run, c->type, tokens, c->width);
    struct buffer *valid = make(run, ids_type, 1, 0);
    struct buffer *payloads[PAYLOADS], *rows[PAYLOADS];
    const sluice_tensor *payload_t[PAYLOADS], *row_t[PAYLOADS];
    static const int32_t WIDTHS[PAYLOADS] = {0, 7, 2};
    const sluice_dtype types[PAYLOADS] = {c->type, U8, I64};
    draw_ids(c, run->rank, ids);
    fill(run, weights, c->seed + 1);
    fill(run, zero, c->seed + 2);
    fill(run, out, c->seed + 3);
    put_id(valid, 0, tokens - (tokens > 3 ? below(&s, 3) : 0));
    for (int32_t i = 0; i < c->payloads; i++) {
        payloads[i] = make(run, types[i], tokens, i == 0 ? c->width : WIDTHS[i]);
        fill(run, payloads[i], c->seed + 10 + (uint64_t)i);
        payload_t[i] = &payloads[i]->t;
    }
    sluice_handle handle;
    run->rows = fixed_rows;
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .phase = SLUICE_DISPATCH_COUNT,
                                 .handle = &handle,
                                 .payload_count = c->payloads,
                                 .payloads = payload_t,
                                 .dispatch_ids = &ids->t,
                                 .dispatch_weights = &weights->t,
                                 .num_valid = c->part ? &valid->t : NULL,
                                 .slot_counts = &counts->t,
                                 .slot_starts = &starts->t,
                                 .row_count = &run->rows,
                                 .multiply = c->multiply};
    push(run);
    if (!c->fixed)
        run->status[1] = dispatch_before(run, context, args);
    if (!c->fixed && !run->status[1])
        run->status[1] = said(run, context, api->dispatch(context, &args));
    pull(run);
    if (run->status[1])
        return;
    for (int32_t i = 0; i < c->payloads; i++) {
        rows[i] = make(run, types[i], run->rows, payloads[i]->shape[1]);
        fill(run, rows[i], c->seed + 20 + (uint64_t)i);
        row_t[i] = &rows[i]->t;
    }
    struct buffer *row_slot = make(run, ids_type, run->rows, 0);
    struct buffer *row_weight = make(run, F32, run->rows, 0);
    struct buffer *results = make(run, c->type, run->rows, c->width);
    fill(run, row_slot, c->seed + 30);
    fill(run, row_weight, c->seed + 31);
    fill(run, results, c->seed + 32);
    args.phase = c->fixed ? SLUICE_DISPATCH_FIXED : SLUICE_DISPATCH_SEND;
    args.rows = row_t;
    args.row_slot = &row_slot->t;
    args.row_weight = &row_weight->t;
    push(run);
    if (c->fixed)
        run->status[2] = dispatch_before(run, context, args);
    if (good(run->status[2]))
        run->status[2] = said(run, context, api->dispatch(context, &args));
    pull(run);
    if (good(run->status[2]) && c->stale)
        run->status[1] = read_quotas(run, context);
    const sluice_combine_args back = {.struct_size = sizeof back,
                                      .scale = c->scaled,
                                      .handle = &handle,
                                      .rows = &results->t,
                                      .zero_weight = c->zero ? &zero->t : NULL,
                                      .x = c->zero ? payload_t[0] : NULL,
                                      .out = &out->t};
    run->status[3] = said(run, context, api->combine(context, &back));
    pull(run);
}

/* What an engine has done before: a communicator of its own, by a library that it has open. */
struct unique_id {
    char internal[128];
};

static struct {
    void *library;
    int (*id)(struct unique_id *id);
    int (*init)(void **comm, int ranks, struct unique_id id, int rank);
    int (*destroy)(void *comm);
    unsigned (*retain)(void **context, int device);
    unsigned (*set)(void *context);
} engine;

static bool find(void *library, const char *name, void *function)
{
    void *found = library ? dlsym(library, name) : NULL;
    memcpy(function, &found, sizeof found);
    return found != NULL;
}

static bool find_engine(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    engine.library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    return find(engine.library, "ncclGetUniqueId", &engine.id) &&
           find(engine.library, "ncclCommInitRank", &engine.init) &&
           find(engine.library, "ncclCommDestroy", &engine.destroy) &&
           find(driver, "cuDevicePrimaryCtxRetain", &engine.retain) &&
           find(driver, "cuCtxSetCurrent", &engine.set);
}

static void *engine_symbol(void *user, const char *name)
{
    (void)user;
    return dlsym(engine.library, name);
}

static bool start_engine(struct run *run)
{
    struct unique_id mine, ids[MOST_RANKS];
    void *context = NULL;
    int32_t peer;
    bool good = !engine.id(&mine) && !run->comm.all_gather(run->comm.user, 9, &mine, ids,
                                                           sizeof mine, 10000000000, &peer);
    good = good && !engine.retain(&context, run->device.id) && !engine.set(context) &&
           !engine.init(&run->comm.native, run->scene->ranks, ids[0], run->rank);
    run->comm.native_kind = 1;
    run->comm.native_symbol = engine_symbol;
    return good;
}

static void *run_rank(void *data)
{
    struct run *run = data;
    int64_t fixed_rows = 0;
    bool native = run->scene->native && run->scene->ranks > 1 && run->side == &sides[THERE];
    if (native && !start_engine(run)) {
        run->status[0] = SLUICE_INTERNAL;
        return NULL;
    }
    sluice_context *context = open_one(run, &fixed_rows);
    if (!context)
        return NULL;
    trip(run, context, fixed_rows);
    const sluice_stats_api *counters = run->side->api->extension(SLUICE_EXT_STATS);
    sluice_stats stats = {.struct_size = sizeof stats};
    (void)counters->read(context, &stats);
    run->moved[0] = (int64_t)stats.dispatch_moved;
    run->moved[1] = (int64_t)stats.combine_moved;
    run->side->api->close(context);
    if (native)
        (void)engine.destroy(run->comm.native);
    return NULL;
}

/* ---------------------------------------------------------------------------------- comparison */

static struct run runs[2][MOST_RANKS];

static void run_side(const struct scene *scene, int32_t which)
{
    pthread_t threads[MOST_RANKS];
    sluice_comm_threads *group = sluice_comm_threads_create(scene->ranks, NULL);
    for (int32_t r = 0; r < scene->ranks; r++) {
        struct run *run = &runs[which][r];
        memset(run, 0, sizeof *run);
        run->scene = scene;
        run->side = &sides[which];
        run->rank = r;
        run->device = sides[which].device;
        run->device.id += which == THERE ? r : 0;
        sluice_comm_threads_get(group, r, &run->comm);
        if (pthread_create(&threads[r], NULL, run_rank, run))
            exit(3);
    }
    for (int32_t r = 0; r < scene->ranks; r++)
        pthread_join(threads[r], NULL);
    sluice_comm_threads_destroy(group);
}

static bool same(const struct scene *scene)
{
    bool equal = true;
    for (int32_t r = 0; r < scene->ranks; r++) {
        const struct run *a = &runs[CPU][r], *b = &runs[THERE][r];
        for (int32_t i = 0; i < 4; i++)
            if (!good(a->status[i]) || !good(b->status[i])) {
                printf("not ok: scene %llu, rank %d, step %d: status %d here, %d there: %s %s\n",
                       (unsigned long long)scene->seed, r, i, a->status[i], b->status[i], a->text,
                       b->text);
                return false;
            }
        for (int32_t i = 0; i < 2; i++)
            if (b->moved[i] > b->told[i]) {
                printf("not ok: scene %llu, rank %d: %s moved %lld bytes, needs told %lld\n",
                       (unsigned long long)scene->seed, r, i ? "combine" : "dispatch",
                       (long long)b->moved[i], (long long)b->told[i]);
                return false;
            }
        if (a->rows != b->rows || a->used != b->used) {
            printf("not ok: scene %llu, rank %d of %d: %lld rows here, %lld there\n",
                   (unsigned long long)scene->seed, r, scene->ranks, (long long)a->rows,
                   (long long)b->rows);
            return false;
        }
        if (a->answer.step != b->answer.step || a->answer.greatest != b->answer.greatest ||
            memcmp(a->routed, b->routed, sizeof a->routed) != 0 ||
            memcmp(a->columns, b->columns, sizeof a->columns) != 0) {
            printf("not ok: scene %llu, rank %d of %d: other quotas, step %lld here, %lld there\n",
                   (unsigned long long)scene->seed, r, scene->ranks, (long long)a->answer.step,
                   (long long)b->answer.step);
            equal = false;
        }
        for (int32_t i = 0; i < a->used && a->used == b->used; i++)
            if (memcmp(a->buffers[i].host, b->buffers[i].host, a->buffers[i].bytes) != 0) {
                size_t at = 0;
                while (a->buffers[i].host[at] == b->buffers[i].host[at])
                    at++;
                printf("not ok: scene %llu, rank %d of %d, tensor %d, byte %zu of %zu\n",
                       (unsigned long long)scene->seed, r, scene->ranks, i, at,
                       a->buffers[i].bytes);
                equal = false;
            }
    }
    return equal;
}

static void release(void)
{
    for (int32_t s = 0; s < 2; s++)
        for (int32_t r = 0; r < MOST_RANKS; r++) {
            for (int32_t i = 0; i < runs[s][r].used; i++) {
                free(runs[s][r].buffers[i].host);
                sides[s].memory->free(runs[s][r].device, runs[s][r].buffers[i].t.data);
            }
            runs[s][r].used = 0;
        }
}

static int32_t load(struct side *side, const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const sluice_api *(*get)(uint32_t);
    if (!library) {
        printf("%s\n0 passed, 1 failed\n", dlerror());
        exit(1);
    }
    void *found = dlsym(library, SLUICE_ENTRY);
    memcpy(&get, &found, sizeof found);
    side->api = get(SLUICE_ABI_MAJOR);
    side->memory = side->api->extension(SLUICE_EXT_DEVICE);
    int32_t count = 0;
    char text[256] = "";
    if (side->memory->count(&count, &side->device, text, sizeof text) || count == 0) {
        printf("%s: %s\n0 passed, 1 failed\n", path, text);
        exit(1);
    }
    return count;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        (void)fprintf(stderr,
                      "usage: cuda_moves CPU.so DEVICE.so SCENES [SEED [RANKS | rounds]]\n");
        return 2;
    }
    (void)load(&sides[CPU], argv[1]);
    int32_t devices = load(&sides[THERE], argv[2]);
    bool has_engine = devices > 1 && find_engine();
    uint64_t first = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
    uint64_t count = strtoull(argv[3], NULL, 10);
    bool rounds = argc > 5 && strcmp(argv[5], "rounds") == 0;
    int32_t ranks = argc > 5 && !rounds ? (int32_t)strtol(argv[5], NULL, 10) : 0;
    int passed = 0, failed = 0, skipped = 0;
    if (ranks < 0 || ranks > MOST_RANKS)
        return 2;
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct scene scene = rounds ? rounds_scene(seed) : draw_scene(seed, ranks);
        scene.native = scene.native && has_engine;
        if (scene.ranks > devices) {
            skipped++;
            continue;
        }
        run_side(&scene, CPU);
        run_side(&scene, THERE);
        if (same(&scene))
            passed++;
        else
            failed++;
        release();
    }
    printf("%d passed, %d failed", passed, failed);
    if (skipped)
        printf(", %d skipped", skipped);
    printf("\n");
    return failed > 0;
}
