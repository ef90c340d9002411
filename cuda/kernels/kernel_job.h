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

/* What the kernels of gate_*.cuh are told; alike things side by side, which are read at once. */
struct __attribute__((aligned(16))) slc_out {
    char *data;
    int64_t reserved;
    int32_t row_bytes, kind, wide; /* wide: 1 of ids that are int64 */
    int32_t reserved2;
};
/* dispatch_ids, dispatch_weights, recorder_ids, ids, weights */
enum { SLC_OUT_SLOTS, SLC_OUT_GIVEN, SLC_OUT_COPIES, SLC_OUT_IDS, SLC_OUT_WEIGHTS };
struct __attribute__((aligned(16))) slc_gate {
    struct slc_out out[4]; /* none absent; one of them again where there are fewer */
    const char *logits;
    const float *bias; /* or NULL */
    const uint8_t *row_valid;
    const int32_t *chosen, *chosen_slot; /* [E+1] */
    unsigned long long *counters, *dead; /* counters: NULL, nothing is counted */
    char *weights;                       /* of route: a fifth output, or NULL */
    int32_t rows, live_rows, columns, top_k;
    int32_t logit_bytes, logit_type, weights_bytes, physical; /* bytes of a row */
    int32_t shared, shared_slot, experts, keep_groups;
    float renorm_floor, renorm_eps, scale, shared_weight; /* without renorm 0 and 1 */
    int32_t renorm, has_num_valid;
    int32_t unusual;     /* 1: shared slots or int64 ids */
    int32_t has_weights; /* 1: the fifth output */
};

struct slc_job {
    struct sl_rule rule;
    int32_t few;            /* SLC_FEW_...: topk and route */
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
    struct slc_gate gate;
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

/* ---- which rules the kernels of gate_*.cuh are for, and their shared memory */

struct slc_gate_size {
    int32_t room, each, warp_bytes; /* as in gate_kernel.cuh */
};
static const struct slc_gate_size SLC_LIMIT_SIZE = {256, 8, 16 * 8 * (4 + 4 + 1)};
static const struct slc_gate_size SLC_SMALL_SIZE = {128, 4, 128 * 4};

/* What they have in common: logits as they are, and nothing else in a row's choice. */
SL_INLINE bool slc_plain(const struct sl_rule *rule)
{
    return rule->zero_experts == 0 && rule->top_k <= 8 && rule->bias_rows <= 1 &&
           rule->logit_scale == 1 && rule->logit_cap == 0 &&
           rule->shared_weight == SLUICE_SHARED_ONE && rule->group_mode == SLUICE_GROUPS_LIMIT;
}

SL_INLINE bool slc_limited(const struct sl_rule *rule)
{
    return slc_plain(rule) && rule->columns == 256 && rule->score == SLUICE_SCORE_SIGMOID &&
           rule->bias_use == SLUICE_BIAS_SCORE && rule->group_value == SLUICE_GROUP_TOP2 &&
           rule->groups == 8 && rule->keep_groups <= 4;
}

SL_INLINE bool slc_small(const struct sl_rule *rule)
{
    return slc_plain(rule) && rule->columns <= 128 && rule->columns % 4 == 0 &&
           rule->keep_groups == rule->groups;
}

SL_INLINE bool slc_small_soft(const struct sl_rule *rule)
{
    return slc_small(rule) && rule->sum_cancels &&
           (rule->bias_use == SLUICE_BIAS_NONE || rule->bias_use == SLUICE_BIAS_LOGIT);
}

SL_INLINE bool slc_small_sigmoid(const struct sl_rule *rule)
{
    return slc_small(rule) && rule->score == SLUICE_SCORE_SIGMOID &&
           rule->bias_use == SLUICE_BIAS_SCORE;
}

/* Shared memory of a block that has bias, map and bins of its own (block_bins.cuh). */
SL_INLINE int32_t slc_block_bytes(const struct slc_map *map, int32_t room)
{
    return (room + 2 * (room + 4) + (map->physical + 3) / 4 * 4) * 4;
}

/* Shared memory of one warp: x and the rank key of every column, a value of every group. */
SL_INLINE int32_t slc_warp_bytes(int32_t columns)
{
    return columns * 8 + SL_MAX_GROUPS * 4;
}

#endif
