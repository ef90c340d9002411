/* SPDX-License-Identifier: Apache-2.0
 * dispatch: what arrives where, and how often. */
#include <string.h>

#include "conform_move.h"

#define SCENE(...)                                                                                 \
    &(const struct mv_scene)                                                                       \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void draw_all(const struct mv_scene *scene, struct mv_tokens *tokens)
{
    for (int32_t r = 0; r < scene->ranks; r++)
        mv_draw(scene, r, &tokens[r]);
}

static void rows_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    struct mv_scene scene = *(const struct mv_scene *)what;
    static _Thread_local struct mv_tokens tokens[MV_RANKS];
    struct cf_setup setup;
    mv_setup(&scene, comm, &setup);
    sluice_context *context = cf_open(&setup);
    for (int32_t round = 0; round < 3; round++) {
        struct mv_trip trip;
        scene.seed = (uint64_t)round;
        draw_all(&scene, tokens);
        mv_start(&trip, &scene, context, rank, &tokens[rank]);
        trip.row_count = setup.needs.fixed_rows;
        EXPECT_OK(context, mv_dispatch(&trip));
        mv_check_layout(&trip, tokens);
        mv_check_rows(&trip, tokens);
        cf_fill_bytes(trip.results, 0);
        EXPECT_OK(context, mv_combine(&trip));
    }
    cf_api->close(context);
}

static void rows(const void *what)
{
    const struct mv_scene *scene = what;
    cf_run_ranks(scene->ranks, rows_rank, scene);
}

/* Bytes of the tokens that must cross: each once to each other rank that it visits. */
static uint64_t useful_bytes(const struct mv_scene *scene, int32_t rank,
                             const struct mv_tokens *mine, uint64_t row_bytes)
{
    uint64_t crossings = 0;
    int32_t local = scene->slots + scene->shared;
    for (int32_t t = 0; t < mine->valid; t++)
        for (int32_t r = 0; r < scene->ranks; r++) {
            bool visits = false;
            for (int32_t k = 0; k < mv_columns(scene); k++)
                visits = visits || (mine->slots[t][k] >= 0 && mine->slots[t][k] / local == r);
            crossings += visits && r != rank;
        }
    return crossings * row_bytes;
}

/* A communicator that counts what this rank sends to others. */
struct wire {
    sluice_comm comm;
    uint64_t bytes;
};

static sluice_status wire_gather(void *user, int32_t channel, const void *send, void *recv,
                                 size_t bytes, int64_t timeout_ns, int32_t *peer)
{
    struct wire *wire = user;
    wire->bytes += bytes * (uint64_t)(wire->comm.size - 1);
    return wire->comm.all_gather(wire->comm.user, channel, send, recv, bytes, timeout_ns, peer);
}

static sluice_status wire_trade(void *user, int32_t channel, const void *const *send,
                                const size_t *send_bytes, void *const *recv,
                                const size_t *recv_bytes, int64_t timeout_ns, int32_t *peer)
{
    struct wire *wire = user;
    for (int32_t r = 0; r < wire->comm.size; r++)
        wire->bytes += r == wire->comm.rank ? 0 : send_bytes[r];
    return wire->comm.all_to_all(wire->comm.user, channel, send, send_bytes, recv, recv_bytes,
                                 timeout_ns, peer);
}

static sluice_status wire_send(void *user, int32_t channel, int32_t to, const void *data,
                               size_t bytes, uint64_t *request)
{
    struct wire *wire = user;
    wire->bytes += bytes;
    return wire->comm.isend(wire->comm.user, channel, to, data, bytes, request);
}

static sluice_status wire_receive(void *user, int32_t channel, int32_t from, void *data,
                                  size_t bytes, uint64_t *request)
{
    struct wire *wire = user;
    return wire->comm.irecv(wire->comm.user, channel, from, data, bytes, request);
}

static sluice_status wire_poll(void *user, uint64_t request, int32_t *done)
{
    struct wire *wire = user;
    return wire->comm.poll(wire->comm.user, request, done);
}

static void wire_cancel(void *user, int32_t channel)
{
    struct wire *wire = user;
    wire->comm.cancel(wire->comm.user, channel);
}

static void wire_resume(void *user, int32_t channel)
{
    struct wire *wire = user;
    wire->comm.resume(wire->comm.user, channel);
}

static sluice_comm watched(struct wire *wire, const sluice_comm *comm)
{
    wire->comm = *comm;
    sluice_comm watched = *comm;
    watched.user = wire;
    watched.all_gather = wire_gather;
    watched.all_to_all = wire_trade;
    watched.isend = wire_send;
    watched.irecv = wire_receive;
    watched.poll = wire_poll;
    watched.cancel = wire_cancel;
    watched.resume = wire_resume;
    return watched;
}

static void once_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    const struct mv_scene *scene = what;
    static _Thread_local struct mv_tokens tokens[MV_RANKS];
    struct cf_setup setup;
    struct mv_trip trip;
    struct wire wire = {.bytes = 0};
    const sluice_comm own = watched(&wire, comm);
    mv_setup(scene, &own, &setup);
    sluice_context *context = cf_open(&setup);
    draw_all(scene, tokens);
    mv_start(&trip, scene, context, rank, &tokens[rank]);
    trip.row_count = setup.needs.fixed_rows;
    wire.bytes = 0;
    EXPECT_OK(context, mv_dispatch(&trip));
    sluice_stats stats = {.struct_size = sizeof stats};
    EXPECT_OK(context, cf_stats()->read(context, &stats));
    uint64_t row = (uint64_t)mv_width(scene) * 4;
    uint64_t want = useful_bytes(scene, rank, &tokens[rank], row);
    CHECK_EQ((int64_t)stats.dispatch_useful, (int64_t)want, "useful bytes of rank %d", rank);
    CHECK_EQ((int64_t)stats.calls[SLUICE_OP_DISPATCH], 1, "dispatches of rank %d", rank);
    CHECK(stats.dispatch_moved >= stats.dispatch_useful, "fewer bytes moved than were useful");
    /* What comes beside a token: its number, its columns with their weights and places, and what
     * rounds it up; beside all: headers and counts. A device's rows may cross by another way than
     * the communicator's callbacks: there its own count has to do. */
    uint64_t beside = want / row * (32 + 16 * (uint64_t)mv_columns(scene));
    uint64_t slots = (uint64_t)scene->slots + (uint64_t)scene->shared;
    uint64_t most = want + beside + (uint64_t)scene->ranks * (512 + 16 * slots);
    CHECK(wire.bytes <= most, "rank %d sent %llu bytes for %llu useful ones", rank,
          (unsigned long long)wire.bytes, (unsigned long long)want);
    CHECK(stats.dispatch_moved <= most, "rank %d says it moved %llu bytes for %llu useful ones",
          rank, (unsigned long long)stats.dispatch_moved, (unsigned long long)want);
    mv_compute(&trip, tokens);
    EXPECT_OK(context, mv_combine(&trip));
    EXPECT_OK(context, cf_stats()->read(context, &stats));
    CHECK(scene->ranks == 1 || want == 0 || stats.combine_useful > 0, "nothing came back");
    cf_api->close(context);
}

static void once(const void *what)
{
    const struct mv_scene *scene = what;
    cf_run_ranks(scene->ranks, once_rank, scene);
}

static void rejected_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    const struct mv_scene *scene = what;
    static _Thread_local struct mv_tokens tokens[MV_RANKS];
    struct cf_setup setup;
    struct mv_trip trip;
    mv_setup(scene, comm, &setup);
    sluice_context *context = cf_open(&setup);
    draw_all(scene, tokens);
    mv_start(&trip, scene, context, rank, &tokens[rank]);
    trip.row_count = setup.needs.fixed_rows;
    EXPECT_OK(context, mv_dispatch(&trip));
    mv_check_layout(&trip, tokens);
    mv_check_rows(&trip, tokens);
    mv_compute(&trip, tokens);
    EXPECT_OK(context, mv_combine(&trip));
    mv_check_out(&trip, tokens);
    CHECK_EQ((int64_t)cf_rejected(context, SLUICE_OP_DISPATCH), tokens[rank].count,
             "ids that dispatch rejected");
    cf_api->close(context);
}

static void rejected(const void *what)
{
    const struct mv_scene *scene = what;
    cf_run_ranks(scene->ranks, rejected_rank, scene);
}

/* Alone, so that a refused call leaves nobody waiting. */
static void bad_calls(const void *what)
{
    (void)what;
    static const struct mv_scene SCENE_ALONE = {
        .ranks = 1, .slots = 6, .shared = 1, .top_k = 2, .tokens = 4};
    static struct mv_tokens tokens[1];
    struct cf_setup setup;
    struct mv_trip trip;
    mv_setup(&SCENE_ALONE, NULL, &setup);
    sluice_context *context = cf_open(&setup);
    draw_all(&SCENE_ALONE, tokens);
    mv_start(&trip, &SCENE_ALONE, context, 0, &tokens[0]);
    int64_t rows_told = 0;
    const sluice_dispatch_args good = {.struct_size = sizeof good,
                                       .phase = SLUICE_DISPATCH_COUNT,
                                       .handle = &trip.handle,
                                       .dispatch_ids = &trip.ids->t,
                                       .row_count = &rows_told};
    sluice_dispatch_args args = good;
    args.phase = 0;
    EXPECT(context, cf_call_dispatch(context, &args), SLUICE_INVALID, "phase");
    args.phase = 4;
    EXPECT(context, cf_call_dispatch(context, &args), SLUICE_INVALID, "phase");
    args = good;
    args.lane = 2;
    EXPECT(context, cf_call_dispatch(context, &args), SLUICE_INVALID, "lane");
    args.lane = -1;
    EXPECT(context, cf_call_dispatch(context, &args), SLUICE_INVALID, "lane");
    args = good;
    args.handle = NULL;
    EXPECT(context, cf_call_dispatch(context, &args), SLUICE_INVALID, "handle");
    args = good;
    args.dispatch_ids = NULL;
    EXPECT(context, cf_call_dispatch(context, &args), SLUICE_INVALID, "dispatch_ids");
    args = good;
    args.layer = 2;
    EXPECT(context, cf_call_dispatch(context, &args), SLUICE_INVALID, "layer");
    struct cf_array *many = cf_array(CF_I32, MV_TOKENS + 1, 3);
    args = good;
    args.dispatch_ids = &many->t;
    EXPECT(context, cf_call_dispatch(context, &args), SLUICE_INVALID, "dispatch_ids");
    args = good;
    args.phase = SLUICE_DISPATCH_FIXED;
    sluice_status status = cf_call_dispatch(context, &args);
    CHECK(status == SLUICE_INVALID || status == SLUICE_UNSUPPORTED,
          "a fixed dispatch without USE_FIXED gave %s", cf_status_name(status));
    EXPECT_OK(context, cf_call_dispatch(context, &good));
    cf_api->close(context);
}

static void wide_payload(const void *what)
{
    (void)what;
    static const struct mv_scene SCENE_WIDE = {
        .ranks = 1, .slots = 6, .top_k = 2, .tokens = 4, .width = 129}; /* 516 bytes of 512 */
    static struct mv_tokens tokens[1];
    struct cf_setup setup;
    struct mv_trip trip;
    mv_setup(&SCENE_WIDE, NULL, &setup);
    sluice_context *context = cf_open(&setup);
    draw_all(&SCENE_WIDE, tokens);
    mv_start(&trip, &SCENE_WIDE, context, 0, &tokens[0]);
    EXPECT(context, mv_dispatch(&trip), SLUICE_INVALID, "payload");
    cf_api->close(context);
}

#define BASE .ranks = 4, .slots = 3, .shared = 1, .top_k = 4, .tokens = 21

static const struct cf_case CASES[] = {
    {"dispatch.rows", "every row arrives once, by slot, then source rank, then token", rows,
     SCENE(BASE)},
    {"dispatch.alone", "one rank dispatches to itself", rows,
     SCENE(.ranks = 1, .slots = 8, .shared = 2, .top_k = 4, .tokens = 30)},
    {"dispatch.8_ranks", "eight ranks dispatch, one without tokens", rows,
     SCENE(.ranks = 8, .slots = 2, .shared = 1, .top_k = 6, .tokens = 12)},
    {"dispatch.no_tokens", "no rank has a token", rows,
     SCENE(.ranks = 3, .slots = 2, .top_k = 2, .tokens = 0, .even = true)},
    {"dispatch.one_token", "one rank has the only token", rows,
     SCENE(.ranks = 2, .slots = 2, .top_k = 2, .tokens = 1)},
    {"dispatch.payloads", "several payloads of other dtypes go the same way", rows,
     SCENE(BASE, .payloads = 3)},
    {"dispatch.align", "slots start at a multiple of row_align, padding rows are zero", rows,
     SCENE(BASE, .align = 8, .payloads = 2)},
    {"dispatch.gaps", "rows with a stride and int64 ids are read and written as such", rows,
     SCENE(BASE, .gaps = true, .wide = true, .payloads = 3, .align = 4)},
    {"dispatch.bf16", "bfloat16 payloads", rows, SCENE(BASE, .type = CF_BF16, .width = 7)},
    {"dispatch.num_valid", "rows from num_valid on are not sent", rows, SCENE(BASE, .half = true)},
    {"dispatch.optional", "optional outputs may be left out", rows, SCENE(BASE, .optional = true)},
    {"dispatch.multiply", "multiply gives the expert weight * x", rows,
     SCENE(BASE, .multiply = true, .on_input = true)},
    {"dispatch.multiply_f16", "multiply in float16 rounds once", rows,
     SCENE(BASE, .multiply = true, .on_input = true, .type = CF_F16)},
    {"dispatch.once", "a token crosses once to each rank that it visits", once,
     SCENE(BASE, .width = 120)},
    {"dispatch.once_8", "a token crosses once to each of eight ranks", once,
     SCENE(.ranks = 8, .slots = 4, .shared = 1, .top_k = 8, .tokens = 25, .width = 120)},
    {"dispatch.rejected", "ids that are no slots send nothing and are counted", rejected,
     SCENE(BASE, .outside = true)},
    {"dispatch.bad_calls", "impossible dispatches are refused by name", bad_calls, NULL},
    {"dispatch.wide_payload", "a payload wider than was told at open is refused", wide_payload,
     NULL},
};
CF_LIST(cf_dispatch_cases, CASES);
