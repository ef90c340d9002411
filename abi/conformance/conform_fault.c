/* SPDX-License-Identifier: Apache-2.0
 * Ranks that differ. */
#include "conform_balance.h"
#include "conform_station.h"

static void mismatch_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    bool by_lane = *(const bool *)what;
    struct station *station = st_arrive(rank, comm, &ST_SMALL, 2000000000);
    if (by_lane)
        station->trip.lane = rank == 1;
    else
        station->trip.layer = rank == 1;
    sluice_status status = mv_dispatch(&station->trip);
    EXPECT(station->context, status, SLUICE_MISMATCH, "rank");
    sluice_fault fault = {.struct_size = sizeof fault};
    EXPECT_OK(station->context, cf_ranks()->poll(station->context, &fault));
    CHECK_EQ(fault.kind, SLUICE_FAULT_MISMATCH, "kind of the fault");
    cf_meet();
    station->trip.layer = station->trip.lane = 0;
    status = mv_dispatch(&station->trip);
    CHECK(status != SLUICE_OK, "a context dispatched after a mismatch, before ranks were set");
    cf_meet();
    st_set_all(station, comm, 1);
    cf_meet();
    st_whole_trip(station);
    cf_api->close(station->context);
}

static void mismatch(const void *what)
{
    cf_run_ranks(ST_SMALL.ranks, mismatch_rank, what);
}

static void config_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    int32_t member = *(const int32_t *)what;
    struct cf_setup setup;
    mv_setup(&ST_SMALL, comm, &setup);
    setup.config.timeout_ns = 3000000000;
    if (rank == 2) {
        setup.config.seed += member == 0;
        setup.transport.max_tokens += member == 1;
        setup.router[1].top_k += member == 2;
        setup.transport.combine_order = member == 3;
        setup.config.copy_policy = member == 4;
    }
    sluice_context *context = NULL;
    char text[512] = "";
    sluice_status status = cf_api->open(&setup.config, &context, text, sizeof text);
    cf_served(&setup.config, status, text);
    EXPECT_TEXT(text, status, SLUICE_MISMATCH, "rank");
    CHECK(!context, "a failed open left a context");
}

static void config_mismatch(const void *what)
{
    (void)what;
    for (int32_t member = 0; member < 5; member++)
        cf_run_ranks(ST_SMALL.ranks, config_rank, &member);
}

/* Rank 2's payload has other bytes a token. */
static void payload_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    static const struct mv_scene WIDE = {
        .ranks = 3, .slots = 3, .shared = 1, .top_k = 2, .tokens = 9, .width = 6};
    struct station *station = st_arrive(rank, comm, &WIDE, 2000000000);
    struct cf_array *own = station->trip.payloads[0];
    if (rank == 2)
        station->trip.payloads[0] = cf_array(CF_F32, own->rows, own->columns - 1);
    EXPECT_OK(station->context, mv_count(&station->trip));
    EXPECT(station->context, st_send_told(station), SLUICE_MISMATCH, "rank");
    station->trip.payloads[0] = own;
    cf_meet();
    st_set_all(station, comm, 1);
    cf_meet();
    st_whole_trip(station);
    cf_api->close(station->context);
}

static void other_payload(const void *what)
{
    cf_run_ranks(3, payload_rank, what);
}

/* Rank 1 remaps another layer, of more experts. */
static void other_remap_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct cf_setup setup;
    cf_setup(&setup, 2, 6, 2, 1);
    cf_setup_comm(&setup, comm);
    setup.router[1].experts = 12;
    setup.config.copy_policy = SLUICE_COPY_BALANCED;
    setup.config.uses = SLUICE_USE_BALANCE_NOW;
    setup.config.timeout_ns = 5000000000;
    sluice_context *context = cf_open(&setup);
    const sluice_balance_config now = {
        .struct_size = sizeof now, .objective = SLUICE_BALANCE_TOKENS, .mode = SLUICE_BALANCE_NOW};
    EXPECT_OK(context, cb_api()->configure(context, -1, &now));
    struct cf_array *ids = cf_array(CF_I32, 70, 2), *slots = cf_array(CF_I32, 70, 3);
    const sluice_remap_args args = {
        .struct_size = sizeof args, .layer = rank == 1, .ids = &ids->t, .dispatch_ids = &slots->t};
    double begin = st_seconds();
    sluice_status status = cf_call_remap(context, &args);
    if (status == SLUICE_OK && cf_memory) /* told by the next call */
        status = cf_call_remap(context, &args);
    EXPECT(context, status, SLUICE_MISMATCH, "rank");
    CHECK(st_seconds() - begin < 4, "the deadline had to end it");
    cf_meet();
    cf_api->close(context);
}

static void other_remap(const void *what)
{
    cf_run_ranks(3, other_remap_rank, what);
}

/* Rank 1 combines where the others dispatch anew. On a device their messages have other lengths, and
 * may not arrive at all. */
static void other_call_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = st_arrive(rank, comm, &ST_SMALL, 2000000000);
    EXPECT_OK(station->context, mv_dispatch(&station->trip));
    mv_compute(&station->trip, station->tokens);
    sluice_status status = rank == 1 ? st_combine_told(station) : mv_dispatch(&station->trip);
    bool silent = cf_memory && status == SLUICE_PEER_LOST;
    EXPECT(station->context, status, silent ? SLUICE_PEER_LOST : SLUICE_MISMATCH, "rank");
    cf_meet();
    cf_api->close(station->context);
}

static void other_call(const void *what)
{
    cf_run_ranks(ST_SMALL.ranks, other_call_rank, what);
}

static void epoch_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = st_arrive(rank, comm, &ST_SMALL, 2000000000);
    int32_t map[9];
    for (int32_t p = 0; p < 9; p++)
        map[p] = p;
    if (rank == 2)
        cf_set_placement(station->context, 0, map, 9);
    EXPECT(station->context, mv_dispatch(&station->trip), SLUICE_MISMATCH, "epoch");
    cf_meet();
    cf_api->close(station->context);
}

/* All set a placement, so that epochs are equal, but one rank's is another. */
static void map_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = st_arrive(rank, comm, &ST_SMALL, 2000000000);
    int32_t map[9];
    for (int32_t p = 0; p < 9; p++)
        map[p] = rank == 2 && p < 2 ? 1 - p : p;
    cf_set_placement(station->context, 0, map, 9);
    EXPECT(station->context, mv_dispatch(&station->trip), SLUICE_MISMATCH, "placement");
    cf_meet();
    cf_api->close(station->context);
}

static void other_map(const void *what)
{
    cf_run_ranks(ST_SMALL.ranks, map_rank, what);
}

static void other_epoch(const void *what)
{
    cf_run_ranks(ST_SMALL.ranks, epoch_rank, what);
}

static void small_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = st_arrive(rank, comm, &ST_SMALL, 3000000000);
    EXPECT_OK(station->context, mv_count(&station->trip));
    int64_t told = station->trip.row_count;
    CHECK(told > 1, "the suite's scene sends nothing to rank %d", rank);
    station->trip.row_count = rank == 1 ? told - 1 : told;
    if (rank == 1 || !cf_memory) /* on a device the others wait in their streams */
        EXPECT(station->context, mv_send(&station->trip), SLUICE_INVALID, "1");
    station->trip.row_count = told;
    EXPECT_OK(station->context, mv_send(&station->trip));
    mv_compute(&station->trip, station->tokens);
    EXPECT_OK(station->context, mv_combine(&station->trip));
    mv_check_out(&station->trip, station->tokens);
    st_whole_trip(station);
    cf_api->close(station->context);
}

static void small_output(const void *what)
{
    cf_run_ranks(ST_SMALL.ranks, small_rank, what);
}

static void needs_comm(const void *what)
{
    (void)what;
    struct cf_setup setup;
    mv_setup(&ST_SMALL, NULL, &setup);
    cf_setup_rank(&setup, 0, 3);
    sluice_context *context = NULL;
    char text[512] = "";
    EXPECT_TEXT(text, cf_api->open(&setup.config, &context, text, sizeof text), SLUICE_INVALID,
                "comm");
}

static const struct cf_case CASES[] = {
    {"fault.mismatch_layer",
     "ranks that dispatch different layers all get MISMATCH, and go on after set", mismatch,
     &(const bool){false}},
    {"fault.mismatch_lane", "ranks that dispatch on different lanes all get MISMATCH", mismatch,
     &(const bool){true}},
    {"fault.mismatch_config", "ranks whose configs differ do not open", config_mismatch, NULL},
    {"fault.mismatch_payload", "ranks whose payloads have other lengths get MISMATCH",
     other_payload, NULL},
    {"fault.mismatch_call", "a rank that combines where others dispatch is a MISMATCH for all",
     other_call, NULL},
    {"fault.mismatch_remap", "ranks that remap layers of different shapes all get MISMATCH",
     other_remap, NULL},
    {"fault.mismatch_map", "ranks under other maps of one epoch do not dispatch", other_map, NULL},
    {"fault.mismatch_epoch", "ranks under different placements do not dispatch", other_epoch, NULL},
    {"fault.small_output", "outputs too small on one rank are INVALID, and SEND may be repeated",
     small_output, NULL},
    {"fault.needs_comm", "dispatch among ranks needs callbacks", needs_comm, NULL},
};
CF_LIST(cf_fault_cases, CASES);
