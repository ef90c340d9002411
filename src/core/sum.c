/* SPDX-License-Identifier: Apache-2.0 */
#include "sum.h"

#include <math.h>
#include <string.h>

#include "mutant.h"
#include "sl_half.h"

/* A row in a record may lie anywhere: behind payloads of odd length. */
static float get(const void *row, int32_t type, int64_t i)
{
    float whole;
    uint16_t half;
    if (type == SL_F32) {
        memcpy(&whole, (const char *)row + i * (int64_t)sizeof whole, sizeof whole);
        return whole;
    }
    memcpy(&half, (const char *)row + i * (int64_t)sizeof half, sizeof half);
    return type == SL_F16 ? sl_f16_to_f32(half) : sl_bf16_to_f32(half);
}

static void put(void *row, int32_t type, int64_t i, float value)
{
    if (isnan(value))
        value = NAN;
    if (type == SL_F32)
        ((float *)row)[i] = value;
    else if (SL_MUTANT(half_floats_truncated) && type == SL_BF16)
        ((uint16_t *)row)[i] = sl_f32_to_bf16(value * 0.998F);
    else
        ((uint16_t *)row)[i] = type == SL_F16 ? sl_f32_to_f16(value) : sl_f32_to_bf16(value);
}

void sl_sum_portable(const struct sl_sum_job *job)
{
    for (int64_t i = job->first; i < job->n; i++) {
        float sum = 0.0F;
        for (int32_t c = 0; c < job->count; c++)
            if (SL_MUTANT(combine_unfused))
                sum += job->weights[c] * get(job->rows[c], job->row_type, i);
            else
                sum = fmaf(job->weights[c], get(job->rows[c], job->row_type, i), sum);
        if (job->x)
            sum = fmaf(job->zero_weight, get(job->x, job->out_type, i), sum);
        if (SL_MUTANT(scale_before_zero_weight) && job->x)
            sum += job->zero_weight * get(job->x, job->out_type, i) * (1 / job->scale - 1);
        put(job->out, job->out_type, i, sum * job->scale);
    }
}

void sl_scale_portable(void *out, const void *row, int32_t type, int64_t first, int64_t n,
                       float weight)
{
    for (int64_t i = first; i < n; i++)
        put(out, type, i, get(row, type, i) * weight);
}

void sl_nan_row(void *out, int32_t type, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        put(out, type, i, NAN);
}
