/* SPDX-License-Identifier: Apache-2.0
 * A training loop whose rollout engine serves: after each optimiser step new weights arrive by
 * logical id while the placement is whatever it has become. Two ranks, as threads.
 *
 * Never assume that row i is expert i: ask sluice.placement/1 for every layer and rank. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/comm/comm_threads.h"
#include "../ext/migrate.h"
#include "../ext/placement.h"
#include "../ext/route.h"
#include "host_kit.h"

enum { RANKS = 2, LAYERS = 2, EXPERTS = 12, TOP_K = 3, SHARED = 1, SLOTS = 8, HIDDEN = 24 };
enum { LOCAL = SLOTS + SHARED, PHYSICAL = SLOTS * RANKS, TOKENS = 20, STEPS = 6 };

static const sluice_api *api;
static const sluice_placement_api *placement;
static const sluice_route_api *route;
static const sluice_migrate_api *migrate; /* NULL: not served */
static sluice_comm_threads *group;
static pthread_barrier_t together;

struct rank {
    int32_t rank;
    sluice_context *context;
    /* The parameters of each layer's experts: one row a local slot. */
    float weights[LAYERS][LOCAL][HIDDEN];
    float bias[LAYERS][EXPERTS]; /* the router's */
    float before[LAYERS][TOKENS][HIDDEN];
};

static bool ok(struct rank *me, sluice_status status, const char *what)
{
    return kit_status(api, me->context, status, SLUICE_OK, what);
}

/* ---------------------------------------------------------------------------------- weights */

/* Reads one local row from the checkpoint. */
static void load_row(struct rank *me, int32_t layer, int32_t row, int32_t holds, int32_t version)
{
    for (int32_t h = 0; h < HIDDEN; h++)
        me->weights[layer][row][h] =
            holds == SLUICE_ROW_EMPTY ? 0 : kit_weight(layer, holds, version, h);
}

/* All weights of a layer, row by row: what does this row hold? */
static void load_by_rows(struct rank *me, int32_t layer, int32_t version)
{
    int32_t holds[LOCAL];
    if (!ok(me, placement->rows(me->context, layer, me->rank, holds, LOCAL), "rows"))
        return;
    for (int32_t row = 0; row < LOCAL; row++)
        load_row(me, layer, row, holds[row], version);
}

/* The same, expert by expert, as a checkpoint streams by: where does this expert lie? */
static void load_by_experts(struct rank *me, int32_t layer, int32_t version)
{
    for (int32_t expert = SLUICE_ROW_SHARED(SHARED - 1); expert < EXPERTS; expert++) {
        int32_t rows[LOCAL], count = 0;
        if (expert == SLUICE_ROW_EMPTY)
            continue;
        if (!ok(me, placement->find(me->context, layer, me->rank, expert, rows, LOCAL, &count),
                "find"))
            return;
        for (int32_t i = 0; i < count; i++)
            load_row(me, layer, rows[i], expert, version);
    }
}

/* New weights under a placement that may be moving: bracketed, so that nothing stale commits. */
static void reload(struct rank *me, int32_t version)
{
    for (int32_t layer = 0; layer < LAYERS; layer++) {
        if (migrate)
            ok(me, migrate->reload_begin(me->context, layer, NULL), "reload_begin");
        if (version % 2)
            load_by_rows(me, layer, version);
        else
            load_by_experts(me, layer, version);
        if (migrate)
            ok(me, migrate->reload_end(me->context, layer, version, NULL), "reload_end");
    }
}

/* What a rebalance may write: the routed rows of the expert tensor; not the bias, not the shared
 * row. */
static void look_at_views(struct rank *me, int32_t layer)
{
    struct kit_tensor weights, bias;
    sluice_param w = {.struct_size = sizeof w,
                      .name = "experts.w",
                      .tensor = kit_f32(&weights, me->weights[layer], LOCAL, HIDDEN),
                      .role = SLUICE_ROLE_EXPERT};
    sluice_param b = {.struct_size = sizeof b,
                      .name = "gate.bias",
                      .tensor = kit_f32(&bias, me->bias[layer], EXPERTS, 0),
                      .role = SLUICE_ROLE_BIAS};
    sluice_param *params[] = {&w, &b};
    sluice_weights_args args = {.struct_size = sizeof args,
                                .layer = layer,
                                .action = SLUICE_WEIGHTS_VIEW,
                                .params = params,
                                .param_count = 2};
    if (!ok(me, api->get_moe_weights(me->context, &args), "get_moe_weights"))
        return;
    kit_check(w.visible && !b.visible, "experts are visible, the bias is not", me->rank);
    kit_check(w.view.data == me->weights[layer] && w.view.shape[0] == SLOTS &&
                  w.view.shape[1] == HIDDEN,
              "the view is the same memory without the shared row", me->rank);
    args.action = SLUICE_WEIGHTS_REGISTER;
    sluice_status want = migrate ? SLUICE_OK : SLUICE_UNSUPPORTED;
    kit_status(api, me->context, api->get_moe_weights(me->context, &args), want, "register");
}

/* --------------------------------------------------------------------------------- placement */

/* Some valid map with copies, another one for each number: every rank computes the same. */
static void make_map(int32_t *map, int32_t number)
{
    static const int32_t steps[] = {1, 5, 7, 11};
    for (int32_t p = 0; p < PHYSICAL; p++)
        map[p] = (p * steps[number % 4] + number) % EXPERTS;
}

/* Between two steps: nothing is in flight. Old and new rows must not both be expected, so weights
 * follow at once. */
static void move_experts(struct rank *me, int32_t number)
{
    int32_t map[PHYSICAL];
    char text[256] = "";
    make_map(map, number);
    if (placement->validate(0, EXPERTS, RANKS, map, PHYSICAL, text, sizeof text))
        kit_check(false, text, me->rank);
    for (int32_t layer = 0; layer < LAYERS; layer++)
        ok(me, placement->set(me->context, layer, map, PHYSICAL, 0, NULL), "set");
}

/* ------------------------------------------------------------------------------------ serving */

struct batch {
    float logits[TOKENS][EXPERTS], x[TOKENS][HIDDEN], out[TOKENS][HIDDEN];
    int32_t ids[TOKENS][TOP_K], slots[TOKENS][TOP_K + SHARED];
    float weights[TOKENS][TOP_K], slot_weights[TOKENS][TOP_K + SHARED];
};

static void fill_batch(struct batch *batch, int32_t rank, int32_t layer)
{
    uint64_t seed = (uint64_t)(1000 + rank * 10 + layer);
    for (int32_t t = 0; t < TOKENS; t++) {
        for (int32_t e = 0; e < EXPERTS; e++)
            batch->logits[t][e] = 3 * kit_noise(seed, (uint64_t)(t * EXPERTS + e));
        for (int32_t h = 0; h < HIDDEN; h++)
            batch->x[t][h] = kit_noise(seed + 5, (uint64_t)(t * HIDDEN + h));
    }
}

static bool choose(struct rank *me, struct batch *batch, int32_t layer)
{
    struct kit_tensor logits, bias, ids, weights, slots, slot_weights;
    sluice_route_args args = {
        .struct_size = sizeof args,
        .layer = layer,
        .logits = kit_f32(&logits, batch->logits, TOKENS, EXPERTS),
        .bias = kit_f32(&bias, me->bias[layer], EXPERTS, 0),
        .ids = kit_i32(&ids, batch->ids, TOKENS, TOP_K),
        .weights = kit_f32(&weights, batch->weights, TOKENS, TOP_K),
        .dispatch_ids = kit_i32(&slots, batch->slots, TOKENS, TOP_K + SHARED),
        .dispatch_weights = kit_f32(&slot_weights, batch->slot_weights, TOKENS, TOP_K + SHARED)};
    return ok(me, route->route(me->context, &args), "route");
}

/* The grouped GEMM of the toy model: rows lie slot after slot. */
static void experts(struct rank *me, int32_t layer, float *rows, const int32_t *starts)
{
    for (int32_t slot = 0; slot < LOCAL; slot++)
        for (int32_t row = starts[slot]; row < starts[slot + 1]; row++)
            for (int32_t h = 0; h < HIDDEN; h++)
                rows[row * HIDDEN + h] *= me->weights[layer][slot][h];
}

/* Exact mode: count, make room, send, compute, combine. */
static bool exchange(struct rank *me, struct batch *batch, int32_t layer)
{
    struct kit_tensor x, slots, weights, starts, rows, out;
    int32_t first[LOCAL + 1];
    int64_t row_count = 0;
    sluice_handle handle;
    const sluice_tensor *payload = kit_f32(&x, batch->x, TOKENS, HIDDEN), *received = NULL;
    sluice_dispatch_args args = {
        .struct_size = sizeof args,
        .layer = layer,
        .phase = SLUICE_DISPATCH_COUNT,
        .handle = &handle,
        .payload_count = 1,
        .payloads = &payload,
        .dispatch_ids = kit_i32(&slots, batch->slots, TOKENS, TOP_K + SHARED),
        .dispatch_weights = kit_f32(&weights, batch->slot_weights, TOKENS, TOP_K + SHARED),
        .slot_starts = kit_i32(&starts, first, LOCAL + 1, 0),
        .row_count = &row_count};
    if (!ok(me, api->dispatch(me->context, &args), "dispatch, count"))
        return false;
    float *data = kit_zeros((size_t)row_count * HIDDEN, sizeof *data);
    received = kit_f32(&rows, data, row_count, HIDDEN);
    args.phase = SLUICE_DISPATCH_SEND;
    args.rows = &received;
    bool held = ok(me, api->dispatch(me->context, &args), "dispatch, send");
    if (held) {
        experts(me, layer, data, first);
        sluice_combine_args back = {.struct_size = sizeof back,
                                    .layer = layer,
                                    .handle = &handle,
                                    .rows = received,
                                    .out = kit_f32(&out, batch->out, TOKENS, HIDDEN)};
        held = ok(me, api->combine(me->context, &back), "combine");
    }
    free(data);
    return held;
}

/* Serves one batch a layer and compares it with the model computed densely from the checkpoint. */
static void serve(struct rank *me, int32_t version, bool same_as_before)
{
    for (int32_t layer = 0; layer < LAYERS; layer++) {
        struct batch batch;
        fill_batch(&batch, me->rank, layer);
        if (!choose(me, &batch, layer) || !exchange(me, &batch, layer))
            return;
        bool equal = true;
        for (int32_t t = 0; t < TOKENS; t++) {
            float want[HIDDEN];
            kit_dense(want, batch.x[t], HIDDEN, batch.ids[t], batch.weights[t], TOP_K, SHARED,
                      layer, version);
            equal = equal && memcmp(want, batch.out[t], sizeof want) == 0;
        }
        kit_check(equal, "outputs are those of the checkpoint, bit for bit", me->rank);
        if (same_as_before)
            kit_check(memcmp(me->before[layer], batch.out, sizeof batch.out) == 0,
                      "a new placement leaves outputs unchanged", me->rank);
        memcpy(me->before[layer], batch.out, sizeof batch.out);
    }
}

/* ----------------------------------------------------------------------------------- training */

static sluice_context *open_rank(int32_t rank)
{
    sluice_router router = {.struct_size = sizeof router,
                            .experts = EXPERTS,
                            .top_k = TOP_K,
                            .score = SLUICE_SCORE_SIGMOID,
                            .bias_use = SLUICE_BIAS_SCORE,
                            .renorm = 1,
                            .shared = SHARED};
    sluice_layer layer = {.struct_size = sizeof layer, .router = &router, .slots_per_rank = SLOTS};
    const sluice_layer *layers[LAYERS] = {&layer, &layer};
    sluice_transport transport = {.struct_size = sizeof transport,
                                  .max_tokens = TOKENS,
                                  .payload_row_bytes = HIDDEN * sizeof(float)};
    static sluice_comm comm[RANKS]; /* must outlive the contexts */
    sluice_comm_threads_get(group, rank, &comm[rank]);
    sluice_config config = {.struct_size = sizeof config,
                            .label = "policy",
                            .comm = &comm[rank],
                            .layers = layers,
                            .transport = &transport,
                            .layer_count = LAYERS,
                            .uses = SLUICE_USE_EXACT | (migrate ? SLUICE_USE_MIGRATE : 0),
                            .copy_policy = SLUICE_COPY_RANDOM,
                            .seed = 7,
                            .timeout_ns = 10000000000};
    sluice_context *context = NULL;
    char text[512] = "";
    if (api->open(&config, &context, text, sizeof text))
        kit_check(false, text, rank);
    return context;
}

static void *train(void *argument)
{
    struct rank *me = argument;
    me->context = open_rank(me->rank);
    if (!me->context)
        return NULL;
    int32_t version = 1;
    reload(me, version);
    for (int32_t layer = 0; layer < LAYERS; layer++)
        look_at_views(me, layer);
    serve(me, version, false);
    for (int32_t step = 1; step <= STEPS; step++) {
        /* The optimiser steps in every second turn; in the others experts move. */
        bool moved = step % 2;
        if (moved)
            move_experts(me, step);
        else
            version++;
        reload(me, version);
        pthread_barrier_wait(&together);
        serve(me, version, moved);
    }
    api->close(me->context);
    return NULL;
}

int main(int argc, char **argv)
{
    api = kit_plugin(argc, argv);
    placement = kit_extension(api, SLUICE_EXT_PLACEMENT);
    route = kit_extension(api, SLUICE_EXT_ROUTE);
    migrate = api->extension(SLUICE_EXT_MIGRATE);
    group = sluice_comm_threads_create(RANKS, NULL);
    struct rank *ranks = kit_zeros(RANKS, sizeof *ranks);
    pthread_t threads[RANKS];
    pthread_barrier_init(&together, NULL, RANKS);
    for (int32_t r = 0; r < RANKS; r++) {
        ranks[r].rank = r;
        for (int32_t i = 0; i < LAYERS * EXPERTS; i++)
            ranks[r].bias[i / EXPERTS][i % EXPERTS] = kit_noise(99, (uint64_t)i) / 4;
        if (pthread_create(&threads[r], NULL, train, &ranks[r])) {
            fprintf(stderr, "no thread for rank %d\n", r);
            return 2;
        }
    }
    for (int32_t r = 0; r < RANKS; r++)
        pthread_join(threads[r], NULL);
    sluice_comm_threads_destroy(group);
    pthread_barrier_destroy(&together);
    free(ranks);
    printf("migration: %s\n", migrate ? "served" : "not served by this plugin, weights stay put");
    return kit_verdict("host_trainer");
}
