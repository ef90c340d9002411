/* SPDX-License-Identifier: Apache-2.0
 * Windows of sluice.load/1: what they hold, what they say, and ranks that do not come. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conform_move.h"

enum { EXPERTS = 8, LAYERS = 2, RANKS = 4 };

static const sluice_load_api *served(void)
{
    const sluice_load_api *load = cf_load_api();
    if (!SLUICE_HAS(load, sluice_load_api, window))
        cf_skip("this plugin has no windows");
    return load;
}

static sluice_status begin(sluice_context *context, int32_t kept, int64_t timeout_ns)
{
    const sluice_load_windows config = {sizeof config, .kept = kept, .timeout_ns = timeout_ns};
    return served()->windows(context, &config);
}

/* Rank 0 of four without callbacks: two slots each, every expert once. */
static sluice_context *open_windows(int32_t kept)
{
    struct cf_setup setup;
    cf_setup(&setup, LAYERS, EXPERTS, 1, 1);
    cf_setup_rank(&setup, 0, RANKS);
    sluice_context *context = cf_open(&setup);
    EXPECT_OK(context, begin(context, kept, 0));
    return context;
}

static void record(sluice_context *context, int32_t layer, int32_t id, int32_t times)
{
    struct cf_array *ids = cf_array(CF_I32, times, 0);
    for (int32_t t = 0; t < times; t++)
        cf_put(ids, t, 0, id);
    const sluice_record_args args = {
        .struct_size = sizeof args, .layer = layer, .recorder_ids = &ids->t};
    EXPECT_OK(context, cf_call_record(context, &args));
}

struct view {
    sluice_load_window window;
    int64_t counts[LAYERS * EXPERTS], served[LAYERS * RANKS];
    double balance[LAYERS];
    int32_t drift[LAYERS];
};

static sluice_status look(sluice_context *context, int32_t newest, int32_t count, int32_t against,
                          struct view *view)
{
    view->window = (sluice_load_window){.struct_size = sizeof view->window,
                                        .newest = newest,
                                        .count = count,
                                        .against = against,
                                        .stride = EXPERTS,
                                        .counts = view->counts,
                                        .rank_stride = RANKS,
                                        .rank_counts = view->served,
                                        .balancedness = view->balance,
                                        .drift_ppm = view->drift};
    return served()->window(context, &view->window);
}

/* Ends a window and polls until it is whole; every call must come back at once. */
static sluice_status end_window(sluice_context *context)
{
    const struct timespec pause = {.tv_nsec = 200000};
    int32_t done = 0;
    sluice_status status = served()->window_end(context, NULL);
    while (!status && !done) {
        status = served()->window_poll(context, &done);
        nanosleep(&pause, NULL);
    }
    return status;
}

static void difference(const void *what)
{
    (void)what;
    struct view view;
    sluice_context *context = open_windows(2);
    EXPECT(context, look(context, 0, 1, 0, &view), SLUICE_NOT_READY, "window");
    for (int32_t i = 1; i <= 3; i++) {
        record(context, 0, i, 10 * i);
        EXPECT_OK(context, end_window(context));
    }
    EXPECT_OK(context, look(context, 0, 1, 1, &view));
    CHECK_EQ(view.window.number, 3, "number of the last window");
    CHECK_EQ(view.window.available, 2, "windows kept");
    for (int32_t e = 0; e < EXPERTS; e++)
        CHECK_EQ(view.counts[e], e == 3 ? 30 : 0, "expert %d in the last window", e);
    CHECK_EQ(view.drift[0], 1000000, "drift of windows without an expert in common");
    EXPECT_OK(context, look(context, 0, 2, 0, &view));
    CHECK_EQ(view.counts[2], 20, "expert 2 in the last two windows");
    EXPECT(context, look(context, 0, 3, 0, &view), SLUICE_OVERFLOW, "2");
    cf_api->close(context);
}

static void placements(const void *what)
{
    (void)what;
    struct view view;
    int32_t turned[EXPERTS];
    sluice_context *context = open_windows(1);
    for (int32_t p = 0; p < EXPERTS; p++)
        turned[p] = EXPERTS - 1 - p;
    record(context, 0, 0, 5);
    cf_set_placement(context, 0, turned, EXPERTS);
    record(context, 0, 0, 7);
    EXPECT_OK(context, end_window(context));
    EXPECT_OK(context, look(context, 0, 1, 0, &view));
    CHECK_EQ(view.counts[0], 5, "what was counted under the first map");
    CHECK_EQ(view.counts[EXPERTS - 1], 7, "what was counted under the second");
    CHECK_EQ(view.served[0], 12, "what rank 0 served under both");
    cf_api->close(context);
}

/* A window that has ended is not touched by what comes before it is whole. */
static void under_way(const void *what)
{
    (void)what;
    struct view view;
    int32_t turned[EXPERTS], done = 0;
    sluice_context *context = open_windows(2);
    for (int32_t p = 0; p < EXPERTS; p++)
        turned[p] = EXPERTS - 1 - p;
    record(context, 0, 0, 5);
    EXPECT_OK(context, served()->window_end(context, NULL));
    cf_set_placement(context, 0, turned, EXPERTS);
    record(context, 0, 0, 7);
    while (!done)
        EXPECT_OK(context, served()->window_poll(context, &done));
    EXPECT_OK(context, look(context, 0, 1, 0, &view));
    CHECK_EQ(view.counts[0], 5, "what was counted before the window ended");
    CHECK_EQ(view.counts[EXPERTS - 1], 0, "what was counted after it ended");
    EXPECT_OK(context, served()->window_end(context, NULL));
    EXPECT_OK(context, cf_load_api()->reset(context, -1, NULL));
    done = 0;
    while (!done)
        EXPECT_OK(context, served()->window_poll(context, &done));
    EXPECT_OK(context, look(context, 0, 1, 0, &view));
    CHECK_EQ(view.counts[EXPERTS - 1], 7, "what the next window counted before a reset");
    EXPECT_OK(context, end_window(context));
    EXPECT_OK(context, look(context, 0, 1, 0, &view));
    CHECK_EQ(view.counts[0] + view.counts[EXPERTS - 1], 0, "what came after the reset");
    cf_api->close(context);
}

static void balance(const void *what)
{
    (void)what;
    struct view view;
    sluice_context *context = open_windows(1);
    for (int32_t r = 0; r < RANKS; r++)
        record(context, 0, 2 * r, 10 * (r + 1));
    EXPECT_OK(context, end_window(context));
    EXPECT_OK(context, look(context, 0, 1, 0, &view));
    CHECK(view.balance[0] == 0.625, "10, 20, 30, 40 give a balancedness of %g", view.balance[0]);
    CHECK(view.balance[1] == 0, "a layer without tokens has a balancedness of %g", view.balance[1]);
    CHECK(view.window.layers == 1 && view.window.mean == 0.625 && view.window.worst == 0.625,
          "the mean over layers that saw tokens is %g", view.window.mean);
    cf_api->close(context);
}

static void no_allocation(const void *what)
{
    (void)what;
    sluice_context *context = open_windows(2);
    int32_t done = 0;
    if (!cf_allocations_watch())
        cf_skip("allocations are not seen here");
    sluice_status status = served()->window_end(context, NULL);
    status = status ? status : served()->window_poll(context, &done);
    CHECK_EQ(cf_allocations(), 0, "allocations in window_end and window_poll");
    EXPECT_OK(context, status);
    CHECK(done || cf_memory, "a window that is not summed is done at once");
    cf_api->close(context);
}

/* ------------------------------------------------------------------------------------ summed */

static const struct mv_scene SCENE = {
    .ranks = RANKS, .slots = 2, .shared = 1, .top_k = 2, .tokens = 9};

static sluice_context *open_summed(const sluice_comm *comm, bool moves, int32_t kept,
                                   int64_t timeout_ns)
{
    struct cf_setup setup;
    mv_setup(&SCENE, comm, &setup);
    setup.config.uses = SLUICE_USE_SUMMED_LOAD | (moves ? SLUICE_USE_EXACT : 0);
    setup.config.transport = moves ? &setup.transport : NULL;
    sluice_context *context = cf_open(&setup);
    EXPECT_OK(context, begin(context, kept, timeout_ns));
    return context;
}

static void sum_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what;
    static _Thread_local int64_t counts[MV_RANKS * EXPERTS];
    sluice_context *context = open_summed(comm, false, 1, 0);
    int64_t want = 0;
    record(context, 0, rank, rank + 1);
    record(context, 0, 0, 1);
    EXPECT_OK(context, end_window(context));
    sluice_load_window window = {.struct_size = sizeof window, .stride = EXPERTS, .counts = counts};
    EXPECT_OK(context, served()->window(context, &window));
    for (int32_t r = 1; r < size; r++) {
        CHECK_EQ(counts[r], r + 1, "expert %d, which rank %d chose", r, r);
        want += counts[r];
    }
    CHECK_EQ(counts[0], size + 1, "expert 0, which every rank chose");
    CHECK(want > 0, "nothing was summed");
    cf_api->close(context);
}

static void sum(const void *what)
{
    (void)served();
    cf_run_ranks(RANKS, sum_rank, what);
}

/* Rank 1 ends no window, and takes part in everything else. */
static void skip_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    static _Thread_local struct mv_trip trip;
    static _Thread_local struct mv_tokens tokens[MV_RANKS];
    sluice_context *context = open_summed(comm, true, 1, 300000000);
    for (int32_t r = 0; r < SCENE.ranks; r++)
        mv_draw(&SCENE, r, &tokens[r]);
    mv_start(&trip, &SCENE, context, rank, &tokens[rank]);
    if (rank != 1) {
        EXPECT(context, end_window(context), SLUICE_PEER_LOST, "rank");
        EXPECT(context, served()->window_end(context, NULL), SLUICE_NOT_READY, "set");
    }
    cf_meet();
    EXPECT_OK(context, mv_dispatch(&trip));
    mv_compute(&trip, tokens);
    EXPECT_OK(context, mv_combine(&trip));
    mv_check_out(&trip, tokens);
    cf_meet();
    static const uint8_t ALIVE[MV_RANKS] = {1, 1, 1, 1, 1, 1, 1, 1};
    const sluice_ranks ranks = {
        .struct_size = sizeof ranks, .generation = 1, .alive = ALIVE, .comm = comm};
    EXPECT_OK(context, cf_ranks()->set(context, &ranks, NULL));
    cf_meet();
    EXPECT_OK(context, begin(context, 1, 0));
    EXPECT_OK(context, end_window(context));
    cf_api->close(context);
}

static void skip(const void *what)
{
    (void)served();
    cf_run_ranks(RANKS, skip_rank, what);
}

static void differ_rank(int32_t rank, int32_t size, const sluice_comm *comm, const void *what)
{
    (void)what, (void)size;
    sluice_context *context = open_summed(comm, false, rank == 2 ? 3 : 2, 5000000000);
    EXPECT(context, end_window(context), SLUICE_MISMATCH, "rank");
    cf_api->close(context);
}

static void differ(const void *what)
{
    (void)served();
    cf_run_ranks(RANKS, differ_rank, what);
}

static const struct cf_case CASES[] = {
    {"windows.difference", "a window holds what came since the one before; the last ones are kept",
     difference, NULL},
    {"windows.placements", "counts of two maps in one window go each through its own", placements,
     NULL},
    {"windows.under_way", "a window that has ended is whole in spite of what comes meanwhile",
     under_way, NULL},
    {"windows.balance", "balancedness is mean rank load over greatest, over layers that saw tokens",
     balance, NULL},
    {"windows.hot", "ending and polling a window allocate nothing", no_allocation, NULL},
    {"windows.sum", "a window is summed over all ranks", sum, NULL},
    {"windows.skip", "a rank that skips a window costs the others that window and no more", skip,
     NULL},
    {"windows.differ", "ranks that keep different windows are all told", differ, NULL},
};
CF_LIST(cf_window_cases, CASES);
