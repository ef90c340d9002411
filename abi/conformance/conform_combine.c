/* SPDX-License-Identifier: Apache-2.0
 * combine: the sum, to the bit. */
#include <string.h>

#include "conform_move.h"

#define SCENE(...)                                                                                 \
    &(const struct mv_scene)                                                                       \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void sums_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    struct mv_scene scene = *(const struct mv_scene *)what;
    static _Thread_local struct mv_tokens tokens[MV_RANKS];
    struct cf_setup setup;
    mv_setup(&scene, comm, &setup);
    sluice_context *context = cf_open(&setup);
    for (int32_t round = 0; round < 2; round++) {
        struct mv_trip trip;
        scene.seed = (uint64_t)round + 10;
        for (int32_t r = 0; r < scene.ranks; r++)
            mv_draw(&scene, r, &tokens[r]);
        mv_start(&trip, &scene, context, rank, &tokens[rank]);
        trip.layer = round;
        trip.row_count = setup.needs.fixed_rows;
        EXPECT_OK(context, mv_dispatch(&trip));
        mv_compute(&trip, tokens);
        cf_fill_bytes(trip.out, 0x3C);
        EXPECT_OK(context, mv_combine(&trip));
        mv_check_out(&trip, tokens);
    }
    mv_check_wire(context, &setup.needs, 2);
    cf_api->close(context);
}

static void sums(const void *what)
{
    const struct mv_scene *scene = what;
    cf_run_ranks(scene->ranks, sums_rank, scene);
}

/* Weights and rows whose sum depends on its order, spread over as many ranks as there are. */
struct spread {
    int32_t ranks;
    float out[6];
};

static void order_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    struct spread *spread = (struct spread *)(uintptr_t)what;
    struct cf_setup setup;
    cf_setup(&setup, 1, 8, 8, 0);
    cf_setup_comm(&setup, comm);
    setup.layer[0].slots_per_rank = 8 / size + (8 % size != 0);
    setup.config.transport = &setup.transport;
    setup.config.uses = SLUICE_USE_EXACT;
    sluice_context *context = cf_open(&setup);
    int32_t slots = setup.layer[0].slots_per_rank, count = rank == size - 1 ? 6 : 0;
    struct cf_array *ids = cf_array(CF_I32, count, 8), *weights = cf_array(CF_F32, count, 8);
    struct cf_array *x = cf_array(CF_F32, count, 1), *out = cf_array(CF_F32, count, 1);
    struct cf_random random = {.state = 4};
    for (int32_t t = 0; t < count; t++)
        for (int32_t k = 0; k < 8; k++) {
            cf_put(ids, t, k, (t + 3 * k) % 8); /* eight experts, in another order each token */
            cf_put(weights, t, k, cf_uniform(&random) * (k % 3 ? 1 : 3e7));
        }
    struct cf_array *starts = cf_array(CF_I32, slots + 1, 0);
    sluice_handle handle;
    int64_t rows = 0;
    const sluice_tensor *payload[1] = {&x->t};
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .phase = SLUICE_DISPATCH_COUNT,
                                 .handle = &handle,
                                 .dispatch_ids = &ids->t,
                                 .slot_starts = &starts->t,
                                 .row_count = &rows};
    EXPECT_OK(context, cf_call_dispatch(context, &args));
    struct cf_array *got = cf_array(CF_F32, rows, 1);
    const sluice_tensor *arrived[1] = {&got->t};
    args.phase = SLUICE_DISPATCH_SEND;
    args.payload_count = 1;
    args.payloads = payload;
    args.rows = arrived;
    args.dispatch_weights = &weights->t;
    EXPECT_OK(context, cf_call_dispatch(context, &args));
    for (int32_t s = 0; s < slots; s++)
        for (int64_t i = cf_id(starts, s, 0); i < cf_id(starts, s + 1, 0); i++)
            cf_put(got, i, 0, (rank * slots + s) % 2 ? -1.37 : 1.11);
    const sluice_combine_args back = {
        .struct_size = sizeof back, .handle = &handle, .rows = &got->t, .out = &out->t};
    EXPECT_OK(context, cf_call_combine(context, &back));
    for (int32_t t = 0; t < count; t++)
        spread->out[t] = (float)cf_get(out, t, 0);
    cf_api->close(context);
}

static void same_everywhere(const void *what)
{
    (void)what;
    struct spread first = {.ranks = 1};
    cf_run_ranks(1, order_rank, &first);
    for (int32_t ranks = 2; ranks <= 8; ranks++) {
        struct spread other = {.ranks = ranks};
        cf_run_ranks(ranks, order_rank, &other);
        for (int32_t t = 0; t < 6; t++)
            CHECK(cf_same_bits(other.out[t], first.out[t]),
                  "token %d: %.9g on %d ranks, %.9g on one", t, (double)other.out[t], ranks,
                  (double)first.out[t]);
    }
}

static void lanes_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    struct mv_scene scenes[2] = {*(const struct mv_scene *)what, *(const struct mv_scene *)what};
    static _Thread_local struct mv_tokens tokens[2][MV_RANKS];
    struct cf_setup setup;
    struct mv_trip trips[2];
    mv_setup(&scenes[0], comm, &setup);
    sluice_context *context = cf_open(&setup);
    for (int32_t i = 0; i < 2; i++) {
        scenes[i].seed = (uint64_t)i + 3;
        for (int32_t r = 0; r < scenes[i].ranks; r++)
            mv_draw(&scenes[i], r, &tokens[i][r]);
        mv_start(&trips[i], &scenes[i], context, rank, &tokens[i][rank]);
        trips[i].lane = i;
        trips[i].row_count = setup.needs.fixed_rows;
        EXPECT_OK(context, mv_dispatch(&trips[i]));
        mv_compute(&trips[i], tokens[i]);
    }
    for (int32_t i = 0; i < 2; i++) {
        EXPECT_OK(context, mv_combine(&trips[i]));
        mv_check_out(&trips[i], tokens[i]);
    }
    cf_api->close(context);
}

static void lanes(const void *what)
{
    const struct mv_scene *scene = what;
    cf_run_ranks(scene->ranks, lanes_rank, scene);
}

/* Two models in one process: each trip's halves lie around the other's. */
static void models_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    static const struct mv_scene SCENES[2] = {
        {.ranks = 3, .slots = 3, .shared = 1, .top_k = 4, .tokens = 12, .seed = 1},
        {.ranks = 3, .slots = 5, .shared = 2, .top_k = 2, .tokens = 9, .seed = 2, .width = 8}};
    (void)what;
    static _Thread_local struct mv_tokens tokens[2][MV_RANKS];
    sluice_context *contexts[2];
    struct mv_trip trips[2];
    struct cf_setup setup;
    for (int32_t i = 0; i < 2; i++) {
        mv_setup(&SCENES[i], comm, &setup);
        contexts[i] = cf_open(&setup);
        for (int32_t r = 0; r < 3; r++)
            mv_draw(&SCENES[i], r, &tokens[i][r]);
        mv_start(&trips[i], &SCENES[i], contexts[i], rank, &tokens[i][rank]);
    }
    for (int32_t i = 0; i < 2; i++)
        EXPECT_OK(contexts[i], mv_dispatch(&trips[i]));
    for (int32_t i = 1; i >= 0; i--) {
        mv_compute(&trips[i], tokens[i]);
        EXPECT_OK(contexts[i], mv_combine(&trips[i]));
        mv_check_out(&trips[i], tokens[i]);
        cf_api->close(contexts[i]);
    }
}

static void two_models(const void *what)
{
    (void)what;
    cf_run_ranks(3, models_rank, NULL);
}

static void alone(const struct mv_scene *scene, struct cf_setup *setup, struct mv_trip *trip,
                  struct mv_tokens *tokens)
{
    mv_setup(scene, NULL, setup);
    sluice_context *context = cf_open(setup);
    mv_draw(scene, 0, tokens);
    mv_start(trip, scene, context, 0, tokens);
}

static const struct mv_scene ALONE = {.ranks = 1, .slots = 6, .shared = 1, .top_k = 3, .tokens = 8};

static void stale(const void *what)
{
    (void)what;
    static struct mv_tokens tokens[1];
    struct cf_setup setup;
    struct mv_trip trip;
    alone(&ALONE, &setup, &trip, tokens);
    EXPECT_OK(trip.context, mv_dispatch(&trip));
    sluice_handle old = trip.handle;
    EXPECT_OK(trip.context, mv_dispatch(&trip));
    sluice_handle present = trip.handle;
    mv_compute(&trip, tokens);
    trip.handle = old;
    EXPECT(trip.context, mv_combine(&trip), SLUICE_STALE, "handle");
    trip.handle = present;
    EXPECT_OK(trip.context, mv_combine(&trip));
    mv_check_out(&trip, tokens);
    trip.handle = (sluice_handle){{1, 2, 3, 4}};
    sluice_status status = mv_combine(&trip);
    CHECK(status == SLUICE_STALE || status == SLUICE_INVALID, "a handle of nobody gave %s",
          cf_status_name(status));
    EXPECT_OK(trip.context, mv_count(&trip));
    old = trip.handle;
    EXPECT_OK(trip.context, mv_count(&trip));
    trip.handle = old;
    EXPECT(trip.context, mv_send(&trip), SLUICE_STALE, "handle");
    cf_api->close(trip.context);
}

static void bad_calls(const void *what)
{
    (void)what;
    static struct mv_tokens tokens[1];
    struct cf_setup setup;
    struct mv_trip trip;
    alone(&ALONE, &setup, &trip, tokens);
    EXPECT_OK(trip.context, mv_dispatch(&trip));
    mv_compute(&trip, tokens);
    const sluice_combine_args good = {.struct_size = sizeof good,
                                      .handle = &trip.handle,
                                      .rows = &trip.results->t,
                                      .out = &trip.out->t};
    sluice_combine_args args = good;
    args.handle = NULL;
    EXPECT(trip.context, cf_call_combine(trip.context, &args), SLUICE_INVALID, "handle");
    args = good;
    args.rows = NULL;
    EXPECT(trip.context, cf_call_combine(trip.context, &args), SLUICE_INVALID, "rows");
    args = good;
    args.out = NULL;
    EXPECT(trip.context, cf_call_combine(trip.context, &args), SLUICE_INVALID, "out");
    args = good;
    args.zero_weight = &trip.zero->t;
    EXPECT(trip.context, cf_call_combine(trip.context, &args), SLUICE_INVALID, "x");
    struct cf_array *wrong = cf_array(CF_F32, trip.mine->count + 1, mv_width(&ALONE));
    args = good;
    args.out = &wrong->t;
    EXPECT(trip.context, cf_call_combine(trip.context, &args), SLUICE_INVALID, "out");
    wrong = cf_array(CF_F16, trip.mine->count, mv_width(&ALONE));
    args.out = &wrong->t;
    EXPECT(trip.context, cf_call_combine(trip.context, &args), SLUICE_INVALID, "out");
    wrong = cf_array(CF_I32, trip.row_count, mv_width(&ALONE));
    args = good;
    args.rows = &wrong->t;
    EXPECT(trip.context, cf_call_combine(trip.context, &args), SLUICE_INVALID, "rows");
    CHECK_EQ(cf_api->combine(trip.context, NULL), SLUICE_INVALID, "combine of nothing");
    EXPECT_OK(trip.context, cf_call_combine(trip.context, &good));
    mv_check_out(&trip, tokens);
    cf_api->close(trip.context);
}

#define BASE .ranks = 4, .slots = 3, .shared = 1, .top_k = 4, .tokens = 21
#define PER_RANK .order = SLUICE_COMBINE_PER_RANK

static const struct cf_case CASES[] = {
    {"combine.exact", "the sum is over columns ascending, one fused multiply-add each", sums,
     SCENE(BASE)},
    {"combine.alone", "one rank's sum", sums,
     SCENE(.ranks = 1, .slots = 9, .shared = 2, .top_k = 6, .tokens = 40)},
    {"combine.8_ranks", "the sum on eight ranks", sums,
     SCENE(.ranks = 8, .slots = 4, .shared = 1, .top_k = 8, .tokens = 11)},
    {"combine.same", "exact sums have the same bits on 1 to 8 ranks", same_everywhere, NULL},
    {"combine.f16", "float16 sums are kept in float32 and rounded once", sums,
     SCENE(BASE, .type = CF_F16)},
    {"combine.bf16", "bfloat16 sums are kept in float32 and rounded once", sums,
     SCENE(BASE, .type = CF_BF16, .width = 9)},
    {"combine.gaps", "rows with a stride", sums,
     SCENE(BASE, .gaps = true, .wide = true, .align = 4)},
    {"combine.scale", "scale multiplies the sum by the routed factor", sums,
     SCENE(BASE, .scaled = true)},
    {"combine.zero", "zero_weight adds zero_weight * x", sums, SCENE(BASE, .zero = true)},
    {"combine.zero_scale", "scale comes after zero_weight * x", sums,
     SCENE(BASE, .zero = true, .scaled = true, .type = CF_BF16)},
    {"combine.on_input", "with weight_on INPUT every row counts once", sums,
     SCENE(BASE, .multiply = true, .on_input = true)},
    {"combine.num_valid", "tokens that were not sent come back as 0", sums,
     SCENE(BASE, .half = true)},
    {"combine.per_rank", "a rank's own rows are added first, ranks ascending", sums,
     SCENE(BASE, PER_RANK)},
    {"combine.per_rank_all", "per-rank sums with zero_weight, scale and gaps", sums,
     SCENE(BASE, PER_RANK, .zero = true, .scaled = true, .gaps = true)},
    {"combine.per_rank_input", "per-rank sums with weight_on INPUT", sums,
     SCENE(BASE, PER_RANK, .multiply = true, .on_input = true)},
    {"combine.lanes", "two lanes are in flight at once", lanes, SCENE(BASE)},
    {"combine.two_models", "two models' trips overlap without meeting", two_models, NULL},
    {"combine.stale", "a handle of an earlier dispatch is STALE", stale, NULL},
    {"combine.bad_calls", "impossible combines are refused by name and change nothing", bad_calls,
     NULL},
};
CF_LIST(cf_combine_cases, CASES);
