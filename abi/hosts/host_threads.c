/* SPDX-License-Identifier: Apache-2.0
 * Eight ranks as threads of one test: the communicator of src/comm/comm_threads, two micro-batches
 * in flight, a collective remap, and a watchdog that ends the waits of all ranks when one stays
 * away. The same tokens served by one rank alone must give the same bits. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../src/comm/comm_threads.h"
#include "../ext/load.h"
#include "../ext/ranks.h"
#include "../ext/route.h"
#include "host_kit.h"

enum { RANKS = 8, EXPERTS = 32, TOP_K = 4, SHARED = 1, SLOTS = 5, HIDDEN = 16 };
enum { COLUMNS = TOP_K + SHARED, TOKENS = 64, LANES = 2, STEPS = 4 };

static const sluice_api *api;
static const sluice_route_api *route;
static const sluice_ranks_api *ranks_api;
static const sluice_load_api *load;
static sluice_comm_threads *group;
static pthread_barrier_t together;
static _Atomic(sluice_context *) contexts[RANKS];
static atomic_int arrived; /* ranks that have done all collectives before the watchdog acts */

/* One micro-batch on its way. */
struct lane {
    float x[TOKENS][HIDDEN], out[TOKENS][HIDDEN];
    int32_t ids[TOKENS][TOP_K], slots[TOKENS][COLUMNS];
    float weights[TOKENS][TOP_K], slot_weights[TOKENS][COLUMNS];
    int32_t *starts; /* [L + 1] */
    float *rows;
    int64_t row_count;
    sluice_handle handle;
};

/* An engine's rank: of eight, or the only one of the reference. */
struct engine {
    sluice_comm comm;
    sluice_context *context;
    int32_t rank;  /* whose tokens it serves */
    int32_t slots; /* N */
    struct lane lanes[LANES];
};

static bool ok(struct engine *me, sluice_status status, const char *what)
{
    return kit_status(api, me->context, status, SLUICE_OK, what);
}

static void open_engine(struct engine *me)
{
    sluice_router router = {.struct_size = sizeof router,
                            .experts = EXPERTS,
                            .top_k = TOP_K,
                            .renorm = 1,
                            .shared = SHARED};
    sluice_layer layer = {
        .struct_size = sizeof layer, .router = &router, .slots_per_rank = me->slots};
    const sluice_layer *layers[] = {&layer};
    sluice_transport transport = {.struct_size = sizeof transport,
                                  .max_tokens = TOKENS,
                                  .payload_row_bytes = HIDDEN * sizeof(float),
                                  .lanes = LANES};
    bool alone = me->comm.size == 1;
    sluice_config config = {.struct_size = sizeof config,
                            .label = alone ? "alone" : "threads",
                            .comm = &me->comm,
                            .layers = layers,
                            .transport = &transport,
                            .layer_count = 1,
                            .uses = SLUICE_USE_EXACT | SLUICE_USE_BALANCE_NOW,
                            .copy_policy = SLUICE_COPY_STATIC,
                            .shared_policy =
                                alone ? SLUICE_SHARED_AT_HOME : SLUICE_SHARED_WATERFILL_DYNAMIC,
                            .seed = 3,
                            .timeout_ns = 20000000000};
    char text[512] = "";
    if (api->open(&config, &me->context, text, sizeof text))
        kit_check(false, text, me->rank);
}

/* ------------------------------------------------------------------------------------ a step */

static bool choose(struct engine *me, struct lane *lane, uint64_t seed)
{
    float logits[TOKENS][EXPERTS];
    struct kit_tensor t[5];
    for (int32_t i = 0; i < TOKENS * EXPERTS; i++)
        logits[i / EXPERTS][i % EXPERTS] = 2 * kit_noise(seed, (uint64_t)i);
    for (int32_t i = 0; i < TOKENS * HIDDEN; i++)
        lane->x[i / HIDDEN][i % HIDDEN] = kit_noise(seed + 1, (uint64_t)i);
    sluice_route_args args = {.struct_size = sizeof args,
                              .logits = kit_f32(&t[0], logits, TOKENS, EXPERTS),
                              .ids = kit_i32(&t[1], lane->ids, TOKENS, TOP_K),
                              .weights = kit_f32(&t[2], lane->weights, TOKENS, TOP_K),
                              .dispatch_ids = kit_i32(&t[3], lane->slots, TOKENS, COLUMNS),
                              .dispatch_weights =
                                  kit_f32(&t[4], lane->slot_weights, TOKENS, COLUMNS)};
    return ok(me, route->route(me->context, &args), "route");
}

static sluice_status dispatch(struct engine *me, struct lane *lane, int32_t number, int32_t phase)
{
    struct kit_tensor t[5];
    const sluice_tensor *x = kit_f32(&t[0], lane->x, TOKENS, HIDDEN);
    const sluice_tensor *rows = kit_f32(&t[1], lane->rows, lane->row_count, HIDDEN);
    sluice_dispatch_args args = {
        .struct_size = sizeof args,
        .phase = phase,
        .handle = &lane->handle,
        .lane = number,
        .payload_count = 1,
        .payloads = &x,
        .dispatch_ids = kit_i32(&t[2], lane->slots, TOKENS, COLUMNS),
        .dispatch_weights = kit_f32(&t[3], lane->slot_weights, TOKENS, COLUMNS),
        .slot_starts = kit_i32(&t[4], lane->starts, me->slots + SHARED + 1, 0)};
    if (phase == SLUICE_DISPATCH_COUNT)
        args.row_count = &lane->row_count;
    else
        args.rows = &rows;
    return api->dispatch(me->context, &args);
}

/* Which expert is in slot s? The trivial placement: physical p holds expert p mod E. */
static int32_t expert_of(const struct engine *me, int32_t slot)
{
    return slot < me->slots ? (me->comm.rank * me->slots + slot) % EXPERTS
                            : -2 - (slot - me->slots);
}

static void experts(const struct engine *me, struct lane *lane)
{
    for (int32_t slot = 0; slot < me->slots + SHARED; slot++)
        for (int32_t row = lane->starts[slot]; row < lane->starts[slot + 1]; row++)
            for (int32_t h = 0; h < HIDDEN; h++)
                lane->rows[row * HIDDEN + h] *= kit_weight(0, expert_of(me, slot), 1, h);
}

static bool combine(struct engine *me, struct lane *lane)
{
    struct kit_tensor t[2];
    sluice_combine_args args = {.struct_size = sizeof args,
                                .handle = &lane->handle,
                                .rows = kit_f32(&t[0], lane->rows, lane->row_count, HIDDEN),
                                .out = kit_f32(&t[1], lane->out, TOKENS, HIDDEN)};
    return ok(me, api->combine(me->context, &args), "combine");
}

/* Two micro-batches: the second is sent before the first comes back. */
static bool step(struct engine *me, uint64_t number)
{
    bool held = true;
    for (int32_t i = 0; held && i < LANES; i++) {
        struct lane *lane = &me->lanes[i];
        uint64_t seed = (number * LANES + (uint64_t)i) * RANKS + (uint64_t)me->rank;
        held = choose(me, lane, seed * 2) &&
               ok(me, dispatch(me, lane, i, SLUICE_DISPATCH_COUNT), "count");
        if (held) {
            lane->rows = kit_zeros((size_t)lane->row_count * HIDDEN, sizeof *lane->rows);
            held = ok(me, dispatch(me, lane, i, SLUICE_DISPATCH_SEND), "send");
        }
    }
    for (int32_t i = 0; i < LANES; i++) {
        struct lane *lane = &me->lanes[i];
        if (held)
            experts(me, lane);
        held = held && combine(me, lane);
        free(lane->rows);
        lane->rows = NULL;
    }
    return held;
}

/* ------------------------------------------------------------------------------------- ranks */

static struct engine *make_engine(int32_t rank, int32_t slots)
{
    struct engine *me = kit_zeros(1, sizeof *me);
    me->rank = rank;
    me->slots = slots;
    me->comm = (sluice_comm){.struct_size = sizeof me->comm, .size = 1};
    for (int32_t i = 0; i < LANES; i++)
        me->lanes[i].starts = kit_zeros((size_t)(slots + SHARED + 1), sizeof(int32_t));
    return me;
}

static void free_engine(struct engine *me)
{
    api->close(me->context);
    for (int32_t i = 0; i < LANES; i++)
        free(me->lanes[i].starts);
    free(me);
}

/* The same tokens, served by one rank that has every expert. */
static void compare(struct engine *me, struct engine *alone, uint64_t number)
{
    if (!step(me, number) || !step(alone, number))
        return;
    for (int32_t i = 0; i < LANES; i++)
        kit_check(memcmp(me->lanes[i].out, alone->lanes[i].out, sizeof me->lanes[i].out) == 0,
                  "eight ranks give the bits of one", me->rank);
}

/* Rank 7 stays away from a dispatch; the watchdog ends the wait of the others, and all go on with a
 * new generation. */
static void stay_away(struct engine *me)
{
    choose(me, &me->lanes[0], 1);
    atomic_fetch_add(&arrived, 1);
    if (me->rank != RANKS - 1)
        kit_status(api, me->context, dispatch(me, &me->lanes[0], 0, SLUICE_DISPATCH_COUNT),
                   SLUICE_CANCELLED, "a dispatch that the watchdog ended");
    pthread_barrier_wait(&together);
    uint8_t alive[RANKS];
    memset(alive, 1, sizeof alive);
    sluice_ranks verdict = {.struct_size = sizeof verdict, .generation = 1, .alive = alive};
    ok(me, ranks_api->set(me->context, &verdict, NULL), "set ranks");
    pthread_barrier_wait(&together);
}

static void check_counts(struct engine *me)
{
    int64_t counts[SLOTS * RANKS], sum = 0;
    ok(me, load->snapshot(me->context, counts, SLOTS * RANKS, NULL), "snapshot");
    for (int32_t p = 0; p < SLOTS * RANKS; p++)
        sum += counts[p];
    /* Two micro-batches a step, and the one of stay_away; never a shared column. */
    kit_check(sum == ((STEPS + 1) * LANES + 1) * TOKENS * TOP_K, "routed choices are counted once",
              me->rank);
}

static void *run(void *argument)
{
    int32_t rank = *(int32_t *)argument;
    struct engine *me = make_engine(rank, SLOTS), *alone = make_engine(rank, EXPERTS);
    sluice_comm_threads_get(group, rank, &me->comm);
    open_engine(me);
    open_engine(alone);
    atomic_store(&contexts[rank], me->context);
    pthread_barrier_wait(&together);
    if (me->context && alone->context) {
        for (uint64_t number = 0; number < STEPS; number++)
            compare(me, alone, number);
        stay_away(me);
        compare(me, alone, STEPS);
        check_counts(me);
    }
    pthread_barrier_wait(&together);
    free_engine(me);
    free_engine(alone);
    return NULL;
}

/* A wait that begins after quiesce ends as well, so it does not matter who is how far. The last
 * rank does not wait and may have set ranks already: it is left alone. */
static void watch(void)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    for (int32_t turn = 0; turn < 10000 && atomic_load(&arrived) < RANKS; turn++)
        nanosleep(&pause, NULL);
    for (int32_t r = 0; r < RANKS - 1; r++)
        kit_status(api, atomic_load(&contexts[r]), ranks_api->quiesce(atomic_load(&contexts[r]), 0),
                   SLUICE_OK, "quiesce");
}

int main(int argc, char **argv)
{
    api = kit_plugin(argc, argv);
    route = kit_extension(api, SLUICE_EXT_ROUTE);
    ranks_api = kit_extension(api, SLUICE_EXT_RANKS);
    load = kit_extension(api, SLUICE_EXT_LOAD);
    group = sluice_comm_threads_create(RANKS, NULL);
    pthread_barrier_init(&together, NULL, RANKS);
    pthread_t threads[RANKS];
    int32_t numbers[RANKS];
    for (int32_t r = 0; r < RANKS; r++) {
        numbers[r] = r;
        if (pthread_create(&threads[r], NULL, run, &numbers[r])) {
            fprintf(stderr, "no thread for rank %d\n", r);
            return 2;
        }
    }
    watch();
    for (int32_t r = 0; r < RANKS; r++)
        pthread_join(threads[r], NULL);
    sluice_comm_threads_destroy(group);
    pthread_barrier_destroy(&together);
    return kit_verdict("host_threads");
}
