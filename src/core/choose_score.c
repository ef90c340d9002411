/* SPDX-License-Identifier: Apache-2.0 */
#include "choose_row.h"

#include "mutant.h"

/* To f32; each type has its own loop, which the compiler can make vectors of. */
static void read_logits(float *x, const struct sl_choose_io *io, int64_t t, int32_t columns)
{
    int64_t at = t * (SL_MUTANT(logits_read_dense) ? columns : io->logit_stride);
    if (io->logit_type == SL_F32) {
        memcpy(x, (const float *)io->logits + at, (size_t)columns * sizeof *x);
        return;
    }
    const uint16_t *half = (const uint16_t *)io->logits + at;
    if (io->logit_type == SL_F16)
        for (int32_t e = 0; e < columns; e++)
            x[e] = sl_f16_to_f32(
                SL_MUTANT(f16_denormals_flushed) && !(half[e] & 0x7C00U) ? (uint16_t)0 : half[e]);
    else
        for (int32_t e = 0; e < columns; e++)
            x[e] = sl_bf16_to_f32(half[e]);
}

/* s holds exp(x - max) for a while: the divisor comes after it. */
static void softmax_sum(struct sl_row *row, const struct sl_rule *rule)
{
    float max = -FLT_MAX;
    for (int32_t e = 0; e < rule->columns; e++)
        max = row->x[e] > max ? row->x[e] : max;
    if (rule->shared_weight == SLUICE_SHARED_JOINT)
        max = sl_joint_max(rule, row->joint, max);
    row->max = max;
    if (rule->sum_cancels)
        return;
    for (int32_t e = 0; e < rule->columns; e++)
        row->s[e] = sl_exp(row->x[e] - max);
    row->sum = sl_sum(row->s, rule->columns);
    if (rule->shared_weight == SLUICE_SHARED_JOINT && !SL_MUTANT(joint_outside_softmax))
        row->sum = sl_joint_sum(rule, row->joint, max, row->sum);
}

void sl_row_read(struct sl_row *row, const struct sl_rule *rule, const struct sl_choose_io *io,
                 int64_t t, const float *bias)
{
    read_logits(row->x, io, t, rule->columns);
    for (int32_t e = 0; e < rule->columns; e++) {
        bool nan = isnan(row->x[e]);
        row->x[e] = sl_column_x(rule, row->x[e], bias ? bias[e] : 0.0f);
        if (SL_MUTANT(nan_chosen) && nan)
            row->x[e] = FLT_MAX;
        if (SL_MUTANT(cap_omitted) && rule->logit_cap > 0)
            row->x[e] = rule->logit_cap * atanhf(row->x[e] / rule->logit_cap);
    }
    if (rule->shared_weight == SLUICE_SHARED_JOINT)
        sl_joint_x(rule, io, t, row->joint);
    row->max = row->sum = 0;
    if (rule->score == SLUICE_SCORE_SOFTMAX)
        softmax_sum(row, rule);
    if (rule->shared_weight == SLUICE_SHARED_JOINT)
        sl_joint_scores(rule, row->joint, row->max, row->sum);
}
