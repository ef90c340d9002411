/* sluice.ranks/1: verdicts, faults, newcomers, and an end to every wait. */
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "abi/ext/ranks.h"
#include "abi/ext/stats.h"
#include "ct.h"
#include "ct_ranks.h"
#include "ct_sluice.h"
#include "src/comm/comm_threads.h"

enum { W = 4, E = 8, K = 2 };

static const sluice_ranks_api *api(void)
{
    return ct_api()->extension(SLUICE_EXT_RANKS);
}

/* Rank 1 of three that are there and four that may be; it exchanges nothing. */
static sluice_context *open_one(void)
{
    sluice_router router = {.struct_size = sizeof router, .experts = E, .top_k = K};
    sluice_config config = ct_config(&router, 1, 1, 3);
    config.max_ranks = W;
    return ct_open(&config);
}

static sluice_status set(sluice_context *context, int64_t generation, const uint8_t *alive,
                         const sluice_comm *comm)
{
    const sluice_ranks ranks = {
        .struct_size = sizeof ranks, .generation = generation, .alive = alive, .comm = comm};
    return api()->set(context, &ranks, NULL);
}

static void expect_alive(sluice_context *context, const uint8_t *want)
{
    uint8_t alive[W];
    ct_eq_i64(api()->alive(context, alive, W), SLUICE_OK);
    ct_eq_mem(alive, want, sizeof alive);
}

CT(ranks, at_open, "at open the generation is 0, reserved ranks are dead and there is no fault")
{
    sluice_context *context = open_one();
    ct_true(context != NULL);
    ct_eq_i64(api()->generation(context), 0);
    expect_alive(context, (const uint8_t[W]){1, 1, 1, 0});
    sluice_fault fault = {.struct_size = sizeof fault, .kind = 9, .count = 9};
    ct_eq_i64(api()->poll(context, &fault), SLUICE_OK);
    ct_eq_i64(fault.kind, SLUICE_FAULT_NONE);
    ct_eq_u64(fault.count, 0);
    ct_eq_u64(fault.struct_size, sizeof fault);
    ct_api()->close(context);
}

CT(ranks, alive_refuses, "alive wants a place for every rank")
{
    sluice_context *context = open_one();
    ct_true(context != NULL);
    uint8_t alive[W + 1] = {9, 9, 9, 9, 9};
    ct_eq_i64(api()->alive(context, alive, 3), SLUICE_INVALID);
    ct_str_has(ct_error(context), "count is 3: must be [4]");
    ct_eq_i64(api()->alive(context, alive, W + 1), SLUICE_INVALID);
    ct_eq_i64(api()->alive(context, NULL, W), SLUICE_INVALID);
    ct_str_has(ct_error(context), "alive is NULL");
    ct_eq_i64(api()->alive(NULL, alive, W), SLUICE_INVALID);
    for (int32_t i = 0; i <= W; i++)
        ct_eq_i64(alive[i], 9);
    ct_api()->close(context);
}

CT(ranks, generations_rise, "a verdict takes a greater generation, whichever; others are STALE")
{
    sluice_context *context = open_one();
    ct_true(context != NULL);
    const uint8_t three[W] = {1, 1, 1, 0}, two[W] = {0, 1, 1, 0};
    const sluice_comm pair = {.struct_size = sizeof pair, .size = 2};
    ct_eq_i64(set(context, 0, two, &pair), SLUICE_STALE);
    ct_str_has(ct_error(context), "ranks.generation is 0: must be above 0");
    ct_eq_i64(set(context, 7, three, NULL), SLUICE_OK);
    ct_eq_i64(api()->generation(context), 7);
    for (int64_t passed = -1; passed <= 7; passed += 4) {
        ct_eq_i64(set(context, passed, two, &pair), SLUICE_STALE);
        ct_str_has(ct_error(context), "must be above 7");
    }
    expect_alive(context, three);
    ct_eq_i64(set(context, 8, two, &pair), SLUICE_OK);
    ct_eq_i64(api()->generation(context), 8);
    expect_alive(context, two);
    ct_api()->close(context);
}

static void expect_refused(sluice_context *context, const uint8_t *alive, const sluice_comm *comm,
                           const char *says)
{
    ct_expect_eq_i64(set(context, 1, alive, comm), SLUICE_INVALID);
    ct_expect_str_has(ct_error(context), says);
    ct_expect_eq_i64(api()->generation(context), 0);
    expect_alive(context, (const uint8_t[W]){1, 1, 1, 0});
}

CT(ranks, set_refuses, "a verdict that does not fit is named and changes nothing")
{
    sluice_context *context = open_one();
    ct_true(context != NULL);
    const uint8_t two[W] = {0, 1, 1, 0};
    sluice_comm comm = {.struct_size = sizeof comm, .size = 2};
    expect_refused(context, NULL, &comm, "ranks.alive is NULL: must be [4]");
    expect_refused(context, (const uint8_t[W]){1, 1, 2, 0}, &comm, "ranks.alive[2] is 2: must be");
    expect_refused(context, (const uint8_t[W]){1, 0, 1, 0}, &comm,
                   "ranks.alive[1] is 0: this rank");
    expect_refused(context, two, NULL, "the present one");
    comm.rank = 1;
    expect_refused(context, two, &comm,
                   "ranks.comm is rank 1 of 2: among the living this is rank 0");
    comm.rank = 0;
    comm.size = 3;
    expect_refused(context, two, &comm, "ranks.comm is rank 0 of 3");
    comm.struct_size = 0;
    expect_refused(context, two, &comm, "ranks.comm.struct_size is 0: must be ");
    ct_eq_i64(api()->set(context, NULL, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "ranks is NULL");
    const sluice_ranks small = {.struct_size = sizeof small - 8, .generation = 1, .alive = two};
    ct_eq_i64(api()->set(context, &small, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "ranks.struct_size is 24: must be ");
    const struct {
        sluice_ranks ranks;
        uint64_t later;
    } newer = {.ranks = {.struct_size = sizeof newer, .generation = 1, .alive = two}, .later = 1};
    ct_eq_i64(api()->set(context, &newer.ranks, NULL), SLUICE_UNSUPPORTED);
    ct_eq_i64(api()->set(NULL, &small, NULL), SLUICE_INVALID);
    ct_eq_i64(api()->generation(context), 0);
    ct_api()->close(context);
}

CT(ranks, present_comm_must_fit,
   "without a comm the present one must fit: as many living, and this rank at its number")
{
    sluice_context *context = open_one();
    ct_true(context != NULL);
    /* Three live, as in the present comm, but in it this rank is 1 and among these it is 0. */
    expect_refused(context, (const uint8_t[W]){0, 1, 1, 1}, NULL, "ranks.comm is NULL");
    ct_eq_i64(set(context, 1, (const uint8_t[W]){1, 1, 0, 1}, NULL), SLUICE_OK);
    expect_alive(context, (const uint8_t[W]){1, 1, 0, 1});
    ct_api()->close(context);
}

CT(ranks, set_masks, "the dead are masked in remap, and numbers of ranks and slots stay")
{
    sluice_context *context = open_one();
    ct_true(context != NULL);
    int32_t ids[K] = {0, 7}, slots[K];
    const sluice_remap_args args = {.struct_size = sizeof args,
                                    .ids = ct_tensor(ids, CT_I32, 1, K),
                                    .dispatch_ids = ct_tensor(slots, CT_I32, 1, K)};
    ct_eq_i64(ct_api()->remap(context, &args), SLUICE_OK);
    ct_eq_i64(slots[0], 0);
    ct_eq_i64(slots[1], -1); /* on the rank that is reserved */
    const sluice_comm comm = {.struct_size = sizeof comm, .size = 3};
    ct_eq_i64(set(context, 1, (const uint8_t[W]){0, 1, 1, 1}, &comm), SLUICE_OK);
    ct_eq_i64(ct_api()->remap(context, &args), SLUICE_OK);
    ct_eq_i64(slots[0], -1);
    ct_eq_i64(slots[1], 7);
    ct_api()->close(context);
}

CT(ranks, poll_refuses, "poll wants a record of its size")
{
    sluice_context *context = open_one();
    ct_true(context != NULL);
    sluice_fault fault = {.struct_size = 8, .kind = 77};
    ct_eq_i64(api()->poll(context, &fault), SLUICE_INVALID);
    ct_str_has(ct_error(context), "fault.struct_size is 8: must be ");
    ct_eq_i64(fault.kind, 77);
    ct_eq_i64(api()->poll(context, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(context), "fault is NULL");
    ct_eq_i64(api()->poll(NULL, &fault), SLUICE_INVALID);
    ct_eq_i64(api()->clear(NULL), SLUICE_INVALID);
    ct_eq_i64(api()->quiesce(NULL, 0), SLUICE_INVALID);
    ct_eq_i64(api()->generation(NULL), -1);
    ct_api()->close(context);
}

CT(ranks, child_after_fork, "in a child after fork every call is NOT_READY")
{
    sluice_context *context = open_one();
    ct_true(context != NULL);
    pid_t child = fork();
    if (child == 0) {
        uint8_t alive[W] = {1, 1, 1, 0};
        sluice_fault fault = {.struct_size = sizeof fault};
        _exit((api()->alive(context, alive, W) != SLUICE_NOT_READY) |
              (api()->poll(context, &fault) != SLUICE_NOT_READY) << 1 |
              (api()->quiesce(context, 0) != SLUICE_NOT_READY) << 2 |
              (api()->clear(context) != SLUICE_NOT_READY) << 3 |
              (set(context, 1, alive, NULL) != SLUICE_NOT_READY) << 4);
    }
    int state = -1;
    ct_eq_i64(waitpid(child, &state, 0), child);
    ct_eq_i64(WEXITSTATUS(state), 0);
    ct_api()->close(context);
}

/* --------------------------------------------------------------------- ranks that exchange */

static sluice_context *open_exchanging(const sluice_comm *comm, int32_t flags, int64_t timeout_ns)
{
    sluice_router router = {.struct_size = sizeof router, .experts = E, .top_k = K};
    sluice_config config = ct_config(&router, 1, 0, 1);
    const sluice_transport transport = {
        .struct_size = sizeof transport, .max_tokens = 2, .payload_row_bytes = 4};
    config.comm = comm;
    config.max_ranks = 2;
    config.transport = &transport;
    config.uses = SLUICE_USE_EXACT;
    config.flags = flags;
    config.timeout_ns = timeout_ns;
    return ct_open(&config);
}

/* COUNT of one token that goes to both ranks; how many rows come. */
static sluice_status count(sluice_context *context, int64_t *rows)
{
    int32_t slots[K] = {0, E - 1};
    sluice_handle handle;
    const sluice_dispatch_args args = {.struct_size = sizeof args,
                                       .phase = SLUICE_DISPATCH_COUNT,
                                       .handle = &handle,
                                       .dispatch_ids = ct_tensor(slots, CT_I32, 1, K),
                                       .row_count = rows};
    return ct_api()->dispatch(context, &args);
}

CT(ranks, newcomer_needs_callbacks,
   "a newcomer that exchanges cannot go on with a comm that has no callbacks")
{
    const sluice_comm comm = {.struct_size = sizeof comm, .rank = 1, .size = 2};
    sluice_context *context = open_exchanging(&comm, SLUICE_OPEN_JOIN, 0);
    ct_true(context != NULL);
    const uint8_t both[2] = {1, 1}, self[2] = {0, 1};
    const sluice_comm alone = {.struct_size = sizeof alone, .size = 1};
    int64_t rows = -9;
    ct_expect_eq_i64(set(context, 1, both, &comm), SLUICE_INVALID);
    ct_expect_str_has(ct_error(context), "ranks.comm has no all_gather and all_to_all");
    ct_expect_eq_i64(set(context, 1, both, NULL), SLUICE_INVALID);
    ct_expect_str_has(ct_error(context), "ranks.comm is NULL");
    ct_expect_eq_i64(api()->generation(context), 0);
    ct_eq_i64(set(context, 9, self, &alone), SLUICE_OK);
    ct_eq_i64(count(context, &rows), SLUICE_OK); /* alone it needs none */
    ct_eq_i64(rows, 1);
    ct_api()->close(context);
}

CT(ranks, newcomer_needs_a_number, "JOIN without a comm is refused: which rank is it?")
{
    sluice_router router = {.struct_size = sizeof router, .experts = E, .top_k = K};
    sluice_config config = ct_config(&router, 1, 0, 1);
    config.comm = NULL;
    config.flags = SLUICE_OPEN_JOIN;
    char text[256];
    sluice_context *context = NULL;
    ct_eq_i64(ct_api()->open(&config, &context, text, sizeof text), SLUICE_INVALID);
    ct_str_has(text, "config.comm is NULL: a newcomer (JOIN) must say which rank it is");
}

struct meeting {
    sluice_comm_threads *group;
    sluice_status before[2], first[2], between[2], after[2];
    char text[2][256];
    int64_t rows[2];
    sluice_fault fault[2], cleared[2];
};

static void go_on(struct meeting *meeting, int32_t rank, sluice_context *context)
{
    const uint8_t both[2] = {1, 1};
    sluice_comm comm;
    sluice_comm_threads_get(meeting->group, rank, &comm);
    ct_expect_eq_i64(set(context, 3, both, &comm), SLUICE_OK);
    meeting->after[rank] = count(context, &meeting->rows[rank]);
}

/* Rank 0 serves alone; rank 1 joins; then both exchange. */
static void join(int32_t rank, void *argument)
{
    struct meeting *meeting = argument;
    const sluice_comm alone = {.struct_size = sizeof alone, .size = 1};
    const sluice_comm late = {.struct_size = sizeof late, .rank = 1, .size = 2};
    sluice_context *context =
        open_exchanging(rank ? &late : &alone, rank ? SLUICE_OPEN_JOIN : 0, 20000000000);
    ct_true(context != NULL);
    uint8_t alive[2];
    ct_expect_eq_i64(api()->alive(context, alive, 2), SLUICE_OK);
    ct_expect_eq_i64(alive[rank], 1);
    ct_expect_eq_i64(alive[!rank], 0);
    meeting->before[rank] = count(context, &meeting->rows[rank]);
    (void)ct_api()->last_error(context, meeting->text[rank], sizeof meeting->text[rank]);
    go_on(meeting, rank, context);
    ct_api()->close(context);
}

CT(ranks, newcomer, "a newcomer opens alone, is NOT_READY to exchange, and takes part after set")
{
    struct meeting *meeting = ct_alloc(sizeof *meeting);
    meeting->group = sluice_comm_threads_create(2, NULL);
    ct_run_ranks(2, join, meeting);
    sluice_comm_threads_destroy(meeting->group);
    ct_eq_i64(meeting->before[0], SLUICE_OK);
    ct_eq_i64(meeting->before[1], SLUICE_NOT_READY);
    ct_str_has(meeting->text[1], "set of sluice.ranks/1 must come first");
    for (int32_t r = 0; r < 2; r++) {
        ct_eq_i64(meeting->after[r], SLUICE_OK);
        ct_eq_i64(meeting->rows[r], 2);
    }
}

static void pause_ms(int64_t ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

/* Both quiesce before they dispatch: rank 0 with a generation that has passed, then in earnest. */
static void be_quiet(int32_t rank, void *argument)
{
    struct meeting *meeting = argument;
    sluice_comm comm;
    sluice_comm_threads_get(meeting->group, rank, &comm);
    sluice_context *context = open_exchanging(&comm, 0, 20000000000);
    ct_true(context != NULL);
    const uint8_t both[2] = {1, 1};
    ct_expect_eq_i64(set(context, 2, both, NULL), SLUICE_OK);
    ct_expect_eq_i64(api()->quiesce(context, 1), SLUICE_OK);
    meeting->before[rank] = count(context, &meeting->rows[rank]);
    ct_expect_eq_i64(api()->quiesce(context, 2), SLUICE_OK);
    meeting->first[rank] = count(context, &meeting->rows[rank]);
    (void)ct_api()->last_error(context, meeting->text[rank], sizeof meeting->text[rank]);
    meeting->between[rank] = count(context, &meeting->rows[rank]);
    meeting->fault[rank].struct_size = meeting->cleared[rank].struct_size = sizeof(sluice_fault);
    ct_expect_eq_i64(api()->poll(context, &meeting->fault[rank]), SLUICE_OK);
    ct_expect_eq_i64(api()->clear(context), SLUICE_OK);
    ct_expect_eq_i64(api()->poll(context, &meeting->cleared[rank]), SLUICE_OK);
    go_on(meeting, rank, context);
    ct_api()->close(context);
}

CT(ranks, quiesce_of_the_present,
   "quiesce of a generation that has passed does nothing; of the present one ends waits until set")
{
    struct meeting *meeting = ct_alloc(sizeof *meeting);
    meeting->group = sluice_comm_threads_create(2, NULL);
    ct_run_ranks(2, be_quiet, meeting);
    sluice_comm_threads_destroy(meeting->group);
    for (int32_t r = 0; r < 2; r++) {
        ct_note("rank %d: %s", r, meeting->text[r]);
        ct_eq_i64(meeting->before[r], SLUICE_OK);
        ct_eq_i64(meeting->first[r], SLUICE_CANCELLED);
        ct_str_has(meeting->text[r], "wait was ended by quiesce");
        ct_eq_i64(meeting->between[r], SLUICE_NOT_READY);
        ct_eq_i64(meeting->after[r], SLUICE_OK);
        ct_eq_i64(meeting->rows[r], 2);
        ct_eq_i64(meeting->fault[r].kind, SLUICE_FAULT_PEER);
        ct_eq_i64(meeting->fault[r].op, SLUICE_OP_DISPATCH);
        ct_eq_u64(meeting->fault[r].count, 1);
        ct_eq_i64(meeting->cleared[r].kind, SLUICE_FAULT_NONE);
        ct_eq_u64(meeting->cleared[r].count, 0);
    }
}

struct watch {
    sluice_comm_threads *group;
    sluice_context *context;
    sluice_status status;
};

/* Thread 0 waits for a rank that never comes; thread 1 is its watchdog. */
static void watch(int32_t thread, void *argument)
{
    struct watch *world = argument;
    if (thread) {
        pause_ms(20);
        ct_expect_eq_i64(api()->quiesce(world->context, api()->generation(world->context)),
                         SLUICE_OK);
        return;
    }
    int64_t rows = -9;
    world->status = count(world->context, &rows);
    ct_expect_eq_i64(rows, -9);
}

static void open_pair(int32_t rank, void *argument)
{
    struct watch *world = argument;
    sluice_comm comm;
    sluice_comm_threads_get(world[0].group, rank, &comm);
    world[rank].context = open_exchanging(&comm, 0, 60000000000);
}

CT(ranks, quiesce_from_another_thread, "quiesce on another thread ends a wait that has begun")
{
    struct watch *world = ct_alloc(2 * sizeof *world);
    world[0].group = sluice_comm_threads_create(2, NULL);
    ct_run_ranks(2, open_pair, world);
    ct_true(world[0].context && world[1].context);
    ct_run_ranks(2, watch, &world[0]);
    ct_expect_eq_i64(world[0].status, SLUICE_CANCELLED);
    ct_api()->close(world[0].context);
    ct_api()->close(world[1].context);
    sluice_comm_threads_destroy(world[0].group);
}

CT(ranks, lost_peer, "a peer that does not come is PEER_LOST, named in text and fault record")
{
    struct watch *world = ct_alloc(2 * sizeof *world);
    world[0].group = sluice_comm_threads_create(2, NULL);
    sluice_comm comm[2];
    ct_run_ranks(2, open_pair, world);
    ct_true(world[0].context && world[1].context);
    /* A short time-out from here on: the same ranks, opened again. */
    const uint8_t both[2] = {1, 1};
    ct_api()->close(world[0].context);
    sluice_comm_threads_get(world[0].group, 0, &comm[0]);
    const sluice_comm none = {.struct_size = sizeof none, .size = 2};
    world[0].context = open_exchanging(&none, SLUICE_OPEN_JOIN, 20000000);
    ct_true(world[0].context != NULL);
    ct_expect_eq_i64(set(world[0].context, 1, both, &comm[0]), SLUICE_OK);
    int64_t rows;
    ct_expect_eq_i64(count(world[0].context, &rows), SLUICE_PEER_LOST);
    ct_expect_str_has(ct_error(world[0].context),
                      "rank 1 did not come to dispatch COUNT of layer 0");
    sluice_fault fault = {.struct_size = sizeof fault};
    ct_expect_eq_i64(api()->poll(world[0].context, &fault), SLUICE_OK);
    ct_expect_eq_i64(fault.kind, SLUICE_FAULT_PEER);
    ct_expect_eq_i64(fault.rank, 1);
    ct_expect_eq_i64(fault.layer, 0);
    ct_expect_eq_i64(fault.op, SLUICE_OP_DISPATCH);
    ct_expect_eq_i64(count(world[0].context, &rows), SLUICE_NOT_READY);
    ct_api()->close(world[0].context);
    ct_api()->close(world[1].context);
    sluice_comm_threads_destroy(world[0].group);
}
