/* SPDX-License-Identifier: Apache-2.0
 * dispatch with fixed capacities: the same rows, and what exceeds a capacity is told. */
#include <math.h>
#include <string.h>

#include "conform_move.h"

#define SCENE(...)                                                                                 \
    &(const struct mv_scene)                                                                       \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void trip_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    struct mv_scene scene = *(const struct mv_scene *)what;
    static _Thread_local struct mv_tokens tokens[MV_RANKS];
    struct cf_setup setup;
    mv_setup(&scene, comm, &setup);
    sluice_context *context = cf_open(&setup);
    for (int32_t round = 0; round < 2; round++) {
        struct mv_trip trip;
        scene.seed = (uint64_t)round + 20;
        for (int32_t r = 0; r < scene.ranks; r++)
            mv_draw(&scene, r, &tokens[r]);
        mv_start(&trip, &scene, context, rank, &tokens[rank]);
        trip.row_count = setup.needs.fixed_rows;
        EXPECT_OK(context, mv_dispatch(&trip));
        mv_check_layout(&trip, tokens);
        mv_check_rows(&trip, tokens);
        mv_compute(&trip, tokens);
        EXPECT_OK(context, mv_combine(&trip));
        mv_check_out(&trip, tokens);
    }
    mv_check_wire(context, &setup.needs, 2);
    cf_api->close(context);
}

static void trip(const void *what)
{
    const struct mv_scene *scene = what;
    cf_run_ranks(scene->ranks, trip_rank, scene);
}

/* All of each rank's tokens go to slot 0 of rank 1, with their first `times` columns, so every
 * capacity's need is known. */
static void draw_hot(const struct mv_scene *scene, int32_t rank, int32_t times,
                     struct mv_tokens *tokens)
{
    mv_draw(scene, rank, tokens);
    for (int32_t t = 0; t < tokens->count; t++)
        for (int32_t k = 0; k < mv_columns(scene); k++) {
            tokens->slots[t][k] = k < times ? scene->slots + scene->shared : -1;
            tokens->weights[t][k] = k < times ? 0.5F : 0;
        }
}

struct overflow {
    struct mv_scene scene; /* 2 ranks, `tokens` each */
    int32_t times;         /* a token has the slot; 0: once */
    int32_t kind;          /* capacity that is too small: 1 pair, 2 rows, 3 slot, 4 back */
    int32_t had, needed;
    int32_t lost[2]; /* tokens of each rank that come back as NaN */
};

static void overflow_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    const struct overflow *want = what;
    const struct mv_scene *scene = &want->scene;
    static _Thread_local struct mv_tokens tokens[MV_RANKS];
    struct cf_setup setup;
    struct mv_trip trip;
    mv_setup(scene, comm, &setup);
    sluice_context *context = cf_open(&setup);
    for (int32_t r = 0; r < 2; r++)
        draw_hot(scene, r, want->times ? want->times : 1, &tokens[r]);
    mv_start(&trip, scene, context, rank, &tokens[rank]);
    trip.row_count = setup.needs.fixed_rows;
    sluice_status sent = mv_dispatch(&trip);
    CHECK(sent == SLUICE_OK || sent == SLUICE_OVERFLOW, "dispatch gave %s", cf_status_name(sent));
    cf_fill_bytes(trip.results, 0);
    sluice_status back = mv_combine(&trip);
    CHECK(back == SLUICE_OK || back == SLUICE_OVERFLOW, "combine gave %s", cf_status_name(back));
    int32_t lost = 0;
    for (int32_t t = 0; t < trip.mine->count; t++) {
        bool nan = isnan(cf_get(trip.out, t, 0));
        lost += nan;
        for (int32_t h = 0; h < mv_width(scene); h++) {
            CHECK(isnan(cf_get(trip.out, t, h)) == nan, "token %d of rank %d is NaN in part", t,
                  rank);
            CHECK(nan || cf_get(trip.out, t, h) == 0, "token %d of rank %d is wrong", t, rank);
        }
    }
    CHECK_EQ(lost, want->lost[rank], "tokens of rank %d that came back as NaN", rank);
    if (want->lost[rank])
        CHECK(sent == SLUICE_OVERFLOW || back == SLUICE_OVERFLOW,
              "rank %d lost tokens and no call told", rank);
    sluice_fault fault = {.struct_size = sizeof fault};
    EXPECT_OK(context, cf_ranks()->poll(context, &fault));
    sluice_stats stats = {.struct_size = sizeof stats};
    EXPECT_OK(context, cf_stats()->read(context, &stats));
    bool told = sent == SLUICE_OVERFLOW || back == SLUICE_OVERFLOW;
    /* On a device a rank may hear in combine of a shortage that its own dispatch did not have. */
    bool heard = cf_device().type != SLUICE_CPU && fault.rank != rank;
    CHECK(heard || (stats.overflows > 0) == told, "overflows of rank %d are not counted", rank);
    if (told) {
        CHECK_EQ(fault.kind, SLUICE_FAULT_OVERFLOW, "kind of the fault on rank %d", rank);
        CHECK_EQ(fault.capacity, want->kind, "capacity of the fault on rank %d", rank);
        CHECK_EQ(fault.had, want->had, "had of the fault on rank %d", rank);
        CHECK_EQ(fault.needed, want->needed, "needed of the fault on rank %d", rank);
        CHECK(fault.count > 0, "the fault is not counted");
    }
    EXPECT_OK(context, cf_ranks()->clear(context));
    EXPECT_OK(context, cf_ranks()->poll(context, &fault));
    CHECK_EQ(fault.kind, SLUICE_FAULT_NONE, "kind of the fault after clear");
    cf_api->close(context);
}

static void overflow(const void *what)
{
    cf_run_ranks(2, overflow_rank, what);
}

/* An exact dispatch of the lane in which a fixed one has just exceeded a capacity of rank 1's. */
static void then_exact_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    const struct mv_scene *scene = what;
    struct mv_scene exact = *scene;
    static _Thread_local struct mv_tokens tokens[MV_RANKS];
    struct cf_setup setup;
    struct mv_trip trip;
    exact.fixed = false;
    mv_setup(scene, comm, &setup);
    setup.config.uses = SLUICE_USE_FIXED | SLUICE_USE_EXACT;
    sluice_context *context = cf_open(&setup);
    for (int32_t r = 0; r < 2; r++)
        draw_hot(scene, r, 1, &tokens[r]);
    mv_start(&trip, scene, context, rank, &tokens[rank]);
    trip.row_count = setup.needs.fixed_rows;
    (void)mv_dispatch(&trip);
    cf_fill_bytes(trip.results, 0);
    bool told = mv_combine(&trip) == SLUICE_OVERFLOW; /* or the next call, of a device */
    told = mv_combine(&trip) == SLUICE_OVERFLOW || told;
    CHECK(told || !cf_memory, "no call told rank %d of the overflow", rank);
    EXPECT_OK(context, cf_ranks()->clear(context));
    mv_start(&trip, &exact, context, rank, &tokens[rank]);
    for (int32_t round = 0; round < 2; round++) {
        EXPECT_OK(context, mv_dispatch(&trip));
        mv_compute(&trip, tokens);
        EXPECT_OK(context, mv_combine(&trip));
        mv_check_out(&trip, tokens);
    }
    sluice_fault fault = {.struct_size = sizeof fault};
    EXPECT_OK(context, cf_ranks()->poll(context, &fault));
    CHECK_EQ(fault.kind, SLUICE_FAULT_NONE, "kind of the fault on rank %d", rank);
    cf_api->close(context);
}

static void then_exact(const void *what)
{
    cf_run_ranks(2, then_exact_rank, what);
}

static void default_capacity_rank(int32_t rank, int32_t size, const sluice_comm *comm,
                                  const void *what)
{
    (void)size;
    const struct mv_scene *scene = what;
    static _Thread_local struct mv_tokens tokens[MV_RANKS];
    struct cf_setup setup;
    struct mv_trip trip;
    mv_setup(scene, comm, &setup);
    sluice_context *context = cf_open(&setup);
    for (int32_t r = 0; r < scene->ranks; r++)
        draw_hot(scene, r, 1, &tokens[r]);
    mv_start(&trip, scene, context, rank, &tokens[rank]);
    trip.row_count = setup.needs.fixed_rows;
    EXPECT_OK(context, mv_dispatch(&trip));
    mv_check_layout(&trip, tokens);
    mv_compute(&trip, tokens);
    EXPECT_OK(context, mv_combine(&trip));
    mv_check_out(&trip, tokens);
    cf_api->close(context);
}

static void default_capacity(const void *what)
{
    cf_run_ranks(2, default_capacity_rank, what);
}

/* ----------------------------------------------------------------------------------- in a graph */

/* A dispatch and its combine, with an expert that gives back what it gets. */
struct loop {
    struct mv_trip trip;
    sluice_dispatch_args there;
    sluice_combine_args back;
    const sluice_tensor *payloads[1], *rows[1];
    void *stream, *graph;
};

static void start_loop(struct loop *loop, sluice_context *context)
{
    struct mv_trip *trip = &loop->trip;
    EXPECT_OK(context, mv_dispatch(trip)); /* makes the outputs */
    loop->payloads[0] = &trip->payloads[0]->t;
    loop->rows[0] = &trip->rows[0]->t;
    EXPECT_OK(NULL, cf_memory->stream(cf_device(), &loop->stream));
    loop->there = (sluice_dispatch_args){.struct_size = sizeof loop->there,
                                         .phase = SLUICE_DISPATCH_FIXED,
                                         .stream = loop->stream,
                                         .handle = &trip->handle,
                                         .payload_count = 1,
                                         .payloads = loop->payloads,
                                         .dispatch_ids = &trip->ids->t,
                                         .dispatch_weights = &trip->weights->t,
                                         .num_valid = &trip->valid->t,
                                         .rows = loop->rows,
                                         .slot_counts = &trip->slot_counts->t,
                                         .slot_starts = &trip->slot_starts->t,
                                         .row_slot = &trip->row_slot->t,
                                         .row_weight = &trip->row_weight->t};
    loop->back = (sluice_combine_args){.struct_size = sizeof loop->back,
                                       .stream = loop->stream,
                                       .handle = &trip->handle,
                                       .rows = loop->rows[0],
                                       .out = &trip->out->t};
}

/* Other ids, weights and number of valid tokens in the same tensors. */
static void change_tokens(struct loop *loop, const struct mv_tokens *mine)
{
    struct mv_trip *trip = &loop->trip;
    trip->mine = mine;
    cf_put(trip->valid, 0, 0, mine->valid);
    for (int32_t t = 0; t < mine->count; t++)
        for (int32_t k = 0; k < mv_columns(trip->scene); k++) {
            cf_put(trip->ids, t, k, (double)mine->slots[t][k]);
            cf_put(trip->weights, t, k, (double)mine->weights[t][k]);
        }
    cf_fill_bytes(trip->rows[0], 0x3C);
    cf_fill_bytes(trip->row_slot, 0x3C);
    cf_push();
}

static void check_loop(const struct loop *loop)
{
    const struct mv_trip *trip = &loop->trip;
    for (int32_t t = 0; t < trip->mine->count; t++)
        for (int32_t h = 0; h < mv_width(trip->scene); h++) {
            float want = 0, got = (float)cf_get(trip->out, t, h);
            for (int32_t k = 0; t < trip->mine->valid && k < mv_columns(trip->scene); k++)
                if (trip->mine->slots[t][k] >= 0)
                    want = fmaf(trip->mine->weights[t][k], (float)cf_get(trip->payloads[0], t, h),
                                want);
            CHECK(got == want, "token %d of rank %d, element %d: got %.9g, want %.9g", t,
                  trip->rank, h, (double)got, (double)want);
        }
}

static void graph_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    struct mv_scene scene = *(const struct mv_scene *)what;
    static _Thread_local struct mv_tokens tokens[MV_RANKS];
    struct cf_setup setup;
    struct loop loop;
    if (!cf_memory || !cf_memory->capture_begin)
        cf_skip("this backend has no graphs");
    mv_setup(&scene, comm, &setup);
    sluice_context *context = cf_open(&setup);
    for (int32_t round = 0; round < 4; round++) {
        scene.seed = (uint64_t)round + 30;
        for (int32_t r = 0; r < scene.ranks; r++) {
            mv_draw(&scene, r, &tokens[r]);
            tokens[r].valid = tokens[r].count - (round + r) % 3 * 4;
        }
        if (round == 0) {
            mv_start(&loop.trip, &scene, context, rank, &tokens[rank]);
            loop.trip.valid = cf_array(CF_I64, 1, 0);
            cf_put(loop.trip.valid, 0, 0, tokens[rank].valid);
            loop.trip.row_count = setup.needs.fixed_rows;
            start_loop(&loop, context);
            EXPECT_OK(NULL, cf_memory->capture_begin(cf_device(), loop.stream));
            EXPECT_OK(context, cf_api->dispatch(context, &loop.there));
            EXPECT_OK(context, cf_api->combine(context, &loop.back));
            EXPECT_OK(NULL, cf_memory->capture_end(cf_device(), loop.stream, &loop.graph));
        }
        if (round == 2) { /* the graph stays valid under another placement */
            int32_t map[MV_RANKS * 8], physical = scene.slots * scene.ranks;
            for (int32_t p = 0; p < physical; p++)
                map[p] = physical - 1 - p;
            cf_set_placement(context, 0, map, physical);
        }
        change_tokens(&loop, &tokens[rank]);
        EXPECT_OK(NULL, cf_memory->graph_launch(cf_device(), loop.graph, loop.stream));
        EXPECT_OK(NULL, cf_memory->wait(cf_device(), loop.stream));
        cf_pull();
        mv_check_layout(&loop.trip, tokens);
        mv_check_rows(&loop.trip, tokens);
        check_loop(&loop);
    }
    cf_memory->graph_free(cf_device(), loop.graph);
    cf_memory->stream_free(cf_device(), loop.stream);
    cf_api->close(context);
}

static void in_graph(const void *what)
{
    const struct mv_scene *scene = what;
    cf_run_ranks(scene->ranks, graph_rank, scene);
}

#define BASE .ranks = 4, .slots = 3, .shared = 1, .top_k = 4, .tokens = 21, .fixed = true
#define HOT .ranks = 2, .slots = 2, .top_k = 2, .fixed = true, .even = true, .tokens = 8
#define OVERFLOW(...)                                                                              \
    &(const struct overflow)                                                                       \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static const struct cf_case CASES[] = {
    {"fixed.trip", "fixed dispatch gives exact dispatch's rows and sums", trip, SCENE(BASE)},
    {"fixed.alone", "fixed dispatch of one rank", trip,
     SCENE(.ranks = 1, .slots = 8, .shared = 2, .top_k = 4, .tokens = 30, .fixed = true)},
    {"fixed.8_ranks", "fixed dispatch among eight ranks", trip,
     SCENE(.ranks = 8, .slots = 2, .shared = 1, .top_k = 6, .tokens = 12, .fixed = true)},
    {"fixed.align", "fixed dispatch starts slots at a multiple, payloads of all sorts", trip,
     SCENE(BASE, .align = 16, .payloads = 3, .gaps = true, .wide = true)},
    {"fixed.strided", "slots at a fixed stride", trip,
     SCENE(BASE, .strided_layout = true, .payloads = 2)},
    {"fixed.strided_capacity", "slots at the stride that was given", trip,
     SCENE(BASE, .strided_layout = true, .capacity_slot = 50)},
    {"fixed.per_rank", "fixed dispatch with per-rank sums", trip,
     SCENE(BASE, .order = SLUICE_COMBINE_PER_RANK, .zero = true)},
    {"fixed.graph", "in a graph, launched again with other tokens and under another placement",
     in_graph, SCENE(BASE, .even = true)},
    {"fixed.graph_alone", "the same on one rank", in_graph,
     SCENE(.ranks = 1, .slots = 8, .shared = 2, .top_k = 4, .tokens = 30, .fixed = true)},
    {"fixed.default", "the default capacities hold the worst case", default_capacity,
     SCENE(.ranks = 2, .slots = 2, .shared = 1, .top_k = 2, .fixed = true, .even = true,
           .tokens = MV_TOKENS)},
    {"fixed.overflow_pair", "tokens beyond capacity_pair are told and come back as NaN", overflow,
     OVERFLOW(.scene = {HOT, .capacity_pair = 5}, .kind = 1, .had = 5, .needed = 8,
              .lost = {3, 3})},
    {"fixed.overflow_slot", "rows beyond capacity_slot are told and come back as NaN", overflow,
     OVERFLOW(.scene = {HOT, .capacity_slot = 11, .strided_layout = true}, .kind = 3, .had = 11,
              .needed = 16, .lost = {0, 5})},
    {"fixed.overflow_rows", "rows beyond capacity_rows are told and come back as NaN", overflow,
     OVERFLOW(.scene = {HOT, .capacity_rows = 10}, .kind = 2, .had = 10, .needed = 16,
              .lost = {0, 6})},
    {"fixed.then_exact", "an exact dispatch knows nothing of a fixed one's overflow", then_exact,
     SCENE(HOT, .capacity_rows = 10)},
    {"fixed.overflow_back", "rows beyond capacity_back are told and come back as NaN", overflow,
     OVERFLOW(.scene = {HOT, .capacity_back = 6}, .kind = 4, .had = 6, .needed = 8,
              .lost = {2, 2})},
    {"fixed.overflow_twice", "a slot twice in each token can exceed the default of capacity_back",
     overflow,
     OVERFLOW(.scene = {.ranks = 2,
                        .slots = 1,
                        .top_k = 2,
                        .fixed = true,
                        .even = true,
                        .tokens = 8,
                        .capacity_pair = 8},
              .times = 2, .kind = 4, .had = 8, .needed = 16, .lost = {4, 4})},
};
CF_LIST(cf_fixed_cases, CASES);
