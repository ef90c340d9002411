/* SPDX-License-Identifier: Apache-2.0
 * Choosing experts for a block of rows. Every implementation (portable C, AVX2, AVX-512) gives the
 * same bits: the order of every sum is that of sl_sum (sl_math.h) and fma is written where meant.
 */
#ifndef SL_CHOOSE_H
#define SL_CHOOSE_H

#include "rule.h"
#include "sl_inline.h"

/* Rows of one choose call, so that what it writes stays in the first cache level. */
enum { SL_BLOCK_ROWS = 32 };

enum { SL_F32 = 0, SL_F16 = 1, SL_BF16 = 2 };

/* Ids in a caller's tensor, int32 or int64. */
struct sl_ids {
    void *data;     /* NULL: absent */
    int64_t stride; /* elements from row to row */
    int32_t wide;   /* 1: int64 */
};

SL_INLINE int64_t sl_id_at(const struct sl_ids *ids, int64_t row, int64_t column)
{
    int64_t at = row * ids->stride + column;
    return ids->wide ? ((const int64_t *)ids->data)[at] : ((const int32_t *)ids->data)[at];
}

/* The inputs of one topk call. Strides are elements from row to row. */
struct sl_choose_io {
    const void *logits; /* [T, E+Z] */
    int64_t logit_stride;
    int32_t logit_type; /* SL_F32 ... */
    int32_t shared_type;
    const float *bias; /* [bias_rows, E+Z] or NULL */
    int64_t bias_stride;
    const float *expert_scale; /* [E+Z] or NULL */
    const void *shared_logits; /* [T, shared_columns] or NULL */
    int64_t shared_stride;
    int32_t shared_columns; /* 1 or F */
    int32_t reserved;
    int64_t forced_rows;      /* M */
    struct sl_ids bias_row;   /* a row out of range: as if every expert's logit were NaN */
    struct sl_ids forced_ids; /* [M, K]; an id outside [0, E+Z) is no choice */
    struct sl_ids forced_row; /* a row out of range: no choice */
    const uint8_t *row_valid; /* [T] or NULL */
    int64_t valid_rows;       /* rows from here on are padding */
};

/* What is chosen for `count` rows: dense, row-major. */
struct sl_choices {
    int32_t *ids;   /* [count * K], -1: none */
    float *weights; /* [count * K] */
    float *shared;  /* [count * F]; written only where the rule is not SHARED_ONE */
    float *zero;    /* [count]; written only where Z > 0 */
};

/* Rows first ... first+count-1 of the call; count <= SL_BLOCK_ROWS. */
typedef void sl_choose_fn(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t first,
                          int32_t count, const struct sl_choices *out);

/* The portable one; serves every rule. */
sl_choose_fn sl_choose_portable;

#endif
