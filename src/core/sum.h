/* SPDX-License-Identifier: Apache-2.0
 * combine's sum of one token: in f32, one fused multiply-add a row, in the order given, rounded
 * once. Every implementation gives the same bits, those of NaN too: it is the quiet one without
 * payload. */
#ifndef SL_SUM_H
#define SL_SUM_H

#include "choose.h"

struct sl_sum_job {
    const void *const *rows; /* [count] of [n] elements of row_type */
    const float *weights;    /* [count] */
    int32_t count;
    int32_t row_type; /* SL_F32 ... */
    int32_t out_type; /* of out and x */
    int32_t reserved;
    int64_t first, n; /* elements [first, n) */
    const void *x;    /* [n] or NULL: adds zero_weight * x last */
    float zero_weight;
    float scale; /* the sum times this, 1 is exact */
    void *out;   /* [n] */
};

typedef void sl_sum_fn(const struct sl_sum_job *job);

sl_sum_fn sl_sum_portable;

/* out = row * weight for the elements [first, n), both of `type`, rounded once. */
typedef void sl_scale_fn(void *out, const void *row, int32_t type, int64_t first, int64_t n,
                         float weight);
sl_scale_fn sl_scale_portable;

/* NaN in every element. */
void sl_nan_row(void *out, int32_t type, int64_t n);

#endif
