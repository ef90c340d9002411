/* Windows of sluice.load/1 summed over ranks: whole everywhere, and never a hang. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "abi/ext/load.h"
#include "abi/ext/ranks.h"
#include "ct.h"
#include "ct_ranks.h"
#include "ct_sluice.h"
#include "src/comm/comm_threads.h"

enum { E = 5, MOST = 13, SHORT_MS = 160, LONG_MS = 20000 };

struct team {
    sluice_comm_threads *group, *fewer;
    int32_t ranks;
    int32_t skips;    /* the rank that skips a window; -1: none */
    int32_t behind;   /* the rank that keeps another number of windows */
    atomic_llong now; /* the clock of those that skip */
    pthread_barrier_t step;
};

static const sluice_load_api *load(void)
{
    return ct_api()->extension(SLUICE_EXT_LOAD);
}

static sluice_context *open_with(struct team *team, int32_t rank, const sluice_host *host)
{
    sluice_comm comm;
    sluice_comm_threads_get(team->group, rank, &comm);
    sluice_router router = {.struct_size = sizeof router, .experts = E, .top_k = 1};
    sluice_config config = ct_config(&router, 2, rank, team->ranks);
    config.comm = &comm;
    config.uses = SLUICE_USE_SUMMED_LOAD;
    config.host = host;
    return ct_open(&config);
}

static sluice_context *open_rank(struct team *team, int32_t rank)
{
    return open_with(team, rank, NULL);
}

static sluice_status begin(sluice_context *context, int32_t kept, int64_t milliseconds)
{
    const sluice_load_windows config = {
        .struct_size = sizeof config, .kept = kept, .timeout_ns = milliseconds * 1000000};
    return load()->windows(context, &config);
}

static void record(sluice_context *context, int32_t layer, int32_t id, int32_t times)
{
    int32_t ids[64];
    for (int32_t i = 0; i < times; i++)
        ids[i] = id;
    const sluice_record_args args = {.struct_size = sizeof args,
                                     .layer = layer,
                                     .recorder_ids = ct_tensor(ids, CT_I32, times, 0)};
    ct_expect_eq_i64(ct_api()->record(context, &args), SLUICE_OK);
}

static sluice_status poll_out(sluice_context *context)
{
    int32_t done = 0;
    sluice_status status = SLUICE_OK;
    while (!status && !done) {
        status = load()->window_poll(context, &done);
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    return status;
}

static sluice_status end_window(sluice_context *context)
{
    sluice_status status = load()->window_end(context, NULL);
    return status ? status : poll_out(context);
}

static sluice_status look(sluice_context *context, int32_t count, sluice_load_window *window,
                          int64_t *counts, int64_t *served)
{
    *window = (sluice_load_window){.struct_size = sizeof *window,
                                   .count = count,
                                   .stride = E,
                                   .counts = counts,
                                   .rank_stride = MOST,
                                   .rank_counts = served};
    return load()->window(context, window);
}

/* Rank r records physical expert r of layer 0, r + 1 times, and expert 0 of layer 1 once. */
static void run_sum(int32_t rank, void *argument)
{
    struct team *team = argument;
    sluice_context *context = open_rank(team, rank);
    sluice_load_window window;
    int64_t counts[2 * E], served[2 * MOST], want[E] = {0};
    ct_true(context != NULL);
    ct_expect_eq_i64(begin(context, 2, LONG_MS), SLUICE_OK);
    for (int32_t round = 0; round < 3; round++) {
        record(context, 0, rank, rank + 1);
        record(context, 1, 0, 1);
        ct_expect_eq_i64(end_window(context), SLUICE_OK);
    }
    for (int32_t r = 0; r < team->ranks; r++)
        want[r % E] += 2 * (r + 1);
    ct_expect_eq_i64(look(context, 2, &window, counts, served), SLUICE_OK);
    ct_expect_eq_mem(counts, want, sizeof want);
    ct_expect_eq_i64(counts[E], 2 * team->ranks);
    ct_expect_eq_i64(served[MOST], 2 * team->ranks);
    ct_expect_eq_i64(window.number, 3);
    ct_api()->close(context);
}

static void with_team(int32_t ranks, struct team team, ct_rank_fn *run)
{
    team.ranks = ranks;
    team.group = sluice_comm_threads_create(ranks, NULL);
    team.fewer = ranks > 1 ? sluice_comm_threads_create(ranks - 1, NULL) : NULL;
    ct_true(team.group != NULL);
    pthread_barrier_init(&team.step, NULL, (unsigned)ranks);
    ct_run_ranks(ranks, run, &team);
    pthread_barrier_destroy(&team.step);
    sluice_comm_threads_destroy(team.group);
    sluice_comm_threads_destroy(team.fewer);
}

CT(windows_summed, whole_on_every_rank, "every rank keeps the sum over all, whatever their number")
{
    for (int32_t ranks = 1; ranks <= MOST; ranks++)
        with_team(ranks, (struct team){0}, run_sum);
}

static int64_t team_clock(void *user)
{
    return atomic_load(&((struct team *)user)->now);
}

/* Ends a window, or not, and polls in step with all others, by a clock that goes on only when all
 * have polled as often as the tree is deep: so who is named does not hang on the machine's load. */
static sluice_status end_in_step(struct team *team, int32_t rank, sluice_context *context)
{
    bool skips = rank == team->skips;
    int32_t done = skips;
    sluice_status status = skips ? SLUICE_OK : load()->window_end(context, NULL);
    for (int32_t round = 0; round < (3 * 16 + 1) * 16; round++) {
        if (!status && !done)
            status = load()->window_poll(context, &done);
        pthread_barrier_wait(&team->step);
        if (rank == 0 && round % 16 == 15)
            atomic_fetch_add(&team->now, SHORT_MS * 1000000LL / 16);
        pthread_barrier_wait(&team->step);
    }
    return status;
}

/* The one that skips ends its ranks' wait at the deadline; then ranks are set anew without it. */
static void run_skip(int32_t rank, void *argument)
{
    struct team *team = argument;
    const sluice_host host = {.struct_size = sizeof host, .user = team, .clock = team_clock};
    sluice_context *context = open_with(team, rank, &host);
    sluice_load_window window;
    int64_t counts[2 * E], served[2 * MOST];
    ct_true(context != NULL);
    ct_expect_eq_i64(begin(context, 2, rank == team->skips ? LONG_MS : SHORT_MS), SLUICE_OK);
    record(context, 0, rank, 1);
    sluice_status status = end_in_step(team, rank, context);
    if (rank == team->skips) {
        ct_api()->close(context);
        return;
    }
    ct_expect_eq_i64(status, SLUICE_PEER_LOST);
    char says[80];
    (void)snprintf(says, sizeof says, "rank %d did not come to the sum of window 1 (timeout %d ms)",
                   team->skips, SHORT_MS);
    ct_expect_str_has(ct_error(context), says);
    ct_expect_eq_i64(load()->window_end(context, NULL), SLUICE_NOT_READY);
    ct_expect_str_has(ct_error(context), "set of sluice.ranks/1 must come first");
    ct_expect_eq_i64(look(context, 1, &window, counts, served), SLUICE_NOT_READY);
    int64_t logical[E];
    ct_expect_eq_i64(load()->read_logical(context, 0, logical, E, NULL), SLUICE_OK);
    ct_expect_eq_i64(logical[rank % E], 1);
    const sluice_ranks_api *api = ct_api()->extension(SLUICE_EXT_RANKS);
    uint8_t alive[MOST];
    sluice_comm comm;
    for (int32_t r = 0; r < team->ranks; r++)
        alive[r] = r != team->skips;
    sluice_comm_threads_get(team->fewer, rank - (rank > team->skips), &comm);
    const sluice_ranks ranks = {
        .struct_size = sizeof ranks, .generation = 1, .alive = alive, .comm = &comm};
    ct_expect_eq_i64(api->set(context, &ranks, NULL), SLUICE_OK);
    ct_expect_eq_i64(begin(context, 2, LONG_MS), SLUICE_OK);
    record(context, 1, 0, 2);
    ct_expect_eq_i64(end_window(context), SLUICE_OK);
    ct_expect_eq_i64(look(context, 1, &window, counts, served), SLUICE_OK);
    ct_expect_eq_i64(window.number, 1);
    ct_expect_eq_i64(counts[0], 0);
    ct_expect_eq_i64(counts[E], 2 * (team->ranks - 1));
    ct_api()->close(context);
}

CT(windows_summed, a_rank_that_skips,
   "a rank that skips costs the others the window at the deadline, and ranks set anew go on")
{
    for (int32_t skips = 0; skips < 4; skips++)
        with_team(4, (struct team){.skips = skips}, run_skip);
    for (int32_t skips = 0; skips < 11; skips++)
        with_team(11, (struct team){.skips = skips}, run_skip);
}

static void run_kept(int32_t rank, void *argument)
{
    struct team *team = argument;
    sluice_context *context = open_rank(team, rank);
    ct_true(context != NULL);
    ct_expect_eq_i64(begin(context, rank == team->behind ? 3 : 2, LONG_MS), SLUICE_OK);
    ct_expect_eq_i64(end_window(context), SLUICE_MISMATCH);
    ct_expect_str_has(ct_error(context), "keep different numbers");
    const sluice_ranks_api *api = ct_api()->extension(SLUICE_EXT_RANKS);
    sluice_fault fault = {.struct_size = sizeof fault};
    ct_expect_eq_i64(api->poll(context, &fault), SLUICE_OK);
    ct_expect_eq_i64(fault.kind, SLUICE_FAULT_MISMATCH);
    ct_api()->close(context);
}

CT(windows_summed, different_windows, "ranks that keep different numbers of windows are all told")
{
    for (int32_t behind = 0; behind < 5; behind++)
        with_team(5, (struct team){.behind = behind}, run_kept);
}

/* A sum on its way does not keep a context from closing, windows from BUSY, or quiesce from ending
 * it. */
static void run_busy(int32_t rank, void *argument)
{
    struct team *team = argument;
    sluice_context *context = open_rank(team, rank);
    ct_true(context != NULL);
    ct_expect_eq_i64(begin(context, 2, LONG_MS), SLUICE_OK);
    if (rank == 0) {
        int32_t done = 1;
        ct_expect_eq_i64(load()->window_end(context, NULL), SLUICE_OK);
        ct_expect_eq_i64(load()->window_end(context, NULL), SLUICE_BUSY);
        ct_expect_str_has(ct_error(context), "window 1 is being summed");
        ct_expect_eq_i64(begin(context, 2, LONG_MS), SLUICE_BUSY);
        ct_expect_eq_i64(load()->window_poll(context, &done), SLUICE_OK);
        ct_expect_eq_i64(done, 0);
        if (team->skips == 0) {
            const sluice_ranks_api *api = ct_api()->extension(SLUICE_EXT_RANKS);
            ct_expect_eq_i64(api->quiesce(context, 0), SLUICE_OK);
            ct_expect_eq_i64(poll_out(context), SLUICE_CANCELLED);
            ct_expect_str_has(ct_error(context), "window 1: quiesce ended its sum");
        }
    }
    ct_api()->close(context);
}

CT(windows_summed, one_at_a_time,
   "one sum at a time: BUSY until then; quiesce and close end it without a peer")
{
    with_team(3, (struct team){.skips = 0}, run_busy);
    with_team(3, (struct team){.skips = -1}, run_busy);
}
