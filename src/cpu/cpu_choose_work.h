/* SPDX-License-Identifier: Apache-2.0
 * What the vector versions of choosing keep while they work. No vector types, so that both levels
 * share it. */
#ifndef SL_CPU_CHOOSE_WORK_H
#define SL_CPU_CHOOSE_WORK_H

#include "../core/choose_tail.h"

/* For each set of 8 lanes: its lanes, ascending, a byte each. */
extern const uint64_t sl_packed_lanes[256];

/* Infinite values stand in a sort key as +-2^1000. */
#define SL_KEY_MOST 0x1p1000
enum { SL_KEY_ID = 4095 }; /* the bits of a key that are the id */

/* Rows go through each step together: a step has little to do at once in one row, and the steps of
 * different rows overlap. Wide rows are fewer, so that a tile stays in the first cache level. */
enum { SL_TILE_ROWS = 16, SL_TILE_ROOM = SL_MAX_COLUMNS };
enum { SL_CANDIDATE_PAD = 32, SL_CANDIDATE_ROOM = SL_TILE_ROOM + SL_TILE_ROWS * SL_CANDIDATE_PAD };

/* Columns that may be among the K best. */
struct sl_candidates {
    int32_t *ids;
    float *values;
    int32_t count;
};

/* Rows to be chosen from. Row i has `padded` numbers at i * padded of x, s, v and bias, of which
 * those beyond the last column are -inf. */
struct sl_tile {
    int32_t rows, padded;
    int32_t slot[SL_TILE_ROWS];         /* which row of the block each is */
    const float *x_of[SL_TILE_ROWS];    /* what is scored: the logits as they are, or in x */
    const float *bias_of[SL_TILE_ROWS]; /* in bias, NaN made -inf */
    const float *v_of[SL_TILE_ROWS];    /* what ranks: x, or in s or v */
    float most;                         /* greater ranking values count as this one */
    float lanes[SL_TILE_ROWS][16];      /* greatest x or ranking value of each lane */
    float sums[SL_TILE_ROWS][16];       /* of exp(x - max), of each lane */
    float max[SL_TILE_ROWS], sum[SL_TILE_ROWS]; /* of the softmax */
    float least[SL_TILE_ROWS];                  /* at least 8 columns have it or more */
    int32_t kept[SL_TILE_ROWS][SL_MAX_GROUPS];
    float group[SL_TILE_ROWS][SL_MAX_GROUPS];
    float x[SL_TILE_ROOM];
    float bias[SL_TILE_ROOM];
    float s[SL_TILE_ROOM]; /* exp(x - max); then the score, with the bias where that ranks */
    float v[SL_TILE_ROOM]; /* x + bias */
    struct sl_candidates candidates[SL_TILE_ROWS];
    int32_t candidate_ids[SL_CANDIDATE_ROOM];
    float candidate_values[SL_CANDIDATE_ROOM];
};

/* Rows chosen but not yet weighted. */
struct sl_chosen {
    int32_t room; /* of a row in ids, x and weights: 8, or K rounded up to 16 */
    int32_t ids[(SL_BLOCK_ROWS + 1) * SL_MAX_K];
    float x[(SL_BLOCK_ROWS + 1) * SL_MAX_K];
    float weights[(SL_BLOCK_ROWS + 1) * SL_MAX_K];
    float max[SL_BLOCK_ROWS + 1], sum[SL_BLOCK_ROWS + 1]; /* of the softmax */
    float joint[SL_BLOCK_ROWS][SL_MAX_SHARED];            /* scores of the shared columns */
};

#endif
