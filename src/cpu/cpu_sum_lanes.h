/* SPDX-License-Identifier: Apache-2.0
 * The sums over vectors of VS_LANES floats. Included by cpu_sum_avx2.c and cpu_sum_avx512.c, which
 * say what a vector is. */
#ifndef SL_CPU_SUM_LANES_H
#define SL_CPU_SUM_LANES_H

enum { VS_UNITS = 4, VS_STEP = VS_UNITS * VS_LANES }; /* vectors summed side by side */

VS_INLINE int64_t vs_bytes(int32_t type, int64_t i)
{
    return i * (type == SL_F32 ? 4 : 2);
}

VS_INLINE void vs_sum(const struct sl_sum_job *job, int32_t row_type, int32_t out_type, int64_t i,
                      int32_t units)
{
    vs sum[VS_UNITS];
    for (int32_t u = 0; u < units; u++)
        sum[u] = vs_all(0.0F);
    for (int32_t c = 0; c < job->count; c++) {
        const char *row = (const char *)job->rows[c] + vs_bytes(row_type, i);
        vs weight = vs_all(job->weights[c]);
        for (int32_t u = 0; u < units; u++)
            sum[u] = vs_fma(
                weight, vs_get(row_type, row + vs_bytes(row_type, (int64_t)VS_LANES * u)), sum[u]);
    }
    char *out = (char *)job->out + vs_bytes(out_type, i);
    vs zero_weight = vs_all(job->zero_weight), scale = vs_all(job->scale);
    for (int32_t u = 0; u < units; u++) {
        int64_t at = vs_bytes(out_type, (int64_t)VS_LANES * u);
        if (job->x)
            sum[u] =
                vs_fma(zero_weight,
                       vs_get(out_type, (const char *)job->x + vs_bytes(out_type, i) + at), sum[u]);
        vs_put(out_type, out + at, vs_clean(vs_mul(sum[u], scale)));
    }
}

VS_INLINE int64_t vs_sum_of(const struct sl_sum_job *job, int32_t row_type, int32_t out_type)
{
    int64_t i = job->first;
    for (; i + VS_STEP <= job->n; i += VS_STEP)
        vs_sum(job, row_type, out_type, i, VS_UNITS);
    for (; i + VS_LANES <= job->n; i += VS_LANES)
        vs_sum(job, row_type, out_type, i, 1);
    return i;
}

VS_INLINE int64_t vs_sum_to(const struct sl_sum_job *job, int32_t row_type)
{
    if (job->out_type == SL_F32)
        return vs_sum_of(job, row_type, SL_F32);
    return job->out_type == SL_F16 ? vs_sum_of(job, row_type, SL_F16)
                                   : vs_sum_of(job, row_type, SL_BF16);
}

/* The rest that fills no vector is left to the portable sum. */
VS_INLINE void vs_sum_any(const struct sl_sum_job *job)
{
    struct sl_sum_job rest = *job;
    if (job->row_type == SL_F32)
        rest.first = vs_sum_to(job, SL_F32);
    else
        rest.first = job->row_type == SL_F16 ? vs_sum_to(job, SL_F16) : vs_sum_to(job, SL_BF16);
    if (rest.first < rest.n)
        sl_sum_portable(&rest);
}

VS_INLINE int64_t vs_scale(char *out, const char *row, int32_t type, int64_t i, int64_t n,
                           float weight)
{
    vs w = vs_all(weight);
    for (; i + VS_LANES <= n; i += VS_LANES) {
        int64_t at = vs_bytes(type, i);
        vs_put(type, out + at, vs_clean(vs_mul(vs_get(type, row + at), w)));
    }
    return i;
}

VS_INLINE void vs_scale_any(void *out, const void *row, int32_t type, int64_t first, int64_t n,
                            float weight)
{
    if (type == SL_F32)
        first = vs_scale(out, row, SL_F32, first, n, weight);
    else
        first = type == SL_F16 ? vs_scale(out, row, SL_F16, first, n, weight)
                               : vs_scale(out, row, SL_BF16, first, n, weight);
    if (first < n)
        sl_scale_portable(out, row, type, first, n, weight);
}

#endif
