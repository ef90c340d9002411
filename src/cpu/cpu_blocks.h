/* SPDX-License-Identifier: Apache-2.0
 * topk, remap and route are one walk over blocks of rows: choose (or read the choices), map, count,
 * each while the block is in the first cache level. */
#ifndef SL_CPU_BLOCKS_H
#define SL_CPU_BLOCKS_H

#include "cpu_args.h"

/* A dense [T, columns] output, or one with strides or another id type. */
struct sl_out {
    struct sl_view view; /* data NULL: not asked for */
    bool wanted;
};

struct sl_walk {
    sluice_context *context;
    struct sl_layer *layer;
    int64_t rows;

    bool chooses; /* topk and route; remap reads `ids` and `weights` below */
    bool maps;    /* remap and route */
    bool counts;  /* route */

    struct sl_choose_io io; /* also row_valid and valid_rows of remap */

    /* remap's inputs */
    struct sl_view in_ids, in_weights, in_shared, in_zero;

    struct sl_out ids, weights, shared_weights, zero_weight;               /* topk's outputs */
    struct sl_out dispatch_ids, dispatch_weights, recorder_ids, zero_here; /* remap's */

    struct sl_remap remap;
    bool waterfill;
    int64_t *load; /* waterfill: [parts][ranks] choices by destination, zeroed by the caller */
    bool balance;
    bool later;       /* balance: choices stay experts in this pass */
    int32_t entries;  /* balance: experts or physical experts, whatever the choices are */
    uint64_t *chosen; /* balance: [parts][entries] choices, zeroed by the caller */
    bool holds;       /* the call may fail after the run: counts wait beside the bank's */
    struct sl_remap_tally tally;
};

/* Runs the walk on the context's threads. The second pass of waterfill and balance is the caller's
 * (cpu_waterfill.c, cpu_balance.c). */
void sl_walk_run(struct sl_walk *walk);

/* Where the calling thread counts for the walk: [P]. */
uint64_t *sl_walk_counters(const struct sl_walk *walk);

/* One of these ends each run that maps: its counts and tallies become the context's, or (only with
 * holds) leave no trace. */
void sl_walk_keep(struct sl_walk *walk);
void sl_walk_drop(struct sl_walk *walk);

#endif
