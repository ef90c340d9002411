/* dispatch and combine where ranks differ, hold back or die. */
#include <string.h>

#include "abi/ext/placement.h"
#include "abi/ext/stats.h"
#include "ct.h"
#include "tests/faults/fault_world.h"

enum { ODD = 1 }; /* the rank that does something else */

/* All got MISMATCH; texts name the odd rank (or, at the odd one, another) and both parts. */
static void expect_mismatch(const struct fault_world *world, const char *ours, const char *odds)
{
    for (int32_t r = 0; r < FAULT_RANKS; r++) {
        fault_expect(world->all[r], SLUICE_MISMATCH, r == ODD ? "rank 0" : "rank 1");
        fault_expect(world->all[r], SLUICE_MISMATCH, ours);
        fault_expect(world->all[r], SLUICE_MISMATCH, odds);
    }
}

/* ------------------------------------------------------------------- ranks that do not agree */

static sluice_status differ(struct fault_world *world, struct step_rank *rank)
{
    bool odd = rank->number == ODD;
    switch (world->variant) {
    case 0: /* another call */
        return odd ? step_count(rank) : step_combine(rank);
    case 1: /* another layer */
        rank->layer = odd;
        return step_count(rank);
    default: /* another lane */
        rank->lane = odd;
        return step_count(rank);
    }
}

static void run_differ(struct fault_world *world, struct step_rank *rank)
{
    (void)ct_expect_eq_i64(step_run(rank), SLUICE_OK);
    sluice_status status = differ(world, rank);
    struct step_rank kept = *rank;
    rank->layer = rank->lane = 0;
    (void)ct_expect_eq_i64(step_count(rank), SLUICE_NOT_READY);
    fault_recover(rank, 1);
    rank->status = status;
    memcpy(rank->error, kept.error, sizeof kept.error);
}

static struct fault_world *differing(int32_t variant)
{
    struct fault_world *world = fault_world();
    world->config.layers = 2;
    world->config.draw.transport.lanes = 2;
    world->variant = variant;
    fault_world_run(world, run_differ);
    return world;
}

CT(dispatch_faults, other_call, "ranks in different calls are told which, and go on after set")
{
    expect_mismatch(differing(0), "combine of layer 0", "dispatch COUNT of layer 0");
}

CT(dispatch_faults, other_layer, "ranks in different layers are told which, and go on after set")
{
    expect_mismatch(differing(1), "COUNT of layer 0", "COUNT of layer 1");
}

CT(dispatch_faults, other_lane, "ranks in different lanes are told which, and go on after set")
{
    expect_mismatch(differing(2), "lane 0", "lane 1");
}

static void run_other_epoch(struct fault_world *world, struct step_rank *rank)
{
    (void)world;
    const sluice_placement_api *placement = ct_api()->extension(SLUICE_EXT_PLACEMENT);
    int32_t map[STEP_SLOTS];
    ct_eq_i64(placement->get(rank->context, 0, map, FAULT_RANKS * 11, NULL), SLUICE_OK);
    if (rank->number == ODD)
        ct_eq_i64(placement->set(rank->context, 0, map, FAULT_RANKS * 11, 5, NULL), SLUICE_OK);
    ct_eq_i64(step_map(rank), SLUICE_OK);
    (void)step_count(rank);
}

CT(dispatch_faults, other_epoch, "ranks with different placements are told the epoch of each")
{
    struct fault_world *world = fault_world();
    fault_world_run(world, run_other_epoch);
    expect_mismatch(world, "epoch", " 5");
}

static void run_other_generation(struct fault_world *world, struct step_rank *rank)
{
    ct_eq_i64(step_map(rank), SLUICE_OK);
    if (rank->number != ODD)
        ct_eq_i64(step_set(rank, 1, -1, NULL), SLUICE_OK);
    fault_together(world);
    sluice_status status = step_count(rank);
    struct step_rank kept = *rank;
    if (rank->number == ODD)
        ct_eq_i64(step_set(rank, 1, -1, NULL), SLUICE_OK);
    fault_recover(rank, 2);
    rank->status = status;
    memcpy(rank->error, kept.error, sizeof kept.error);
}

CT(dispatch_faults, other_generation,
   "a rank that missed a generation is waited for in vain, named, and goes on once it caught up")
{
    struct fault_world *world = fault_world();
    world->config.timeout_ns = ct_patience(300000000);
    fault_world_run(world, run_other_generation);
    for (int32_t r = 0; r < FAULT_RANKS; r++)
        fault_expect(world->all[r], SLUICE_PEER_LOST, r == ODD ? "rank 0" : "rank 1");
}

/* SEND of `count` payloads, which share the columns of the row from `columns` on. */
static sluice_status send_parts(struct step_rank *rank, int32_t count, int64_t columns)
{
    const struct move_world *draw = &rank->config->draw;
    const float *x = draw->x[rank->number * draw->per];
    const sluice_tensor *payloads[2], *rows[2];
    for (int32_t i = 0; i < count; i++) {
        void *from = (void *)(uintptr_t)(x + i * columns);
        int64_t width = count == 1 ? columns : i ? MOVE_H - columns : columns;
        payloads[i] = ct_strided(from, CT_F32, rank->tokens, width, MOVE_H);
        rows[i] = ct_strided(rank->in[0] + i * columns, CT_F32, rank->rows, width, MOVE_H);
    }
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .phase = SLUICE_DISPATCH_SEND,
                                 .handle = &rank->handle,
                                 .payload_count = count,
                                 .payloads = payloads,
                                 .rows = rows,
                                 .dispatch_ids = ct_tensor(rank->ids, CT_I32, rank->tokens, MOVE_C),
                                 .dispatch_weights =
                                     ct_tensor(rank->weights, CT_F32, rank->tokens, MOVE_C),
                                 .row_slot = ct_tensor(rank->row_slot, CT_I32, rank->rows, 0)};
    return step_note(rank, ct_api()->dispatch(rank->context, &args));
}

static void run_other_payloads(struct fault_world *world, struct step_rank *rank)
{
    ct_eq_i64(step_map(rank), SLUICE_OK);
    ct_eq_i64(step_count(rank), SLUICE_OK);
    if (rank->number != ODD)
        (void)send_parts(rank, 1, MOVE_H);
    else if (world->variant == 0)
        (void)send_parts(rank, 1, MOVE_H / 2);
    else
        (void)send_parts(rank, 2, MOVE_H / 2);
}

static void expect_other_payloads(int32_t variant)
{
    struct fault_world *world = fault_world();
    world->config.draw.transport.max_payloads = 2;
    world->variant = variant;
    fault_world_run(world, run_other_payloads);
    expect_mismatch(world, "dispatch SEND of layer 0", "payloads' bytes a token");
}

CT(dispatch_faults, other_payload_bytes, "ranks whose payloads have other lengths are told")
{
    expect_other_payloads(0);
}

CT(dispatch_faults, other_payload_count,
   "ranks that share the same bytes among another number of payloads are told")
{
    expect_other_payloads(1);
}

static void run_other_dtype(struct fault_world *world, struct step_rank *rank)
{
    (void)world;
    static const sluice_dtype types[] = {{SLUICE_FLOAT, 16, 1}, {SLUICE_BFLOAT, 16, 1}};
    (void)ct_expect_eq_i64(step_run(rank), SLUICE_OK);
    sluice_dtype type = types[rank->number == ODD];
    sluice_combine_args args = {.struct_size = sizeof args,
                                .handle = &rank->handle,
                                .rows = ct_tensor(rank->out, type, rank->rows, MOVE_H),
                                .out = ct_tensor(rank->home, type, rank->tokens, MOVE_H)};
    (void)step_note(rank, ct_api()->combine(rank->context, &args));
}

CT(dispatch_faults, other_combine_dtype, "ranks that combine float16 and bfloat16 are told")
{
    struct fault_world *world = fault_world();
    fault_world_run(world, run_other_dtype);
    expect_mismatch(world, "combine of layer 0", "length of the rows");
}

static void run_corrected(struct fault_world *world, struct step_rank *rank)
{
    (void)world;
    ct_eq_i64(step_map(rank), SLUICE_OK);
    if (rank->number == ODD) {
        rank->lane = 9;
        ct_eq_i64(step_count(rank), SLUICE_INVALID);
        ct_str_has(rank->error, "lane is 9");
        rank->lane = 0;
    }
    ct_eq_i64(step_run(rank), SLUICE_OK);
    (void)step_expect_literal(rank);
}

CT(dispatch_faults, invalid_is_repeated,
   "a rank whose arguments are wrong has not come: it repeats the call and nobody else notices")
{
    fault_world_run(fault_world(), run_corrected);
}

/* --------------------------------------------------------------------- set, quiesce, handles */

static void run_newcomer(struct fault_world *world, struct step_rank *rank)
{
    sluice_comm comm;
    sluice_comm_threads_get(world->group, rank->number, &comm);
    ct_eq_i64(step_map(rank), SLUICE_OK);
    if (rank->number == FAULT_RANKS - 1) {
        ct_eq_i64(step_count(rank), SLUICE_NOT_READY);
        ct_str_has(rank->error, "sluice.ranks/1");
    } else {
        ct_eq_i64(step_run(rank), SLUICE_OK);
        (void)step_expect_literal(rank);
    }
    ct_eq_i64(step_set(rank, 7, -1, &comm), SLUICE_OK);
    ct_eq_i64(step_ranks()->generation(rank->context), 7);
    ct_eq_i64(step_run(rank), SLUICE_OK);
    (void)step_expect_literal(rank);
}

CT(dispatch_faults, newcomer_waits_for_set,
   "a newcomer cannot exchange until set, then all ranks have the literal loop's bits")
{
    struct fault_world *world = fault_world();
    world->config.joins = true;
    fault_world_run(world, run_newcomer);
}

static void run_quiesced(struct fault_world *world, struct step_rank *rank)
{
    ct_eq_i64(step_map(rank), SLUICE_OK);
    if (rank->number == ODD) { /* does not come, and ends the waits of the others */
        for (int32_t r = 0; r < FAULT_RANKS; r++)
            ct_eq_i64(step_ranks()->quiesce(world->all[r]->context, 0), SLUICE_OK);
    }
    (void)step_count(rank);
    fault_expect(rank, SLUICE_CANCELLED, "quiesce");
    ct_eq_i64(step_count(rank), SLUICE_NOT_READY);
    fault_together(world); /* so that no late quiesce meets the next generation */
    fault_recover(rank, 1);
}

CT(dispatch_faults, quiesce_ends_waits,
   "quiesce from another thread ends a wait with CANCELLED, until set")
{
    fault_world_run(fault_world(), run_quiesced);
}

static void run_late_quiesce(struct fault_world *world, struct step_rank *rank)
{
    (void)world;
    ct_eq_i64(step_set(rank, 4, -1, NULL), SLUICE_OK);
    ct_eq_i64(step_ranks()->quiesce(rank->context, 3), SLUICE_OK);
    ct_eq_i64(step_run(rank), SLUICE_OK);
    (void)step_expect_literal(rank);
}

CT(dispatch_faults, late_quiesce_does_nothing,
   "quiesce of a generation that has passed ends no wait")
{
    fault_world_run(fault_world(), run_late_quiesce);
}

static void run_stale(struct fault_world *world, struct step_rank *rank)
{
    (void)world;
    ct_eq_i64(step_map(rank), SLUICE_OK);
    ct_eq_i64(step_count(rank), SLUICE_OK);
    sluice_handle old = rank->handle, fresh;
    ct_eq_i64(step_count(rank), SLUICE_OK);
    fresh = rank->handle;
    rank->handle = old;
    ct_eq_i64(step_send(rank), SLUICE_STALE);
    ct_str_has(rank->error, "handle");
    rank->handle = fresh;
    ct_eq_i64(step_send(rank), SLUICE_OK);
    step_compute(rank);
    rank->handle = old;
    ct_eq_i64(step_combine(rank), SLUICE_STALE);
    ct_str_has(rank->error, "handle");
    rank->handle = fresh;
    ct_eq_i64(step_combine(rank), SLUICE_OK);
    (void)step_expect_literal(rank);
}

CT(dispatch_faults, old_handles_are_stale,
   "SEND and combine with the handle of an earlier dispatch are STALE, with the present one right")
{
    fault_world_run(fault_world(), run_stale);
}

static void run_stale_after_set(struct fault_world *world, struct step_rank *rank)
{
    (void)world;
    ct_eq_i64(step_map(rank), SLUICE_OK);
    ct_eq_i64(step_count(rank), SLUICE_OK);
    ct_eq_i64(step_set(rank, 1, -1, NULL), SLUICE_OK);
    ct_eq_i64(step_send(rank), SLUICE_STALE);
    ct_eq_i64(step_run(rank), SLUICE_OK);
    ct_eq_i64(step_set(rank, 2, -1, NULL), SLUICE_OK);
    ct_eq_i64(step_combine(rank), SLUICE_STALE);
    ct_eq_i64(step_set(rank, 2, -1, NULL), SLUICE_STALE);
    ct_str_has(rank->error, "generation is 2");
    ct_eq_i64(step_set(rank, 1, -1, NULL), SLUICE_STALE);
    ct_eq_i64(step_ranks()->generation(rank->context), 2);
    ct_eq_i64(step_run(rank), SLUICE_OK);
    (void)step_expect_literal(rank);
}

CT(dispatch_faults, set_ends_handles,
   "after set every handle is STALE, and so is a generation that has passed")
{
    fault_world_run(fault_world(), run_stale_after_set);
}

static void run_masked(struct fault_world *world, struct step_rank *rank)
{
    const sluice_stats_api *stats = ct_api()->extension(SLUICE_EXT_STATS);
    sluice_stats numbers = {.struct_size = sizeof numbers};
    sluice_comm comm;
    ct_eq_i64(step_map(rank), SLUICE_OK);
    if (rank->number == ODD)
        return;
    uint64_t lost = 0;
    for (int32_t t = 0; t < rank->tokens; t++)
        for (int32_t c = 0; c < MOVE_C; c++)
            lost += rank->ids[t][c] >= 0 && rank->ids[t][c] / 12 == ODD;
    ct_true(lost > 0);
    sluice_comm_threads_get(world->fewer, rank->number > ODD, &comm);
    ct_eq_i64(step_set(rank, 1, ODD, &comm), SLUICE_OK);
    ct_eq_i64(step_count(rank), SLUICE_OK); /* ids of the time before: some are of the dead */
    ct_eq_i64(stats->read(rank->context, &numbers), SLUICE_OK);
    ct_eq_u64(numbers.rejected[SLUICE_OP_DISPATCH], lost);
    ct_eq_i64(step_run(rank), SLUICE_OK);
    (void)step_expect_literal(rank);
    for (int32_t t = 0; t < rank->tokens; t++)
        for (int32_t c = 0; c < MOVE_C; c++)
            ct_true(rank->ids[t][c] / 12 != ODD || rank->ids[t][c] < 0);
}

CT(dispatch_faults, dead_rank_gets_nothing,
   "after set slot ids of a dead rank send nothing and are counted, and new ones go elsewhere")
{
    fault_world_run(fault_world(), run_masked);
}

static void run_failed_count(struct fault_world *world, struct step_rank *rank)
{
    (void)world;
    const sluice_stats_api *stats = ct_api()->extension(SLUICE_EXT_STATS);
    sluice_stats numbers = {.struct_size = sizeof numbers};
    ct_eq_i64(step_map(rank), SLUICE_OK);
    rank->ids[0][0] = 12 * FAULT_RANKS; /* no such slot */
    ct_eq_i64(step_ranks()->quiesce(rank->context, 0), SLUICE_OK);
    ct_eq_i64(step_count(rank), SLUICE_CANCELLED);
    ct_eq_i64(step_count(rank), SLUICE_NOT_READY);
    ct_eq_i64(stats->read(rank->context, &numbers), SLUICE_OK);
    ct_eq_u64(numbers.rejected[SLUICE_OP_DISPATCH], 0);
}

CT(dispatch_faults, failed_count_counts_nothing,
   "a COUNT that fails does not count the ids that it would have rejected")
{
    fault_world_run(fault_world(), run_failed_count);
}

static void run_failed_remap(struct fault_world *world, struct step_rank *rank)
{
    (void)world;
    struct step_rank *calm = ct_alloc(sizeof *calm);
    ct_eq_i64(step_map(rank), SLUICE_OK);
    ct_eq_i64(step_map(rank), SLUICE_OK);
    *calm = *rank; /* the second draw */
    ct_api()->close(rank->context);
    rank->context = NULL;
    sluice_comm comm;
    sluice_comm_threads_get(world->group, rank->number, &comm);
    ct_eq_i64(step_open(rank, &comm), SLUICE_OK);
    ct_eq_i64(step_map(rank), SLUICE_OK);
    ct_true(memcmp(rank->ids, calm->ids, sizeof rank->ids) != 0);
    fault_together(world);
    ct_eq_i64(step_ranks()->quiesce(rank->context, 0), SLUICE_OK);
    ct_eq_i64(step_map(rank), SLUICE_CANCELLED);
    ct_eq_i64(step_map(rank), SLUICE_NOT_READY);
    ct_eq_i64(step_set(rank, 1, -1, NULL), SLUICE_OK);
    ct_eq_i64(step_map(rank), SLUICE_OK);
    ct_eq_mem(rank->ids, calm->ids, sizeof rank->ids);
}

CT(dispatch_faults, failed_remap_draws_nothing,
   "a collective remap that fails leaves the number of the next draw as it was")
{
    struct fault_world *world = fault_world();
    world->config.uses |= SLUICE_USE_BALANCE_NOW;
    world->config.shared_policy = SLUICE_SHARED_WATERFILL_DYNAMIC;
    world->config.copy_policy = SLUICE_COPY_RANDOM;
    fault_world_run(world, run_failed_remap);
}
