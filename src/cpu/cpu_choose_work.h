/* SPDX-License-Identifier: Apache-2.0
 * What the vector versions of choosing keep while they work. No vector types, so that both levels
 * share it. */
#ifndef SL_CPU_CHOOSE_WORK_H
#define SL_CPU_CHOOSE_WORK_H

#include "../core/choose_tail.h"

enum { SL_ROW_ROOM = SL_MAX_COLUMNS + 16 };

/* Infinite values stand in a sort key as +-2^1000. */
#define SL_KEY_MOST 0x1p1000
enum { SL_KEY_ID = 4095 }; /* the bits of a key that are the id */

/* Columns that may be among the K best. */
struct sl_candidates {
    int32_t ids[SL_MAX_COLUMNS + 32];
    float values[SL_MAX_COLUMNS + 32];
};

/* One row on its way to be chosen from. What is beyond the last column is -inf in x and v. */
struct sl_ranking {
    float x[SL_ROW_ROOM]; /* what is scored, where the logits as they are will not do */
    float s[SL_ROW_ROOM]; /* exp(x - max); then the score, with the bias that ranks it */
    float v[SL_ROW_ROOM]; /* ranking values, where neither x nor s are */
    struct sl_candidates candidates;
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
