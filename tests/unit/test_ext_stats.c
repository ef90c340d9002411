/* sluice.stats/1: calls, refused ids, bytes, time. */
#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/ext/balance.h"
#include "abi/ext/placement.h"
#include "abi/ext/ranks.h"
#include "args_world.h"
#include "ct.h"
#include "ct_ranks.h"
#include "src/comm/comm_threads.h"

static const sluice_stats_api *api(void)
{
    return ct_api()->extension(SLUICE_EXT_STATS);
}

static sluice_stats stats_of(sluice_context *context)
{
    sluice_stats stats = {.struct_size = sizeof stats};
    ct_expect_eq_i64(api()->read(context, &stats), SLUICE_OK);
    return stats;
}

/* What each operation of the table counts as. */
static const int32_t COUNTS_AS[AW_OPS] = {
    [AW_TOPK] = SLUICE_OP_TOPK,
    [AW_REMAP] = SLUICE_OP_REMAP,
    [AW_RECORD] = SLUICE_OP_RECORD,
    [AW_WEIGHTS] = SLUICE_OP_WEIGHTS,
    [AW_COUNT] = -1,
    [AW_SEND] = SLUICE_OP_DISPATCH,
    [AW_FIXED] = SLUICE_OP_DISPATCH,
    [AW_COMBINE] = SLUICE_OP_COMBINE,
    [AW_ROUTE] = SLUICE_OP_ROUTE,
    [AW_SLOTS] = SLUICE_OP_RECORD,
};

static void call_one(struct aw *world, int32_t op)
{
    aw_good(world, (enum aw_op)op, 0);
    if (op == AW_COUNT)
        world->args.dispatch.handle = &world->counted;
    if (op == AW_FIXED)
        world->args.dispatch.handle = &world->sent;
    ct_expect_eq_i64(aw_call(world, (enum aw_op)op), SLUICE_OK);
}

CT(stats, calls, "every call counts once as its operation, COUNT and SEND as one, route as itself")
{
    struct aw *world = aw_make();
    ct_true(world != NULL);
    ct_eq_i64(api()->reset(world->context), SLUICE_OK);
    uint64_t want[SLUICE_OP_COUNT] = {0};
    for (int32_t op = 0; op < AW_OPS; op++)
        for (int32_t i = 0; i <= (op == AW_SEND || op == AW_COUNT ? 0 : op); i++) {
            ct_note("operation %d", op);
            call_one(world, op);
            if (COUNTS_AS[op] >= 0)
                want[COUNTS_AS[op]]++;
            sluice_stats stats = stats_of(world->context);
            ct_eq_mem(stats.calls, want, sizeof want);
        }
    aw_close(world);
}

CT(stats, failed_calls, "a call that is refused does not count")
{
    struct aw *world = aw_make();
    ct_true(world != NULL);
    const sluice_stats before = stats_of(world->context);
    for (int32_t op = 0; op < AW_OPS; op++) {
        aw_good(world, (enum aw_op)op, 0);
        world->no_args = true;
        ct_eq_i64(aw_call(world, (enum aw_op)op), SLUICE_INVALID);
    }
    const sluice_stats after = stats_of(world->context);
    ct_eq_mem(&after, &before, sizeof before);
    aw_close(world);
}

/* ---------------------------------------------------------------------------- ids out of range */

CT(stats, rejected_by_operation, "an id out of range counts at the operation that met it; -1 never")
{
    struct aw *world = aw_make();
    ct_true(world != NULL);
    world->in.ids[0] = AW_E; /* a zero expert's id: no expert to remap, no counter either */
    world->in.ids[1] = -2;
    world->in.ids[2] = -1;
    world->in.dispatch_ids[0] = AW_L;
    world->in.dispatch_ids[1] = -5;
    world->in.dispatch_ids[2] = -1;
    world->in.dispatch_ids[3] = 1 << 30;
    ct_eq_i64(api()->reset(world->context), SLUICE_OK);
    for (int32_t op = 0; op < AW_OPS; op++)
        if (op != AW_SLOTS)
            call_one(world, op);
    const sluice_stats stats = stats_of(world->context);
    ct_eq_u64(stats.rejected[SLUICE_OP_TOPK], 0);
    ct_eq_u64(stats.rejected[SLUICE_OP_REMAP], 2);
    ct_eq_u64(stats.rejected[SLUICE_OP_RECORD], 2);
    ct_eq_u64(stats.rejected[SLUICE_OP_DISPATCH], 6); /* COUNT and FIXED; SEND reads COUNT's */
    ct_eq_u64(stats.rejected[SLUICE_OP_COMBINE], 0);
    ct_eq_u64(stats.rejected[SLUICE_OP_ROUTE], 0);
    ct_eq_u64(stats.dead, 0);
    aw_close(world);
}

CT(stats, rejected_wide, "an id beyond 32 bits is rejected, not cut")
{
    struct aw *world = aw_make();
    ct_true(world != NULL);
    int64_t ids[AW_K] = {(int64_t)1 << 32, INT64_MIN, INT64_MAX};
    int32_t slots[AW_C];
    const sluice_record_args record = {.struct_size = sizeof record,
                                       .recorder_ids = ct_tensor(ids, CT_I64, 1, AW_K)};
    const sluice_remap_args remap = {.struct_size = sizeof remap,
                                     .layer = 1,
                                     .ids = ct_tensor(ids, CT_I64, 1, AW_K),
                                     .dispatch_ids = ct_tensor(slots, CT_I32, 1, AW_C)};
    ct_eq_i64(ct_api()->record(world->context, &record), SLUICE_OK);
    ct_eq_i64(ct_api()->remap(world->context, &remap), SLUICE_OK);
    const sluice_stats stats = stats_of(world->context);
    ct_eq_u64(stats.rejected[SLUICE_OP_RECORD], 3);
    ct_eq_u64(stats.rejected[SLUICE_OP_REMAP], 3);
    for (int32_t k = 0; k < AW_K; k++)
        ct_eq_i64(slots[k], -1);
    aw_close(world);
}

CT(stats, dead, "choices whose expert has no living copy count as dead, not as rejected")
{
    sluice_router router = {.struct_size = sizeof router, .experts = 4, .top_k = 2};
    sluice_config config = ct_config(&router, 1, 0, 2);
    sluice_context *context = ct_open(&config);
    ct_true(context != NULL);
    const sluice_ranks_api *ranks = ct_api()->extension(SLUICE_EXT_RANKS);
    const uint8_t alive[2] = {1, 0};
    const sluice_comm comm = {.struct_size = sizeof comm, .size = 1};
    const sluice_ranks verdict = {
        .struct_size = sizeof verdict, .generation = 1, .alive = alive, .comm = &comm};
    ct_eq_i64(ranks->set(context, &verdict, NULL), SLUICE_OK);
    int32_t ids[6] = {0, 2, 3, 2, 1, -1}, slots[6];
    const sluice_remap_args args = {.struct_size = sizeof args,
                                    .ids = ct_tensor(ids, CT_I32, 3, 2),
                                    .dispatch_ids = ct_tensor(slots, CT_I32, 3, 2)};
    ct_eq_i64(ct_api()->remap(context, &args), SLUICE_OK);
    const sluice_stats stats = stats_of(context);
    ct_eq_u64(stats.dead, 3);
    ct_eq_u64(stats.rejected[SLUICE_OP_REMAP], 0);
    ct_api()->close(context);
}

/* ------------------------------------------------------------------------------------- bytes */

enum { T = 4, H = 6, ROW = H * 4 };

struct wire {
    sluice_comm_threads *group;
    int32_t order;
    int64_t capacity; /* of rows, 0: as many as come */
    bool stale;       /* step balance's counts ride along */
    sluice_stats stats[2];
    sluice_needs needs[2];
    sluice_fault fault[2];
};

/* Tokens of rank r choose (r, r'), all of two ranks, each on one rank: columns by token. */
static const int32_t SLOTS_OF[2][T][2] = {{{0, 1}, {0, 2}, {2, 3}, {-1, 3}},
                                          {{2, 3}, {-1, -1}, {2, 2}, {1, 0}}};

static void travel(struct wire *wire, int32_t rank, sluice_context *context)
{
    float x[T * H], rows[16 * H], out[T * H], weights[T * 2];
    int32_t ids[T * 2];
    memcpy(ids, SLOTS_OF[rank], sizeof ids);
    ct_fill(x, (int64_t)T * H, 1.0F, 1);
    ct_fill(rows, (int64_t)16 * H, 1.0F, 2);
    ct_fill(weights, (int64_t)T * 2, 1.0F, 3);
    const sluice_tensor *payload = ct_tensor(x, CT_F32, T, H),
                        *row = ct_tensor(rows, CT_F32, 16, H);
    sluice_handle handle;
    const sluice_dispatch_args dispatch = {.struct_size = sizeof dispatch,
                                           .phase = SLUICE_DISPATCH_FIXED,
                                           .handle = &handle,
                                           .payload_count = 1,
                                           .payloads = &payload,
                                           .dispatch_ids = ct_tensor(ids, CT_I32, T, 2),
                                           .dispatch_weights = ct_tensor(weights, CT_F32, T, 2),
                                           .rows = &row};
    ct_expect_eq_i64(ct_api()->dispatch(context, &dispatch),
                     wire->capacity ? SLUICE_OVERFLOW : SLUICE_OK);
    const sluice_combine_args combine = {.struct_size = sizeof combine,
                                         .handle = &handle,
                                         .rows = row,
                                         .out = ct_tensor(out, CT_F32, T, H)};
    ct_expect_eq_i64(ct_api()->combine(context, &combine), SLUICE_OK);
}

static void run_wire(int32_t rank, void *argument)
{
    struct wire *wire = argument;
    sluice_router router = {.struct_size = sizeof router, .experts = 4, .top_k = 2};
    sluice_config config = ct_config(&router, 1, rank, 2);
    sluice_comm comm;
    sluice_comm_threads_get(wire->group, rank, &comm);
    const sluice_transport transport = {.struct_size = sizeof transport,
                                        .fixed_tokens = T,
                                        .payload_row_bytes = ROW,
                                        .capacity_rows = wire->capacity,
                                        .combine_order = wire->order};
    config.comm = &comm;
    config.transport = &transport;
    config.uses = SLUICE_USE_FIXED;
    config.timeout_ns = 20000000000;
    wire->needs[rank].struct_size = sizeof wire->needs[rank];
    config.needs = &wire->needs[rank];
    if (wire->stale)
        config.copy_policy = SLUICE_COPY_BALANCED;
    sluice_context *context = ct_open(&config);
    ct_true(context != NULL);
    const sluice_balance_config stale = {.struct_size = sizeof stale, .mode = SLUICE_BALANCE_STALE};
    const sluice_balance_api *balance = ct_api()->extension(SLUICE_EXT_BALANCE);
    if (wire->stale)
        ct_expect_eq_i64(balance->configure(context, -1, &stale), SLUICE_OK);
    travel(wire, rank, context);
    wire->stats[rank] = stats_of(context);
    const sluice_ranks_api *ranks = ct_api()->extension(SLUICE_EXT_RANKS);
    wire->fault[rank].struct_size = sizeof wire->fault[rank];
    ct_expect_eq_i64(ranks->poll(context, &wire->fault[rank]), SLUICE_OK);
    ct_api()->close(context);
}

static struct wire *send_all(struct wire given)
{
    struct wire *wire = ct_alloc(sizeof *wire);
    *wire = given;
    wire->group = sluice_comm_threads_create(2, NULL);
    ct_run_ranks(2, run_wire, wire);
    sluice_comm_threads_destroy(wire->group);
    return wire;
}

static struct wire *send_both(int32_t order, int64_t capacity)
{
    return send_all((struct wire){.order = order, .capacity = capacity});
}

CT(stats, bytes_of_exact,
   "useful bytes: a token's payload once for each other rank, a row for each "
   "choice that comes back; moved bytes are more")
{
    const struct wire *wire = send_both(SLUICE_COMBINE_EXACT, 0);
    /* Rank 0 sends its tokens 1, 2, 3; rank 1 its token 3. Rank 1 returns 4 rows, rank 0 two. */
    ct_eq_u64(wire->stats[0].dispatch_useful, 3 * ROW);
    ct_eq_u64(wire->stats[1].dispatch_useful, 1 * ROW);
    ct_eq_u64(wire->stats[0].combine_useful, 2 * ROW);
    ct_eq_u64(wire->stats[1].combine_useful, 4 * ROW);
    for (int32_t r = 0; r < 2; r++) {
        ct_true(wire->stats[r].dispatch_moved > wire->stats[r].dispatch_useful);
        ct_true(wire->stats[r].combine_moved > wire->stats[r].combine_useful);
        ct_eq_u64(wire->stats[r].overflows, 0);
        ct_eq_i64(wire->fault[r].kind, SLUICE_FAULT_NONE);
    }
}

CT(stats, bytes_of_per_rank, "with PER_RANK one row a token comes back from each other rank")
{
    const struct wire *wire = send_both(SLUICE_COMBINE_PER_RANK, 0);
    ct_eq_u64(wire->stats[0].combine_useful, 1 * ROW);
    ct_eq_u64(wire->stats[1].combine_useful, 3 * ROW);
}

CT(stats, bytes_needed, "what moves is within needs, with what frames it and the counts of STALE")
{
    for (int32_t order = 0; order < 2; order++) {
        const struct wire *plain = send_all((struct wire){.order = order});
        const struct wire *stale = send_all((struct wire){.order = order, .stale = true});
        for (int32_t r = 0; r < 2; r++) {
            /* 4 experts and the number of rows, to the one other rank */
            ct_eq_u64(stale->stats[r].dispatch_moved - plain->stats[r].dispatch_moved, 5 * 4);
            ct_true((int64_t)stale->stats[r].dispatch_moved <= stale->needs[r].dispatch_wire_bytes);
            ct_true((int64_t)plain->stats[r].dispatch_moved <= plain->needs[r].dispatch_wire_bytes);
            ct_true((int64_t)plain->stats[r].combine_moved <= plain->needs[r].combine_wire_bytes);
        }
    }
}

CT(stats, overflows,
   "a dispatch that dropped something counts as a call and as an overflow, on all")
{
    const struct wire *wire = send_both(SLUICE_COMBINE_EXACT, 6);
    /* Rank 0 gets 5 rows and has room; rank 1 gets 8. */
    for (int32_t r = 0; r < 2; r++) {
        ct_note("rank %d", r);
        ct_eq_u64(wire->stats[r].overflows, 1);
        ct_eq_u64(wire->stats[r].calls[SLUICE_OP_DISPATCH], 1);
        ct_eq_u64(wire->stats[r].calls[SLUICE_OP_COMBINE], 1);
        ct_eq_i64(wire->fault[r].kind, SLUICE_FAULT_OVERFLOW);
        ct_eq_i64(wire->fault[r].op, SLUICE_OP_DISPATCH);
        ct_eq_i64(wire->fault[r].rank, 1);
        ct_eq_i64(wire->fault[r].capacity, 2);
        ct_eq_i64(wire->fault[r].had, 6);
        ct_eq_i64(wire->fault[r].needed, 8);
        ct_eq_u64(wire->fault[r].count, 1);
    }
}

CT(stats, alone_moves_nothing, "one rank alone sends no byte")
{
    struct aw *world = aw_make();
    ct_true(world != NULL);
    call_one(world, AW_COMBINE);
    const sluice_stats stats = stats_of(world->context);
    ct_eq_u64(stats.dispatch_useful, 0);
    ct_eq_u64(stats.dispatch_moved, 0);
    ct_eq_u64(stats.combine_useful, 0);
    ct_eq_u64(stats.combine_moved, 0);
    aw_close(world);
}

/* -------------------------------------------------------------------------------------- time */

enum { TICK = 1000 };

static int64_t tick(void *user)
{
    int64_t *reads = user;
    return ++*reads * TICK;
}

/* A context with a clock that counts how often it is read. */
static sluice_context *open_clock(int64_t *reads)
{
    sluice_router router = {.struct_size = sizeof router, .experts = 4, .top_k = 2};
    sluice_config config = ct_config(&router, 1, 0, 1);
    const sluice_host host = {.struct_size = sizeof host, .user = reads, .clock = tick};
    const sluice_transport transport = {
        .struct_size = sizeof transport, .max_tokens = 1, .payload_row_bytes = 4};
    config.host = &host;
    config.transport = &transport;
    config.uses = SLUICE_USE_EXACT;
    return ct_open(&config);
}

struct trip {
    int32_t ids[2];
    float x[1], weights[2], rows[2], out[1];
    int64_t count;
    sluice_handle handle;
};

static sluice_status dispatch(sluice_context *context, struct trip *trip, int32_t phase)
{
    const sluice_tensor *x = ct_tensor(trip->x, CT_F32, 1, 1),
                        *rows = ct_tensor(trip->rows, CT_F32, 2, 1);
    const sluice_dispatch_args args = {.struct_size = sizeof args,
                                       .phase = phase,
                                       .handle = &trip->handle,
                                       .payload_count = phase == SLUICE_DISPATCH_SEND,
                                       .payloads = &x,
                                       .dispatch_ids = ct_tensor(trip->ids, CT_I32, 1, 2),
                                       .dispatch_weights = ct_tensor(trip->weights, CT_F32, 1, 2),
                                       .rows = &rows,
                                       .row_count = &trip->count};
    return ct_api()->dispatch(context, &args);
}

static sluice_status record(sluice_context *context, struct trip *trip)
{
    const sluice_record_args args = {.struct_size = sizeof args,
                                     .recorder_ids = ct_tensor(trip->ids, CT_I32, 1, 2)};
    return ct_api()->record(context, &args);
}

CT(stats, time_is_off_at_open, "until timing is on the clock is never read and no time counted")
{
    int64_t reads = 0;
    sluice_context *context = open_clock(&reads);
    ct_true(context != NULL);
    struct trip trip = {.ids = {0, 3}};
    ct_eq_i64(record(context, &trip), SLUICE_OK);
    ct_eq_i64(dispatch(context, &trip, SLUICE_DISPATCH_COUNT), SLUICE_OK);
    ct_eq_i64(dispatch(context, &trip, SLUICE_DISPATCH_SEND), SLUICE_OK);
    ct_eq_i64(reads, 0);
    const sluice_stats stats = stats_of(context);
    const uint64_t zeros[SLUICE_OP_COUNT] = {0};
    ct_eq_mem(stats.nanoseconds, zeros, sizeof zeros);
    ct_api()->close(context);
}

CT(stats, time_by_the_clock, "with timing on each call adds its time by the engine's clock")
{
    int64_t reads = 0;
    sluice_context *context = open_clock(&reads);
    ct_true(context != NULL);
    struct trip trip = {.ids = {0, 3}};
    ct_eq_i64(api()->set_timing(context, 1), SLUICE_OK);
    for (int32_t i = 0; i < 3; i++)
        ct_eq_i64(record(context, &trip), SLUICE_OK);
    ct_eq_u64(stats_of(context).nanoseconds[SLUICE_OP_RECORD], 3 * TICK);
    ct_eq_i64(api()->set_timing(context, 0), SLUICE_OK);
    int64_t before = reads;
    ct_eq_i64(record(context, &trip), SLUICE_OK);
    ct_eq_i64(reads, before);
    ct_eq_u64(stats_of(context).nanoseconds[SLUICE_OP_RECORD], 3 * TICK);
    ct_api()->close(context);
}

CT(stats, time_of_count_and_send, "the time of a dispatch is COUNT's and SEND's")
{
    int64_t reads = 0;
    sluice_context *context = open_clock(&reads);
    ct_true(context != NULL);
    struct trip trip = {.ids = {0, 3}};
    ct_eq_i64(api()->set_timing(context, 1), SLUICE_OK);
    ct_eq_i64(dispatch(context, &trip, SLUICE_DISPATCH_COUNT), SLUICE_OK);
    ct_eq_i64(dispatch(context, &trip, SLUICE_DISPATCH_SEND), SLUICE_OK);
    const sluice_stats stats = stats_of(context);
    ct_eq_u64(stats.calls[SLUICE_OP_DISPATCH], 1);
    ct_eq_u64(stats.nanoseconds[SLUICE_OP_DISPATCH], 2 * TICK);
    ct_api()->close(context);
}

CT(stats, timing_refuses, "set_timing takes 0 or 1")
{
    int64_t reads = 0;
    sluice_context *context = open_clock(&reads);
    ct_true(context != NULL);
    struct trip trip = {.ids = {0, 3}};
    ct_eq_i64(api()->set_timing(context, 2), SLUICE_INVALID);
    ct_str_has(ct_error(context), "on is 2: must be 0 or 1");
    ct_eq_i64(api()->set_timing(NULL, 1), SLUICE_INVALID);
    ct_eq_i64(record(context, &trip), SLUICE_OK);
    ct_eq_i64(reads, 0);
    ct_api()->close(context);
}

/* ------------------------------------------------------------------------------ read and reset */

CT(stats, reset, "reset puts every number back to zero and leaves the counters of load alone")
{
    struct aw *world = aw_make();
    ct_true(world != NULL);
    world->in.ids[0] = 99;
    call_one(world, AW_RECORD);
    call_one(world, AW_REMAP);
    ct_eq_i64(api()->reset(world->context), SLUICE_OK);
    const sluice_stats stats = stats_of(world->context), zeros = {.struct_size = sizeof zeros};
    ct_eq_mem(&stats, &zeros, sizeof zeros);
    int64_t counts[AW_E], sum = 0;
    const sluice_load_api *load = ct_api()->extension(SLUICE_EXT_LOAD);
    ct_eq_i64(load->read(world->context, 0, ct_tensor(counts, CT_I64, AW_E, 0), NULL), SLUICE_OK);
    for (int32_t e = 0; e < AW_E; e++)
        sum += counts[e];
    ct_eq_i64(sum, AW_T * AW_K - 1);
    ct_eq_i64(api()->reset(NULL), SLUICE_INVALID);
    aw_close(world);
}

CT(stats, sizes, "read knows its own size: less is INVALID, more is left alone if zero")
{
    struct aw *world = aw_make();
    ct_true(world != NULL);
    struct {
        sluice_stats stats;
        uint64_t later;
    } newer = {.stats = {.struct_size = sizeof newer}};
    ct_eq_i64(api()->read(world->context, &newer.stats), SLUICE_OK);
    ct_eq_u64(newer.stats.struct_size, sizeof newer);
    ct_eq_u64(newer.stats.calls[SLUICE_OP_DISPATCH], 1);
    ct_eq_u64(newer.later, 0);
    sluice_stats small = {.struct_size = sizeof small - 8, .dead = 77};
    ct_eq_i64(api()->read(world->context, &small), SLUICE_INVALID);
    ct_str_has(ct_error(world->context), "stats.struct_size is ");
    ct_eq_u64(small.dead, 77);
    ct_eq_i64(api()->read(world->context, NULL), SLUICE_INVALID);
    ct_str_has(ct_error(world->context), "stats is NULL");
    ct_eq_i64(api()->read(NULL, &small), SLUICE_INVALID);
    aw_close(world);
}

CT(stats, child_after_fork, "in a child after fork read, reset and set_timing are NOT_READY")
{
    struct aw *world = aw_make();
    ct_true(world != NULL);
    pid_t child = fork();
    if (child == 0) {
        sluice_stats stats = {.struct_size = sizeof stats};
        _exit((api()->read(world->context, &stats) != SLUICE_NOT_READY) |
              (api()->reset(world->context) != SLUICE_NOT_READY) << 1 |
              (api()->set_timing(world->context, 1) != SLUICE_NOT_READY) << 2);
    }
    int state = -1;
    ct_eq_i64(waitpid(child, &state, 0), child);
    ct_eq_i64(WEXITSTATUS(state), 0);
    aw_close(world);
}
