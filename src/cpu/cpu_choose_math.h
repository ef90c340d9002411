/* SPDX-License-Identifier: Apache-2.0
 * sl_math.h and the scoring of choose_tail.h on vectors: the same operations in the same order.
 * Included by cpu_choose_avx2.c and cpu_choose_avx512.c after their vectors. */
#ifndef SL_CPU_CHOOSE_MATH_H
#define SL_CPU_CHOOSE_MATH_H

/* (1 + q) 2^n with r = x - n ln 2, as in sl_exp; t holds n. */
SL_SIMD vf vf_exp_end(vf r, vf t)
{
    vf q = vf_fma(vf_set(SL_EXP_4), r, vf_set(SL_EXP_3));
    q = vf_fma(q, r, vf_set(SL_EXP_2));
    q = vf_fma(q, r, vf_set(SL_EXP_1));
    q = vf_fma(q, r, vf_set(SL_EXP_0));
    q = vf_fma(q, vf_mul(r, r), r);
    return vf_scale(vf_add(vf_set(1.0f), q), t);
}

/* exp of what is clamped. */
SL_SIMD vf vf_exp_inside(vf x)
{
    vf t = vf_fma(x, vf_set(SL_LOG2E), vf_set(SL_ROUNDER));
    vf n = vf_sub(t, vf_set(SL_ROUNDER));
    vf r = vf_fnma(n, vf_set(SL_LN2_HI), x);
    return vf_exp_end(vf_fnma(n, vf_set(SL_LN2_LO), r), t);
}

SL_SIMD vf vf_exp(vf x)
{
    return vf_exp_inside(vf_min(vf_set(SL_EXP_MOST), vf_max(vf_set(SL_EXP_LEAST), x)));
}

/* exp(-x); the sign costs nothing. */
SL_SIMD vf vf_exp_minus(vf x)
{
    x = vf_min(vf_set(-SL_EXP_LEAST), vf_max(vf_set(-SL_EXP_MOST), x));
    vf t = vf_fnma(x, vf_set(SL_LOG2E), vf_set(SL_ROUNDER));
    vf n = vf_sub(t, vf_set(SL_ROUNDER));
    vf r = vf_fnms(n, vf_set(SL_LN2_HI), x);
    return vf_exp_end(vf_fnma(n, vf_set(SL_LN2_LO), r), t);
}

/* exp(x - max) for the softmax's max, which no x exceeds but +inf, which is then FLT_MAX; 0 for
 * NaN: max and min give their second operand then. */
SL_SIMD vf vf_exp_below(vf x, vf max)
{
    return vf_exp_inside(vf_min(vf_max(vf_sub(x, max), vf_set(SL_EXP_LEAST)), vf_set(0.0f)));
}

SL_SIMD vf vf_log1p(vf u)
{
    vf s = vf_div(u, vf_add(vf_set(2.0f), u));
    vf z = vf_mul(s, s);
    vf q = vf_fma(vf_set(SL_LOG_3), z, vf_set(SL_LOG_2));
    q = vf_fma(q, z, vf_set(SL_LOG_1));
    q = vf_fma(q, z, vf_set(SL_LOG_0));
    q = vf_mul(z, q);
    vf h = vf_mul(vf_mul(u, vf_set(0.5f)), u);
    vf m = vf_fnma(s, vf_add(h, q), h);
    return vf_sub(u, m);
}

SL_SIMD vf vf_tanh(vf x)
{
    vf a = vf_abs(x);
    vf z = vf_mul(a, a);
    vf q = vf_fma(vf_set(SL_TANH_4), z, vf_set(SL_TANH_3));
    q = vf_fma(q, z, vf_set(SL_TANH_2));
    q = vf_fma(q, z, vf_set(SL_TANH_1));
    q = vf_fma(q, z, vf_set(SL_TANH_0));
    vf near = vf_fma(q, vf_mul(z, a), a);
    vf d = vf_add(vf_exp(vf_add(a, a)), vf_set(1.0f));
    vf far = vf_sub(vf_set(1.0f), vf_div(vf_set(2.0f), d));
    return vf_copysign(vf_pick(vf_gt(vf_set(SL_TANH_EDGE), a), near, far), x);
}

SL_SIMD vf vf_sigmoid(vf x)
{
    return vf_div(vf_set(1.0f), vf_add(vf_set(1.0f), vf_exp_minus(x)));
}

SL_SIMD vf vf_sqrt_softplus(vf x)
{
    vf u = vf_log1p(vf_exp_minus(vf_abs(x)));
    vf m = vf_max(vf_set(0.0f), x);
    return vf_sqrt(vf_add(m, u));
}

SL_SIMD vf vf_soft_cap(vf x, float cap)
{
    vf y = vf_tanh(vf_div(x, vf_set(cap)));
    return vf_mul(vf_set(cap), y);
}

/* x where it is a number that can be chosen, else -inf. */
SL_SIMD vf vf_clean(vf x)
{
    return vf_min(vf_max(x, vf_set(-INFINITY)), vf_set(FLT_MAX));
}

/* sl_column_x; `bias` is read where bias_use is LOGIT. */
SL_SIMD vf vf_column_x(const struct sl_rule *rule, vf logit, vf bias)
{
    vf x = vf_min(vf_set(FLT_MAX), logit);
    if (rule->logit_scale != 1.0f)
        x = vf_min(vf_set(FLT_MAX), vf_mul(x, vf_set(rule->logit_scale)));
    if (rule->logit_cap > 0)
        x = vf_soft_cap(x, rule->logit_cap);
    x = vf_pick(vf_ge(logit, vf_set(-FLT_MAX)), x, vf_set(-INFINITY));
    if (rule->bias_use == SLUICE_BIAS_LOGIT)
        x = vf_add(x, bias);
    return vf_clean(x);
}

/* sl_score_of for a row or rows with some choice, so that a softmax's sum is at least 1. Where the
 * sum cancels it may be anything. */
SL_SIMD vf vf_score(const struct sl_rule *rule, vf x, vf max, vf sum)
{
    if (rule->score == SLUICE_SCORE_SIGMOID)
        return vf_sigmoid(x);
    if (rule->score == SLUICE_SCORE_SQRT_SOFTPLUS)
        return vf_sqrt_softplus(x);
    vf e = vf_exp(vf_sub(x, max));
    return rule->sum_cancels ? e : vf_div(e, sum);
}

SL_SIMD float vf_greatest(vf v)
{
    __m128 q[4];
    vf_quarters(v, q);
    __m128 m = _mm_max_ps(_mm_max_ps(q[0], q[1]), _mm_max_ps(q[2], q[3]));
    m = _mm_max_ps(m, _mm_permute_ps(m, 0x4E));
    return _mm_cvtss_f32(_mm_max_ps(m, _mm_permute_ps(m, 0xB1)));
}

SL_SIMD float vf_least(vf v)
{
    return -vf_greatest(vf_neg(v));
}

/* A value that at least 8 lanes have or exceed: of the four lanes i of the quarters the second
 * greatest, of these the least. */
SL_SIMD float vf_eighth(vf v)
{
    __m128 q[4];
    vf_quarters(v, q);
    __m128 more = _mm_min_ps(_mm_max_ps(q[0], q[1]), _mm_max_ps(q[2], q[3]));
    __m128 less = _mm_max_ps(_mm_min_ps(q[0], q[1]), _mm_min_ps(q[2], q[3]));
    __m128 second = _mm_max_ps(more, less);
    second = _mm_min_ps(second, _mm_permute_ps(second, 0x4E));
    return _mm_cvtss_f32(_mm_min_ps(second, _mm_permute_ps(second, 0xB1)));
}

#endif
