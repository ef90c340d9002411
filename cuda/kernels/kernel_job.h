/* SPDX-License-Identifier: Apache-2.0
 * What a kernel is told: one struct by value, the same for all of them, so that host and device
 * read it from one place. Pointers are the device's. */
#ifndef SLC_KERNEL_JOB_H
#define SLC_KERNEL_JOB_H

#include <stdbool.h>

#include "../../src/core/choose.h"

struct slc_floats {
    float *data;    /* NULL: absent */
    int64_t stride; /* elements from row to row */
};

/* How choices become copies; see sl_remap of src/core/remap.h. */
struct slc_map {
    const int32_t *start, *copies;       /* of living copies: [E+2], [P+1] */
    const int32_t *chosen, *chosen_slot; /* [E+1] */
    const int32_t *living; /* how many ranks live, then their ids: a graph may outlive them */
    int64_t *calls;        /* RANDOM: calls executed of this layer; a launch adds 1 */
    uint32_t *done;        /* RANDOM: blocks of a launch that have ended */
    uint64_t seed;
    int64_t step, row_base; /* where the tensors are absent */
    float shared_constant, shared_divisor;
    int32_t experts, slots, local, shared; /* E, N, L, F as slots */
    int32_t rank, ranks, physical;         /* W, P */
    int32_t random, by_row, layer;
    int32_t step_given; /* 1: by the tensor or `step`; 0: calls are counted */
};

struct slc_job {
    struct sl_rule rule;
    int32_t reserved;
    struct sl_choose_io io; /* valid_rows: where num_valid is absent */
    int64_t rows;
    struct sl_ids num_valid, step, row_base; /* scalars on the device */
    struct slc_map map;
    /* remap's and record's inputs */
    struct sl_ids in_ids;
    struct slc_floats in_weights, in_shared, in_zero;
    /* outputs */
    struct sl_ids ids, dispatch_ids, recorder_ids;
    struct slc_floats weights, shared_weights, zero_weight, dispatch_weights, zero_here;
    uint64_t *counters; /* [P]; NULL: nothing is counted */
    uint64_t *rejected, *dead;
    int64_t columns; /* record: of in_ids */
};

enum { SLC_WARP = 32, SLC_MOST_WARPS = 8 };

/* Does a rule suit the kernels that keep 256 columns in registers? */
static inline bool slc_wide(const struct sl_rule *rule)
{
    bool runs = rule->groups <= SLC_WARP && (rule->groups & (rule->groups - 1)) == 0;
    return rule->columns == 256 && rule->zero_experts == 0 && rule->score != SLUICE_SCORE_SOFTMAX &&
           rule->shared_weight != SLUICE_SHARED_JOINT && rule->group_mode == SLUICE_GROUPS_LIMIT &&
           runs;
}

/* Shared memory of a block that has bins and the static map of its own (block_bins.cuh). */
SL_INLINE int32_t slc_block_bytes(const struct slc_map *map)
{
    int32_t tables = map->shared > 0 ? 2 : 1;
    return (map->physical + tables * map->experts) * 4;
}

/* Shared memory of one warp: x and the rank key of every column, a value of every group. */
SL_INLINE int32_t slc_warp_bytes(int32_t columns)
{
    return columns * 8 + SL_MAX_GROUPS * 4;
}

#endif
