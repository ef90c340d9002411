/* SPDX-License-Identifier: Apache-2.0
 * The cheap ends of choosing experts for one row, shared by every implementation: reading what
 * belongs to a row, and the weights once the K ids and their scores are known.
 *
 * How a row goes, t being its number in the call:
 *   1. !sl_row_live: sl_tail_padding, done. !sl_row_bias: sl_tail_none, done.
 *   2. x of every column, as sl_column_x. -inf marks a column that is never chosen.
 *   3. Softmax: max of x, sl_joint_max, at least -FLT_MAX; unless it cancels, sum as sl_math.h
 *      says, sl_joint_sum.
 *   4. The K choices: sl_forced, or ranking. Ranking gives ids in descending order, `even` groups
 *      by group, and the -1 of a short row at its end, in `even` groups too.
 *   5. sl_tail with the scores s of the choices; +0 for -1. */
#ifndef SL_CHOOSE_TAIL_H
#define SL_CHOOSE_TAIL_H

#include "choose.h"
#include "sl_half.h"
#include "sl_math.h"

#include <math.h>
#include <stdbool.h>

/* Rows of the outputs that belong to one row of the call. */
struct sl_row_out {
    int32_t *ids;
    float *weights;
    float *shared;
    float *zero;
};

SL_INLINE struct sl_row_out sl_row_of(const struct sl_rule *rule, const struct sl_choices *out,
                                      int32_t i)
{
    struct sl_row_out row = {out->ids + (int64_t)i * rule->top_k,
                             out->weights + (int64_t)i * rule->top_k, NULL, NULL};
    if (rule->shared_weight != SLUICE_SHARED_ONE)
        row.shared = out->shared + (int64_t)i * rule->shared;
    if (rule->zero_experts > 0)
        row.zero = out->zero + i;
    return row;
}

/* Element `at` of a tensor of type SL_F32, SL_F16 or SL_BF16. */
SL_INLINE float sl_float_at(const void *data, int32_t type, int64_t at)
{
    if (type == SL_F32)
        return ((const float *)data)[at];
    uint16_t half = ((const uint16_t *)data)[at];
    return type == SL_F16 ? sl_f16_to_f32(half) : sl_bf16_to_f32(half);
}

SL_INLINE bool sl_row_live(const struct sl_choose_io *io, int64_t t)
{
    return t < io->valid_rows && (!io->row_valid || io->row_valid[t]);
}

/* The row of the bias; NULL without one. False where bias_row is out of range. */
SL_INLINE bool sl_row_bias(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t t,
                           const float **bias)
{
    *bias = NULL;
    if (rule->bias_use == SLUICE_BIAS_NONE)
        return true;
    int64_t row = rule->bias_rows > 1 ? sl_id_at(&io->bias_row, t, 0) : 0;
    if (row < 0 || row >= rule->bias_rows)
        return false;
    *bias = io->bias + row * io->bias_stride;
    return true;
}

/* x of a logit, before the bias. Taken as FLT_MAX: +inf, and what the scale makes +inf. NaN and
 * -inf become -inf. */
SL_INLINE float sl_logit_x(const struct sl_rule *rule, float logit)
{
    float x = FLT_MAX < logit ? FLT_MAX : logit;
    x = x * rule->logit_scale;
    x = FLT_MAX < x ? FLT_MAX : x;
    if (rule->logit_cap > 0)
        x = sl_soft_cap(x, rule->logit_cap);
    return logit >= -FLT_MAX ? x : -INFINITY;
}

/* x of a column; `bias` is used where bias_use is LOGIT. A sum of NaN or -inf becomes -inf too. */
SL_INLINE float sl_column_x(const struct sl_rule *rule, float logit, float bias)
{
    float x = sl_logit_x(rule, logit);
    if (rule->bias_use == SLUICE_BIAS_LOGIT) {
        x = x + bias;
        x = FLT_MAX < x ? FLT_MAX : x;
    }
    return x >= -FLT_MAX ? x : -INFINITY;
}

/* The score of one column; max and sum are of the softmax, sum unread where it cancels. */
SL_INLINE float sl_score_of(const struct sl_rule *rule, float x, float max, float sum)
{
    if (rule->score == SLUICE_SCORE_SIGMOID)
        return sl_sigmoid(x);
    if (rule->score == SLUICE_SCORE_SQRT_SOFTPLUS)
        return sl_sqrt_softplus(x);
    if (rule->sum_cancels)
        return sl_exp(x - max);
    return sum > 0 ? sl_exp(x - max) / sum : 0.0f;
}

/* JOINT: x of the shared columns; they have no bias. */
SL_INLINE void sl_joint_x(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t t,
                          float *x)
{
    for (int32_t j = 0; j < rule->shared; j++) {
        int64_t at = t * io->shared_stride + (io->shared_columns > 1 ? j : 0);
        x[j] = sl_logit_x(rule, sl_float_at(io->shared_logits, io->shared_type, at));
    }
}

SL_INLINE float sl_joint_max(const struct sl_rule *rule, const float *x, float max)
{
    for (int32_t j = 0; j < rule->shared; j++)
        max = x[j] > max ? x[j] : max;
    return max;
}

SL_INLINE float sl_joint_sum(const struct sl_rule *rule, const float *x, float max, float sum)
{
    for (int32_t j = 0; j < rule->shared; j++)
        sum = sum + sl_exp(x[j] - max);
    return sum;
}

/* x becomes s. */
SL_INLINE void sl_joint_scores(const struct sl_rule *rule, float *x, float max, float sum)
{
    for (int32_t j = 0; j < rule->shared; j++)
        x[j] = sl_score_of(rule, x[j], max, sum);
}

/* The K forced ids of a row; -1 for an id or a row of the table out of range. A choice whose x is
 * -inf is none either: that is the caller's to see. */
SL_INLINE void sl_forced(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t t,
                         int32_t *ids)
{
    int64_t row = io->forced_row.data ? sl_id_at(&io->forced_row, t, 0) : t;
    bool inside = row >= 0 && row < io->forced_rows;
    for (int32_t k = 0; k < rule->top_k; k++) {
        int64_t id = inside ? sl_id_at(&io->forced_ids, row, k) : -1;
        ids[k] = id >= 0 && id < rule->columns ? (int32_t)id : -1;
    }
}

SL_INLINE void sl_tail_padding(const struct sl_rule *rule, struct sl_row_out row)
{
    for (int32_t k = 0; k < rule->top_k; k++) {
        row.ids[k] = -1;
        row.weights[k] = 0.0f;
    }
    if (row.shared)
        for (int32_t j = 0; j < rule->shared; j++)
            row.shared[j] = 0.0f;
    if (row.zero)
        *row.zero = 0.0f;
}

/* The bits of NaN depend on the instruction that made it: here it has neither sign nor payload. */
SL_INLINE float sl_plain_nan(float x)
{
    return isnan(x) ? NAN : x;
}

/* A sigmoid gate of its own for each shared expert, or one for all. */
SL_INLINE void sl_shared_gates(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t t,
                               float *shared)
{
    for (int32_t j = 0; j < rule->shared; j++) {
        int64_t at = t * io->shared_stride + (io->shared_columns > 1 ? j : 0);
        float gate = sl_sigmoid(sl_float_at(io->shared_logits, io->shared_type, at));
        shared[j] = sl_plain_nan(gate * rule->shared_scale);
    }
}

/* zero_weight, and its columns become -1. */
SL_INLINE void sl_zero_experts(const struct sl_rule *rule, struct sl_row_out row)
{
    float part[SL_MAX_K];
    for (int32_t k = 0; k < rule->top_k; k++) {
        bool zero = row.ids[k] >= rule->experts;
        part[k] = zero ? row.weights[k] : 0.0f;
        row.weights[k] = zero ? 0.0f : row.weights[k];
        row.ids[k] = zero ? -1 : row.ids[k];
    }
    float sum = sl_sum(part, rule->top_k);
    *row.zero = rule->zero_kind == SLUICE_ZERO_IDENTITY ? sum : 0.0f;
}

/* row.weights holds s on entry, w on return; `joint` is the shared columns' s with JOINT, else
 * unread. */
SL_INLINE void sl_tail(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t t,
                       const float *joint, struct sl_row_out row)
{
    const int32_t top_k = rule->top_k;
    const bool is_joint = rule->shared_weight == SLUICE_SHARED_JOINT;
    float *w = row.weights;
    float divisor = 1.0f;
    if (rule->renorm) {
        divisor = sl_sum(w, top_k);
        for (int32_t j = 0; is_joint && j < rule->shared; j++)
            divisor = divisor + joint[j];
        divisor = divisor > rule->renorm_floor ? divisor : rule->renorm_floor;
        divisor = divisor + rule->renorm_eps;
        /* A sum of 0 has only zeros in it, and they stay. */
        divisor = divisor > 0 ? divisor : 1.0f;
    }
    for (int32_t k = 0; k < top_k; k++)
        w[k] = w[k] / divisor * rule->weight_scale;
    if (io->expert_scale)
        for (int32_t k = 0; k < top_k; k++)
            if (row.ids[k] >= 0)
                w[k] = w[k] * io->expert_scale[row.ids[k]];
    if (is_joint)
        for (int32_t j = 0; j < rule->shared; j++)
            row.shared[j] = joint[j] / divisor * rule->scale * rule->shared_scale;
    else if (row.shared)
        sl_shared_gates(rule, io, t, row.shared);
    if (row.zero)
        sl_zero_experts(rule, row);
}

/* A row that is not padding and whose every expert's logit is as NaN. */
SL_INLINE void sl_tail_none(const struct sl_rule *rule, const struct sl_choose_io *io, int64_t t,
                            struct sl_row_out row)
{
    float joint[SL_MAX_SHARED];
    if (rule->shared_weight == SLUICE_SHARED_JOINT) {
        sl_joint_x(rule, io, t, joint);
        float max = sl_joint_max(rule, joint, -FLT_MAX);
        sl_joint_scores(rule, joint, max, sl_joint_sum(rule, joint, max, 0.0f));
    }
    for (int32_t k = 0; k < rule->top_k; k++) {
        row.ids[k] = -1;
        row.weights[k] = 0.0f;
    }
    sl_tail(rule, io, t, joint, row);
}

#endif
