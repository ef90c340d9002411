/* SPDX-License-Identifier: Apache-2.0
 * topk, remap and route are one walk over blocks of rows: choose (or read the choices), map, count,
 * each while the block is in the first cache level. */
#ifndef SL_CPU_BLOCKS_H
#define SL_CPU_BLOCKS_H

#include "../backend/bk_call.h"
#include "../core/remap.h"
#include "cpu_context.h"

struct sl_walk {
    struct sl_call call;

    bool chooses;         /* topk and route; remap reads in_ids and in_weights of the call */
    bool maps;            /* remap and route */
    bool counts;          /* route */
    sl_choose_fn *choose; /* of the layer */

    struct sl_remap remap;
    int64_t *load;    /* waterfill: [parts][ranks] choices by destination, zeroed by the caller */
    bool later;       /* balance: choices stay experts in this pass */
    int32_t entries;  /* balance: experts or physical experts, whatever the choices are */
    uint64_t *chosen; /* balance: [parts][entries] choices, zeroed by the caller; then the first
                       * has those of all */
    bool holds;       /* the call may fail after the run: counts wait beside the bank's */
    struct sl_remap_tally tally;
};

/* Runs the walk on the context's threads. The second pass of waterfill and balance is the caller's
 * (cpu_waterfill.c, cpu_balance.c). */
void sl_walk_run(struct sl_walk *walk);

/* Runs `run` on the parts that sl_walk_run ran on: part `index` has rows [from, to). */
void sl_walk_again(const struct sl_walk *walk, sl_job_fn *run, void *job);
void sl_walk_part(const struct sl_walk *walk, int32_t index, int32_t parts, int64_t *from,
                  int64_t *to);

/* Where the calling thread counts for the walk: [P]. */
uint64_t *sl_walk_counters(const struct sl_walk *walk);

/* One of these ends each run that maps: its counts and tallies become the context's, or (only with
 * holds) leave no trace. */
void sl_walk_keep(struct sl_walk *walk);
void sl_walk_drop(struct sl_walk *walk);

#endif
