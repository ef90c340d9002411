/* SPDX-License-Identifier: Apache-2.0
 * Choosing among few columns, a thread a token, all in registers: the jobs that slc_few_of of
 * cu_few.c takes, with the bits of sl_choose_portable. */
#ifndef SLC_FEW_CUH
#define SLC_FEW_CUH

#include "exact.cuh"
#include "few_job.h"

/* FLT_MAX for inf; NaN stays NaN. */
SLC_DEVICE float slc_few_finite(float x)
{
#if defined(__CUDACC__)
    float least;
    asm("min.NaN.f32 %0, %1, 0f7F7FFFFF;" : "=f"(least) : "f"(x));
    return least;
#else
    return FLT_MAX < x ? FLT_MAX : x;
#endif
}

/* The K best of a row, in order. */
template <int32_t K> struct slc_few_best {
    float x[K];    /* NaN or -inf: no choice */
    int32_t id[K]; /* no choice: from C up, at most C + 1 */
    float max;     /* of all columns, at least -FLT_MAX */
};

/* The greatest of N, a power of two. */
template <int32_t N> SLC_DEVICE float slc_few_greatest(const float *x)
{
    float top[N];
#pragma unroll
    for (int32_t i = 0; i < N; i++)
        top[i] = x[i];
#pragma unroll
    for (int32_t width = N / 2; width > 0; width /= 2)
#pragma unroll
        for (int32_t i = 0; i < width; i++)
            top[i] = slc_max(top[i], top[i + width]);
    return top[0];
}

/* C columns, NaN where there is none. The best are taken from C / 2 pairs of neighbours: the better
 * of a pair leaves the other behind, and a pair is known by its better one's id. NaN is less than
 * all: slc_max ignores it, slc_min_nan keeps it. */
template <int32_t C, int32_t K> SLC_DEVICE struct slc_few_best<K> slc_few_rank(const float *x) {
    struct slc_few_best<K> best;
    float more[C / 2], less[C / 2];
    int32_t pair[C / 2], taken[K];
#pragma unroll
    for (int32_t i = 0; i < C / 2; i++) {
        more[i] = slc_few_finite(slc_max(x[2 * i], x[2 * i + 1]));
        less[i] = slc_min_nan(x[2 * i], x[2 * i + 1]);
        pair[i] = x[2 * i] >= more[i] ? 2 * i : 2 * i + 1;
        if (SL_MUTANT(tie_to_higher_id) && x[2 * i + 1] >= more[i])
            pair[i] = 2 * i + 1;
    }
#pragma unroll
    for (int32_t k = 0; k < K; k++) {
        float top = slc_few_greatest<C / 2>(more);
        best.x[k] = k > 0 ? slc_few_finite(top) : top;
        float least = slc_max(best.x[k], -FLT_MAX);
        best.max = k > 0 ? best.max : least;
        taken[k] = C;
#pragma unroll
        for (int32_t i = C / 2 - 1; i >= 0; i--)
            taken[k] = more[i] >= least ? pair[i] : taken[k];
        bool again = false; /* it is the one that was left behind */
#pragma unroll
        for (int32_t j = 0; j < k; j++)
            again = again || taken[j] == taken[k];
        best.id[k] = again ? taken[k] ^ 1 : taken[k];
#pragma unroll
        for (int32_t i = 0; i < C / 2; i++) {
            bool here = pair[i] == taken[k];
            more[i] = here ? less[i] : more[i];
            less[i] = here ? NAN : less[i];
        }
    }
    return best;
}

/* Sixteen bytes in one access. */
struct __attribute__((aligned(16))) slc_few_quad {
    uint32_t word[4];
};

/* C logits that begin at a multiple of 16 bytes. */
template <int32_t C> SLC_DEVICE void slc_few_load(const void *from, int32_t type, float *x)
{
    const struct slc_few_quad *quads = (const struct slc_few_quad *)from;
    const int32_t each = type == SL_F32 ? 4 : 8;
#pragma unroll
    for (int32_t i = 0; i < C / 4; i++) {
        if (i >= C / each)
            continue;
        struct slc_few_quad quad = quads[i];
#pragma unroll
        for (int32_t j = 0; j < 4; j++) {
            uint32_t word = quad.word[j];
            if (type == SL_F32) {
                x[4 * i + j] = sl_bits_float((int32_t)word);
                continue;
            }
            int32_t at = (8 * i + 2 * j) % C;
            x[at] = type == SL_F16 ? slc_low_f16(word) : slc_low_bf16(word);
            x[at + 1] = type == SL_F16 ? slc_low_f16(word >> 16) : slc_high_bf16(word);
        }
    }
}

/* x of row t, which may be +inf and NaN still. Only eight columns may be scaled or capped. */
template <int32_t C> SLC_DEVICE void slc_few_read(const struct slc_job *job, int64_t t, float *x)
{
    const struct sl_rule *rule = &job->rule;
    const struct sl_choose_io *io = &job->io;
    const char *logits = (const char *)io->logits;
    if (io->logit_type == SL_F32)
        slc_few_load<C>(logits + t * io->logit_stride * 4, SL_F32, x);
    else if (io->logit_type == SL_F16)
        slc_few_load<C>(logits + t * io->logit_stride * 2, SL_F16, x);
    else
        slc_few_load<C>(logits + t * io->logit_stride * 2, SL_BF16, x);
    if (C == 8 && (rule->logit_scale != 1.0f || rule->logit_cap > 0)) {
#pragma unroll
        for (int32_t e = 0; e < C; e++)
            x[e] = sl_column_x(rule, x[e], 0.0f);
    }
}

/* Denominator of the softmax, in the order of sl_sum. */
template <int32_t C> SLC_DEVICE float slc_few_sum(const float *x, float max)
{
    float part[C / 2];
#pragma unroll
    for (int32_t e = 0; e < C / 2; e++)
        part[e] = slc_exp_below(slc_few_finite(x[e]) - max) +
                  slc_exp_below(slc_few_finite(x[e + C / 2]) - max);
#pragma unroll
    for (int32_t width = C / 4; width > 0; width /= 2)
#pragma unroll
        for (int32_t e = 0; e < width; e++)
            part[e] = part[e] + part[e + width];
    return part[0];
}

/* Weights of the best, of columns x. */
template <int32_t C, int32_t K>
SLC_DEVICE void slc_few_weigh(const struct sl_rule *rule, const float *x,
                              const struct slc_few_best<K> *best, float *w)
{
    bool softmax = rule->score == SLUICE_SCORE_SOFTMAX;
    float sum = softmax && !rule->sum_cancels ? slc_few_sum<C>(x, best->max) : 1.0f;
#pragma unroll
    for (int32_t k = 0; k < K; k++) {
        bool chosen = k < rule->top_k && best->id[k] < C;
        w[k] = softmax ? slc_exp_below(best->x[k] - best->max) / sum : sl_sigmoid(best->x[k]);
        w[k] = chosen ? w[k] : 0.0f;
    }
    float divisor = 1.0f;
    if (rule->renorm) {
        divisor = K > 2 ? w[0] + w[K / 2] + (w[1] + w[K / 2 + 1]) : w[0] + w[1];
        divisor = divisor > rule->renorm_floor ? divisor : rule->renorm_floor;
        divisor = divisor + rule->renorm_eps;
        divisor = divisor > 0 ? divisor : 1.0f;
    }
#pragma unroll
    for (int32_t k = 0; k < K; k++)
        w[k] = w[k] / divisor * rule->weight_scale;
}

/* K words in one access, 16 bytes at most. */
template <int32_t K> struct __attribute__((aligned(4 * K))) slc_few_words {
    uint32_t word[K];
};

/* The first `columns` of K words to row t of a tensor; in one store where they are all of it and it
 * is aligned so. */
template <int32_t K>
SLC_DEVICE void slc_few_put(void *data, int64_t stride, int64_t t, int32_t columns,
                            const struct slc_few_words<K> *row)
{
    uint32_t *to = (uint32_t *)data + t * stride;
    if (columns == K && ((uintptr_t)to & (4 * K - 1)) == 0) {
        *(struct slc_few_words<K> *)to = *row;
        return;
    }
#pragma unroll
    for (int32_t k = 0; k < K; k++)
        if (k < columns)
            to[k] = row->word[k];
}

template <int32_t K>
SLC_DEVICE void slc_few_put_ids(const struct sl_ids *ids, int64_t t, int32_t columns,
                                const int32_t *id)
{
    struct slc_few_words<K> row;
    if (!ids->data)
        return;
    if (ids->wide) {
#pragma unroll
        for (int32_t k = 0; k < K; k++)
            if (k < columns)
                ((int64_t *)ids->data)[t * ids->stride + k] = id[k];
        return;
    }
#pragma unroll
    for (int32_t k = 0; k < K; k++)
        row.word[k] = (uint32_t)id[k];
    slc_few_put<K>(ids->data, ids->stride, t, columns, &row);
}

template <int32_t K>
SLC_DEVICE void slc_few_put_floats(const struct slc_floats *out, int64_t t, int32_t columns,
                                   const float *x)
{
    struct slc_few_words<K> row;
    if (!out->data)
        return;
#pragma unroll
    for (int32_t k = 0; k < K; k++)
        row.word[k] = (uint32_t)sl_float_bits(x[k]);
    slc_few_put<K>(out->data, out->stride, t, columns, &row);
}

/* Chooses for row t and writes topk's outputs; what remap needs is returned in id and w, K each. */
template <int32_t C, int32_t K>
SLC_DEVICE void slc_few_choose(const struct slc_job *job, int64_t t, bool live, int32_t *id,
                               float *w)
{
    float x[C];
    int32_t out[K];
#pragma unroll
    for (int32_t e = 0; e < C; e++)
        x[e] = NAN;
    if (live || SL_MUTANT(padding_chosen))
        slc_few_read<C>(job, t, x);
#pragma unroll
    for (int32_t e = 0; SL_MUTANT(nan_chosen) && e < C; e++)
        x[e] = x[e] == x[e] ? x[e] : FLT_MAX;
    struct slc_few_best<K> best = slc_few_rank<C, K>(x);
    slc_few_weigh<C, K>(&job->rule, x, &best, w);
#pragma unroll
    for (int32_t k = 0; k < K; k++) {
        id[k] = best.id[k];
        out[k] = id[k] < C ? id[k] : -1;
    }
    slc_few_put_ids<K>(&job->ids, t, job->rule.top_k, out);
    slc_few_put_floats<K>(&job->weights, t, job->rule.top_k, w);
}

SLC_DEVICE uint32_t slc_few_bits(float x)
{
    return (uint32_t)sl_float_bits(x);
}

/* Row t of a dense tensor of two columns. */
SLC_DEVICE void slc_few_put_plain(void *data, uint32_t t, uint32_t first, uint32_t second)
{
    struct slc_few_words<2> row;
    row.word[0] = first;
    row.word[1] = second;
    ((struct slc_few_words<2> *)data)[t] = row;
}

/* Two choices, their scores divided by the sum; id 8 or 9: none. */
struct slc_few_pair {
    int32_t id[2];
    float part[2];
};

/* SLC_FEW_F32 and SLC_FEW_BF16: the two best of eight. The best has exp(0), which is 1. */
template <int32_t TYPE>
SLC_DEVICE struct slc_few_pair slc_few_choose_plain(const struct slc_job *job, uint32_t t)
{
    float x[8];
    slc_few_load<8>((const char *)job->io.logits + (uint64_t)t * (TYPE == SL_F32 ? 32 : 16), TYPE,
                    x);
    struct slc_few_best<2> best = slc_few_rank<8, 2>(x);
    float e = slc_exp_below(best.x[1] - best.max), sum = 1.0f + e;
    struct slc_few_pair pair = {{best.id[0], best.id[1]}, {1.0f / sum, e / sum}};
    return pair;
}

/* As topk's outputs. */
SLC_DEVICE void slc_few_put_pair(const struct slc_job *job, uint32_t t,
                                 const struct slc_few_pair *pair)
{
    int32_t id[2] = {pair->id[0], pair->id[1]};
    float w[2] = {pair->part[0] * job->rule.weight_scale, pair->part[1] * job->rule.weight_scale};
    if (id[1] >= 8) {
        id[1] = -1;
        w[0] = id[0] < 8 ? w[0] : 0.0f;
        id[0] = id[0] < 8 ? id[0] : -1;
    }
    slc_few_put_plain(job->ids.data, t, (uint32_t)id[0], (uint32_t)id[1]);
    slc_few_put_plain(job->weights.data, t, slc_few_bits(w[0]), slc_few_bits(w[1]));
}

#endif
