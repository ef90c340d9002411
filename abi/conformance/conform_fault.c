/* SPDX-License-Identifier: Apache-2.0
 * Ranks that differ, do not come, or are told to stop. */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "conform_move.h"

static const struct mv_scene SMALL = {.ranks = 3, .slots = 3, .shared = 1, .top_k = 2, .tokens = 9};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct station {
    struct cf_setup setup;
    struct mv_trip trip;
    struct mv_tokens tokens[MV_RANKS];
    sluice_context *context;
};

static struct station *arrive(int32_t rank, const sluice_comm *comm, const struct mv_scene *scene,
                              int64_t timeout_ns)
{
    static _Thread_local struct station station;
    mv_setup(scene, comm, &station.setup);
    station.setup.config.timeout_ns = timeout_ns;
    station.setup.config.host = &station.setup.host;
    station.setup.host.threads = 2; /* one may watch what runs on a device */
    station.context = cf_open(&station.setup);
    for (int32_t r = 0; r < scene->ranks; r++)
        mv_draw(scene, r, &station.tokens[r]);
    mv_start(&station.trip, scene, station.context, rank, &station.tokens[rank]);
    station.trip.row_count = station.setup.needs.fixed_rows;
    return &station;
}

static void whole_trip(struct station *station)
{
    EXPECT_OK(station->context, mv_dispatch(&station->trip));
    mv_compute(&station->trip, station->tokens);
    EXPECT_OK(station->context, mv_combine(&station->trip));
    mv_check_out(&station->trip, station->tokens);
}

/* A device's call returns before it has run: what became of it is told by the next. */
static sluice_status combine_told(struct station *station)
{
    sluice_status status = mv_combine(&station->trip);
    return status == SLUICE_OK && cf_memory ? mv_combine(&station->trip) : status;
}

/* The verdict that everybody lives, after a fault. */
static void set_all(struct station *station, const sluice_comm *comm, int64_t generation)
{
    static const uint8_t ALIVE[MV_RANKS] = {1, 1, 1, 1, 1, 1, 1, 1};
    const sluice_ranks ranks = {sizeof ranks, .generation = generation, .alive = ALIVE,
                                .comm = comm};
    EXPECT_OK(station->context, cf_ranks()->set(station->context, &ranks, NULL));
}

static void mismatch_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    bool by_lane = *(const bool *)what;
    struct station *station = arrive(rank, comm, &SMALL, 2000000000);
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
    set_all(station, comm, 1);
    cf_meet();
    whole_trip(station);
    cf_api->close(station->context);
}

static void mismatch(const void *what)
{
    cf_run_ranks(SMALL.ranks, mismatch_rank, what);
}

static void config_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)size;
    int32_t member = *(const int32_t *)what;
    struct cf_setup setup;
    mv_setup(&SMALL, comm, &setup);
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
        cf_run_ranks(SMALL.ranks, config_rank, &member);
}

static void lost_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = arrive(rank, comm, &SMALL, 1000000000);
    if (rank == 1) {
        cf_meet(); /* it comes to nothing else */
        cf_api->close(station->context);
        return;
    }
    double begin = seconds();
    EXPECT(station->context, mv_dispatch(&station->trip), SLUICE_PEER_LOST, "1");
    double took = seconds() - begin;
    CHECK(took > 0.9 && took < 10, "a peer that does not come was noticed after %.2f s of 1", took);
    begin = seconds();
    sluice_status status = mv_dispatch(&station->trip);
    CHECK(status != SLUICE_OK, "a context dispatched after a lost peer, before ranks were set");
    CHECK(seconds() - begin < 0.9, "a broken context waits again");
    sluice_fault fault = {.struct_size = sizeof fault};
    EXPECT_OK(station->context, cf_ranks()->poll(station->context, &fault));
    CHECK_EQ(fault.kind, SLUICE_FAULT_PEER, "kind of the fault");
    CHECK_EQ(fault.op, SLUICE_OP_DISPATCH, "operation of the fault");
    CHECK_EQ(fault.rank, 1, "rank of the fault");
    cf_meet();
    cf_api->close(station->context);
}

static void lost_peer(const void *what)
{
    cf_run_ranks(SMALL.ranks, lost_rank, what);
}

/* One rank stops after dispatch: the others wait for it in combine. */
static void lost_combine_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = arrive(rank, comm, &SMALL, 1000000000);
    EXPECT_OK(station->context, mv_dispatch(&station->trip));
    mv_compute(&station->trip, station->tokens);
    if (rank != 2) {
        EXPECT(station->context, combine_told(station), SLUICE_PEER_LOST, "2");
        sluice_fault fault = {.struct_size = sizeof fault};
        EXPECT_OK(station->context, cf_ranks()->poll(station->context, &fault));
        CHECK_EQ(fault.op, SLUICE_OP_COMBINE, "operation of the fault");
        CHECK_EQ(fault.rank, 2, "rank of the fault");
    }
    cf_meet();
    set_all(station, comm, 1);
    cf_meet();
    whole_trip(station);
    cf_api->close(station->context);
}

static void lost_in_combine(const void *what)
{
    cf_run_ranks(SMALL.ranks, lost_combine_rank, what);
}

/* What SEND comes to: on a device it waits for nobody, and the next call tells. */
static sluice_status send_told(struct station *station)
{
    sluice_status status = mv_send(&station->trip);
    if (status != SLUICE_OK || !cf_memory)
        return status;
    mv_compute(&station->trip, station->tokens);
    return combine_told(station);
}

/* One rank has counted and does not send. */
static void lost_send_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = arrive(rank, comm, &SMALL, 1000000000);
    EXPECT_OK(station->context, mv_count(&station->trip));
    if (rank != 1) {
        EXPECT(station->context, send_told(station), SLUICE_PEER_LOST, "1");
        sluice_fault fault = {.struct_size = sizeof fault};
        EXPECT_OK(station->context, cf_ranks()->poll(station->context, &fault));
        CHECK_EQ(fault.op, SLUICE_OP_DISPATCH, "operation of the fault");
        CHECK_EQ(fault.rank, 1, "rank of the fault");
    }
    cf_meet();
    set_all(station, comm, 1);
    cf_meet();
    whole_trip(station);
    cf_api->close(station->context);
}

static void lost_in_send(const void *what)
{
    cf_run_ranks(SMALL.ranks, lost_send_rank, what);
}

/* Rank 2's payload has other bytes a token. */
static void payload_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    static const struct mv_scene WIDE = {
        .ranks = 3, .slots = 3, .shared = 1, .top_k = 2, .tokens = 9, .width = 6};
    struct station *station = arrive(rank, comm, &WIDE, 2000000000);
    struct cf_array *own = station->trip.payloads[0];
    if (rank == 2)
        station->trip.payloads[0] = cf_array(CF_F32, own->rows, own->columns - 1);
    EXPECT_OK(station->context, mv_count(&station->trip));
    EXPECT(station->context, send_told(station), SLUICE_MISMATCH, "rank");
    station->trip.payloads[0] = own;
    cf_meet();
    set_all(station, comm, 1);
    cf_meet();
    whole_trip(station);
    cf_api->close(station->context);
}

static void other_payload(const void *what)
{
    cf_run_ranks(3, payload_rank, what);
}

static void lost_remap_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct cf_setup setup;
    cf_setup(&setup, 1, 6, 2, 1);
    cf_setup_comm(&setup, comm);
    setup.config.shared_policy = SLUICE_SHARED_WATERFILL_DYNAMIC;
    setup.config.uses = SLUICE_USE_BALANCE_NOW;
    setup.config.timeout_ns = 1000000000;
    setup.config.host = &setup.host;
    setup.host.threads = 2; /* one may watch what runs on a device */
    sluice_context *context = cf_open(&setup);
    struct cf_array *ids = cf_array(CF_I32, 70, 2), *slots = cf_array(CF_I32, 70, 3);
    const sluice_remap_args args = {
        .struct_size = sizeof args, .ids = &ids->t, .dispatch_ids = &slots->t};
    if (rank != 0) {
        sluice_status status = cf_call_remap(context, &args);
        if (status == SLUICE_OK && cf_memory) /* told by the next call */
            status = cf_call_remap(context, &args);
        EXPECT(context, status, SLUICE_PEER_LOST, "rank 0");
    }
    cf_meet();
    cf_api->close(context);
}

static void lost_in_remap(const void *what)
{
    cf_run_ranks(2, lost_remap_rank, what);
}

/* Rank 1 combines where the others dispatch anew. On a device their messages have other lengths, and
 * may not arrive at all. */
static void other_call_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = arrive(rank, comm, &SMALL, 2000000000);
    EXPECT_OK(station->context, mv_dispatch(&station->trip));
    mv_compute(&station->trip, station->tokens);
    sluice_status status = rank == 1 ? combine_told(station) : mv_dispatch(&station->trip);
    bool silent = cf_memory && status == SLUICE_PEER_LOST;
    EXPECT(station->context, status, silent ? SLUICE_PEER_LOST : SLUICE_MISMATCH, "rank");
    cf_meet();
    cf_api->close(station->context);
}

static void other_call(const void *what)
{
    cf_run_ranks(SMALL.ranks, other_call_rank, what);
}

static void epoch_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = arrive(rank, comm, &SMALL, 2000000000);
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
    struct station *station = arrive(rank, comm, &SMALL, 2000000000);
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
    cf_run_ranks(SMALL.ranks, map_rank, what);
}

static void other_epoch(const void *what)
{
    cf_run_ranks(SMALL.ranks, epoch_rank, what);
}

static void local_calls_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = arrive(rank, comm, &SMALL, 1000000000);
    if (rank == 0) {
        EXPECT(station->context, mv_dispatch(&station->trip), SLUICE_PEER_LOST, NULL);
        struct cf_array *ids = cf_array(CF_I32, 3, 2), *recorder = cf_array(CF_I32, 3, 2);
        const sluice_remap_args args = {
            .struct_size = sizeof args, .ids = &ids->t, .recorder_ids = &recorder->t};
        EXPECT_OK(station->context, cf_call_remap(station->context, &args));
        /* The survivors go on with other ranks' help: here alone. */
        static const uint8_t ALIVE[3] = {1, 0, 0};
        const sluice_comm self = {.struct_size = sizeof self, .size = 1};
        const sluice_ranks ranks = {sizeof ranks, .generation = 1, .alive = ALIVE, .comm = &self};
        EXPECT_OK(station->context, cf_ranks()->set(station->context, &ranks, NULL));
        EXPECT_OK(station->context, mv_dispatch(&station->trip));
        cf_fill_bytes(station->trip.results, 0);
        EXPECT_OK(station->context, mv_combine(&station->trip));
        CHECK(cf_rejected(station->context, SLUICE_OP_DISPATCH) > 0,
              "slots of dead ranks were not rejected");
    }
    cf_meet();
    cf_api->close(station->context);
}

static void goes_on_alone(const void *what)
{
    cf_run_ranks(SMALL.ranks, local_calls_rank, what);
}

static void *stop_later(void *data)
{
    const struct timespec pause = {.tv_nsec = 150000000};
    (void)nanosleep(&pause, NULL);
    EXPECT_OK(NULL, cf_ranks()->quiesce(data, 0));
    return NULL;
}

static void quiesce_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = arrive(rank, comm, &SMALL, 20000000000);
    if (rank == 0) {
        pthread_t thread;
        CHECK(!pthread_create(&thread, NULL, stop_later, station->context), "no thread");
        double begin = seconds();
        EXPECT(station->context, mv_dispatch(&station->trip), SLUICE_CANCELLED, NULL);
        CHECK(seconds() - begin < 8, "quiesce did not end the wait");
        pthread_join(thread, NULL);
    }
    cf_meet();
    set_all(station, comm, 1);
    cf_meet();
    whole_trip(station);
    cf_api->close(station->context);
}

static void quiesce(const void *what)
{
    cf_run_ranks(SMALL.ranks, quiesce_rank, what);
}

static void small_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = arrive(rank, comm, &SMALL, 3000000000);
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
    whole_trip(station);
    cf_api->close(station->context);
}

static void small_output(const void *what)
{
    cf_run_ranks(SMALL.ranks, small_rank, what);
}

static void needs_comm(const void *what)
{
    (void)what;
    struct cf_setup setup;
    mv_setup(&SMALL, NULL, &setup);
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
    {"fault.lost_peer", "a rank that does not come ends the wait in time, by name", lost_peer,
     NULL},
    {"fault.lost_combine", "a rank that does not come to combine ends the wait, and set goes on",
     lost_in_combine, NULL},
    {"fault.lost_send", "a rank that counts and does not send ends the wait, by name", lost_in_send,
     NULL},
    {"fault.mismatch_payload", "ranks whose payloads have other lengths get MISMATCH",
     other_payload, NULL},
    {"fault.lost_remap", "a rank that does not come to a collective remap ends the wait",
     lost_in_remap, NULL},
    {"fault.mismatch_call", "a rank that combines where others dispatch is a MISMATCH for all",
     other_call, NULL},
    {"fault.mismatch_map", "ranks under other maps of one epoch do not dispatch", other_map, NULL},
    {"fault.mismatch_epoch", "ranks under different placements do not dispatch", other_epoch, NULL},
    {"fault.alone", "a survivor goes on with those who live", goes_on_alone, NULL},
    {"fault.quiesce", "quiesce ends a wait from another thread, and set goes on", quiesce, NULL},
    {"fault.small_output", "outputs too small on one rank are INVALID, and SEND may be repeated",
     small_output, NULL},
    {"fault.needs_comm", "dispatch among ranks needs callbacks", needs_comm, NULL},
};
CF_LIST(cf_fault_cases, CASES);
