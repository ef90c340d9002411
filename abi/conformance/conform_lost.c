/* SPDX-License-Identifier: Apache-2.0
 * Ranks that do not come, or are told to stop. */
#include <pthread.h>
#include <time.h>

#include "conform_balance.h"
#include "conform_station.h"

static void lost_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = st_arrive(rank, comm, &ST_SMALL, 1000000000);
    if (rank == 1) {
        cf_meet(); /* it comes to nothing else */
        cf_api->close(station->context);
        return;
    }
    double begin = st_seconds();
    EXPECT(station->context, mv_dispatch(&station->trip), SLUICE_PEER_LOST, "1");
    double took = st_seconds() - begin;
    CHECK(took > 0.9 && took < 10, "a peer that does not come was noticed after %.2f s of 1", took);
    begin = st_seconds();
    sluice_status status = mv_dispatch(&station->trip);
    CHECK(status != SLUICE_OK, "a context dispatched after a lost peer, before ranks were set");
    CHECK(st_seconds() - begin < 0.9, "a broken context waits again");
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
    cf_run_ranks(ST_SMALL.ranks, lost_rank, what);
}

/* One rank stops after dispatch: the others wait for it in combine. */
static void lost_combine_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = st_arrive(rank, comm, &ST_SMALL, 1000000000);
    EXPECT_OK(station->context, mv_dispatch(&station->trip));
    mv_compute(&station->trip, station->tokens);
    if (rank != 2) {
        EXPECT(station->context, st_combine_told(station), SLUICE_PEER_LOST, "2");
        sluice_fault fault = {.struct_size = sizeof fault};
        EXPECT_OK(station->context, cf_ranks()->poll(station->context, &fault));
        CHECK_EQ(fault.op, SLUICE_OP_COMBINE, "operation of the fault");
        CHECK_EQ(fault.rank, 2, "rank of the fault");
    }
    cf_meet();
    st_set_all(station, comm, 1);
    cf_meet();
    st_whole_trip(station);
    cf_api->close(station->context);
}

static void lost_in_combine(const void *what)
{
    cf_run_ranks(ST_SMALL.ranks, lost_combine_rank, what);
}

/* One rank has counted and does not send. */
static void lost_send_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = st_arrive(rank, comm, &ST_SMALL, 1000000000);
    EXPECT_OK(station->context, mv_count(&station->trip));
    if (rank != 1) {
        EXPECT(station->context, st_send_told(station), SLUICE_PEER_LOST, "1");
        sluice_fault fault = {.struct_size = sizeof fault};
        EXPECT_OK(station->context, cf_ranks()->poll(station->context, &fault));
        CHECK_EQ(fault.op, SLUICE_OP_DISPATCH, "operation of the fault");
        CHECK_EQ(fault.rank, 1, "rank of the fault");
    }
    cf_meet();
    st_set_all(station, comm, 1);
    cf_meet();
    st_whole_trip(station);
    cf_api->close(station->context);
}

static void lost_in_send(const void *what)
{
    cf_run_ranks(ST_SMALL.ranks, lost_send_rank, what);
}

/* Fixed: a device's stream waits, and its host does not. */
static const struct mv_scene FIXED = {
    .ranks = 3, .slots = 3, .shared = 1, .top_k = 2, .tokens = 9, .fixed = true};

static void lost_fixed_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = st_arrive(rank, comm, &FIXED, 1000000000);
    CHECK_EQ(station->setup.needs.threads, cf_memory ? 1 : 0, "threads that open starts");
    if (rank != 1) {
        double begin = st_seconds();
        EXPECT(station->context, st_dispatch_told(station), SLUICE_PEER_LOST, "rank 1");
        double took = st_seconds() - begin;
        CHECK(took > 0.9 && took < 10, "it was noticed after %.2f s of 1", took);
    }
    cf_meet();
    st_set_all(station, comm, 1);
    cf_meet();
    st_whole_trip(station);
    cf_api->close(station->context);
}

static void lost_in_fixed(const void *what)
{
    (void)what;
    cf_run_ranks(FIXED.ranks, lost_fixed_rank, NULL);
}

/* Counts are shared in remap: by the dynamic waterfill, or for copies by quota. */
static sluice_context *open_sharing(const sluice_comm *comm, bool copies)
{
    struct cf_setup setup;
    cf_setup(&setup, 1, 6, 2, 1);
    cf_setup_comm(&setup, comm);
    if (copies)
        setup.config.copy_policy = SLUICE_COPY_BALANCED;
    else
        setup.config.shared_policy = SLUICE_SHARED_WATERFILL_DYNAMIC;
    setup.config.uses = SLUICE_USE_BALANCE_NOW;
    setup.config.timeout_ns = 1000000000;
    sluice_context *context = cf_open(&setup);
    const sluice_balance_config now = {
        .struct_size = sizeof now, .objective = SLUICE_BALANCE_TOKENS, .mode = SLUICE_BALANCE_NOW};
    if (copies)
        EXPECT_OK(context, cb_api()->configure(context, -1, &now));
    return context;
}

static void expect_lost(sluice_context *context, sluice_status status, int32_t lost)
{
    char name[16] = "rank 0";
    name[5] = (char)('0' + lost);
    EXPECT(context, status, SLUICE_PEER_LOST, name);
    sluice_fault fault = {.struct_size = sizeof fault};
    EXPECT_OK(context, cf_ranks()->poll(context, &fault));
    CHECK_EQ(fault.rank, lost, "rank of the fault");
}

static void lost_remap_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    sluice_context *context = open_sharing(comm, *(const bool *)what);
    struct cf_array *ids = cf_array(CF_I32, 70, 2), *slots = cf_array(CF_I32, 70, 3);
    const sluice_remap_args args = {
        .struct_size = sizeof args, .ids = &ids->t, .dispatch_ids = &slots->t};
    if (rank != size - 2) {
        sluice_status status = cf_call_remap(context, &args);
        if (status == SLUICE_OK && cf_memory) /* told by the next call */
            status = cf_call_remap(context, &args);
        expect_lost(context, status, size - 2);
    }
    cf_meet();
    cf_api->close(context);
}

/* All replay a graph once; then one does not. */
static void lost_replay_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    void *stream = NULL, *graph = NULL;
    if (!cf_memory || !cf_memory->capture_begin)
        cf_skip("this backend has no graphs");
    sluice_context *context = open_sharing(comm, *(const bool *)what);
    struct cf_array *ids = cf_array(CF_I32, 70, 2), *slots = cf_array(CF_I32, 70, 3);
    EXPECT_OK(NULL, cf_memory->stream(cf_device(), &stream));
    const sluice_remap_args args = {
        .struct_size = sizeof args, .stream = stream, .ids = &ids->t, .dispatch_ids = &slots->t};
    cf_push();
    EXPECT_OK(NULL, cf_memory->capture_begin(cf_device(), stream));
    EXPECT_OK(context, cf_api->remap(context, &args));
    EXPECT_OK(NULL, cf_memory->capture_end(cf_device(), stream, &graph));
    for (int32_t i = 0; i < (rank == size - 2 ? 1 : 2); i++) {
        EXPECT_OK(NULL, cf_memory->graph_launch(cf_device(), graph, stream));
        EXPECT_OK(NULL, cf_memory->wait(cf_device(), stream));
    }
    if (rank != size - 2)
        expect_lost(context, cf_api->remap(context, &args), size - 2);
    cf_memory->graph_free(cf_device(), graph);
    cf_memory->stream_free(cf_device(), stream);
    cf_meet();
    cf_api->close(context);
}

static void lost_in_replay(const void *what)
{
    cf_run_ranks(3, lost_replay_rank, what);
}

static void lost_in_remap(const void *what)
{
    cf_run_ranks(2, lost_remap_rank, what);
    cf_run_ranks(4, lost_remap_rank, what);
}

static void local_calls_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = st_arrive(rank, comm, &ST_SMALL, 1000000000);
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
    cf_run_ranks(ST_SMALL.ranks, local_calls_rank, what);
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
    struct station *station = st_arrive(rank, comm, &ST_SMALL, 20000000000);
    if (rank == 0) {
        pthread_t thread;
        CHECK(!pthread_create(&thread, NULL, stop_later, station->context), "no thread");
        double begin = st_seconds();
        EXPECT(station->context, mv_dispatch(&station->trip), SLUICE_CANCELLED, NULL);
        CHECK(st_seconds() - begin < 8, "quiesce did not end the wait");
        pthread_join(thread, NULL);
    }
    cf_meet();
    st_set_all(station, comm, 1);
    cf_meet();
    st_whole_trip(station);
    cf_api->close(station->context);
}

/* One thread allowed: a device's wait has nothing that ends it but quiesce. */
static void *stop_at_last(void *data)
{
    const struct timespec pause = {.tv_sec = 1};
    (void)nanosleep(&pause, NULL);
    EXPECT_OK(NULL, cf_ranks()->quiesce(data, 0));
    return NULL;
}

static void unwatched_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    struct station *station = st_arrive_with(rank, comm, &FIXED, 300000000, 1);
    CHECK_EQ(station->setup.needs.threads, 0, "threads that open starts");
    if (rank == 0) {
        pthread_t thread;
        CHECK(!pthread_create(&thread, NULL, stop_at_last, station->context), "no thread");
        double begin = st_seconds();
        EXPECT(station->context, st_dispatch_told(station),
               cf_memory ? SLUICE_CANCELLED : SLUICE_PEER_LOST, NULL);
        CHECK(st_seconds() - begin < 8, "quiesce did not end the wait");
        pthread_join(thread, NULL);
    }
    cf_meet();
    cf_api->close(station->context);
}

static void unwatched(const void *what)
{
    (void)what;
    cf_run_ranks(FIXED.ranks, unwatched_rank, NULL);
}

static void quiesce(const void *what)
{
    cf_run_ranks(ST_SMALL.ranks, quiesce_rank, what);
}

static const struct cf_case CASES[] = {
    {"fault.lost_peer", "a rank that does not come ends the wait in time, by name", lost_peer,
     NULL},
    {"fault.lost_combine", "a rank that does not come to combine ends the wait, and set goes on",
     lost_in_combine, NULL},
    {"fault.lost_send", "a rank that counts and does not send ends the wait, by name", lost_in_send,
     NULL},
    {"fault.lost_fixed",
     "a rank that does not come to a fixed dispatch ends the wait, by a thread "
     "that nobody asked for",
     lost_in_fixed, NULL},
    {"fault.lost_waterfill", "a rank that does not come to a dynamic waterfill is named",
     lost_in_remap, &(const bool){false}},
    {"fault.lost_quotas", "a rank that does not come to copies by quota is named", lost_in_remap,
     &(const bool){true}},
    {"fault.lost_replay", "a rank that does not replay a graph's remap is named, and no wait stays",
     lost_in_replay, &(const bool){true}},
    {"fault.alone", "a survivor goes on with those who live", goes_on_alone, NULL},
    {"fault.quiesce", "quiesce ends a wait from another thread, and set goes on", quiesce, NULL},
    {"fault.unwatched", "with one thread allowed quiesce ends the wait of a device", unwatched,
     NULL},
};
CF_LIST(cf_lost_cases, CASES);
