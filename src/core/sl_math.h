/* SPDX-License-Identifier: Apache-2.0
 * The arithmetic of choosing experts, one exact sequence of IEEE operations for each function, so
 * that portable C, AVX2, AVX-512 and a device give the same bits. Each line is one operation on
 * f32, rounded to nearest even, subnormals kept: `+ - * /` and sqrtf as written, fmaf where written
 * and nowhere else (-ffp-contract=off). Selections are `a > b ? a : b` and `a < b ? a : b`, which
 * are the x86 max and min with operands (a, b). No branch, so every function works on a whole
 * vector.
 *
 * THE ORDER OF A SUM (sl_sum). Sixteen partial sums; number j starts from x[j] and adds x[j + 16],
 * x[j + 32], ... in this order; j >= n starts from +0. Then partial i takes in i + 8 (i < 8), then
 * i + 4, then i + 2, then i + 1. No summand that a vector version pads with +0 is ever -0.
 *   - Denominator of the softmax: exp(x - max) over all E + Z columns, +0 for a column whose logit
 *     is NaN or -inf; with JOINT, exp(x - max) of each shared column is then added, one by one,
 *     ascending. max is over all of them, and at least -FLT_MAX. None where it cancels (sl_rule).
 *   - Denominator of renorm: s of the K choices in the order of their columns, +0 where there is no
 *     choice; with JOINT each shared s is then added, one by one, ascending.
 *   - zero_weight: w of the K choices in the order of their columns, +0 for other choices. */
#ifndef SL_MATH_H
#define SL_MATH_H

#include "sl_inline.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define SL_LOG2E 0x1.715476p+0f
#define SL_LN2_HI 0x1.62e43p-1f /* ln 2 rounded to f32; n * SL_LN2_HI is exact inside an fma */
#define SL_LN2_LO (-0x1.05c61p-29f)
/* Adding and subtracting it rounds to an integer; the sum's low bits are the integer itself. */
#define SL_ROUNDER 0x1.8p+23f
#define SL_ROUNDER_BITS 0x4B400000U
/* exp(x) is 0 from here down, inf from here up. */
#define SL_EXP_LEAST (-104.0f)
#define SL_EXP_MOST 89.0f
/* (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2 */
#define SL_EXP_0 0x1p-1f
#define SL_EXP_1 0x1.5554dep-3f
#define SL_EXP_2 0x1.55551ap-5f
#define SL_EXP_3 0x1.120b62p-7f
#define SL_EXP_4 0x1.6d10fcp-10f
/* (log(1 + u) - 2 s) / s^3 in z = s^2, s = u / (2 + u), for 0 <= u <= 1 */
#define SL_LOG_0 0x1.55554cp-1f
#define SL_LOG_1 0x1.99ad6cp-2f
#define SL_LOG_2 0x1.21249ap-2f
#define SL_LOG_3 0x1.12f598p-2f
/* (tanh(x) - x) / x^3 in z = x^2, for |x| < 0.625 */
#define SL_TANH_EDGE 0.625f
#define SL_TANH_0 (-0x1.555552p-2f)
#define SL_TANH_1 0x1.110e1cp-3f
#define SL_TANH_2 (-0x1.b9258ap-5f)
#define SL_TANH_3 0x1.58048ep-6f
#define SL_TANH_4 (-0x1.8f8de4p-8f)

SL_INLINE int32_t sl_float_bits(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

SL_INLINE float sl_bits_float(int32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x, or the nearer end; NaN stays NaN. */
SL_INLINE float sl_clamp(float x, float least, float most)
{
    x = least > x ? least : x;
    return most < x ? most : x;
}

/* exp(x), all x: 0 for -inf, inf for large x, subnormal results rounded once. 2^n is applied in two
 * factors because n goes from -150 to 128: the first product is exact (vscalefps does the same). */
SL_INLINE float sl_exp(float x)
{
    x = sl_clamp(x, SL_EXP_LEAST, SL_EXP_MOST);
    float t = fmaf(x, SL_LOG2E, SL_ROUNDER);
    float n = t - SL_ROUNDER;
    float r = fmaf(n, -SL_LN2_HI, x);
    r = fmaf(n, -SL_LN2_LO, r);
    float q = fmaf(SL_EXP_4, r, SL_EXP_3);
    q = fmaf(q, r, SL_EXP_2);
    q = fmaf(q, r, SL_EXP_1);
    q = fmaf(q, r, SL_EXP_0);
    float rr = r * r;
    q = fmaf(q, rr, r);
    float p = 1.0f + q;
    /* In unsigned arithmetic, so that the bits of a NaN overflow nothing. */
    uint32_t biased = (uint32_t)sl_float_bits(t) - SL_ROUNDER_BITS + 256U;
    uint32_t half = biased >> 1;
    uint32_t rest = biased - half;
    p = p * sl_bits_float((int32_t)((half - 1) << 23)); /* half - 128 + 127 */
    return p * sl_bits_float((int32_t)((rest - 1) << 23));
}

/* log(1 + u) for 0 <= u <= 1; relative accuracy down to the smallest u. */
SL_INLINE float sl_log1p(float u)
{
    float s = u / (2.0f + u);
    float z = s * s;
    float q = fmaf(SL_LOG_3, z, SL_LOG_2);
    q = fmaf(q, z, SL_LOG_1);
    q = fmaf(q, z, SL_LOG_0);
    q = z * q;
    float h = u * 0.5f;
    h = h * u;
    float m = h + q;
    m = fmaf(-s, m, h);
    return u - m;
}

SL_INLINE float sl_tanh(float x)
{
    int32_t sign = sl_float_bits(x) & INT32_MIN;
    float a = sl_bits_float(sl_float_bits(x) & INT32_MAX);
    float z = a * a;
    float q = fmaf(SL_TANH_4, z, SL_TANH_3);
    q = fmaf(q, z, SL_TANH_2);
    q = fmaf(q, z, SL_TANH_1);
    q = fmaf(q, z, SL_TANH_0);
    z = z * a;
    float near = fmaf(q, z, a);
    float e = sl_exp(a + a);
    float d = e + 1.0f;
    d = 2.0f / d;
    float far = 1.0f - d;
    float y = a < SL_TANH_EDGE ? near : far;
    return sl_bits_float(sl_float_bits(y) | sign);
}

/* 0 below about -88.7, where exp(-x) is inf. */
SL_INLINE float sl_sigmoid(float x)
{
    float e = sl_exp(-x);
    e = 1.0f + e;
    return 1.0f / e;
}

/* sqrt(log(1 + exp(x))) */
SL_INLINE float sl_sqrt_softplus(float x)
{
    float a = sl_bits_float(sl_float_bits(x) & INT32_MAX);
    float u = sl_exp(-a);
    u = sl_log1p(u);
    float m = 0.0f > x ? 0.0f : x;
    m = m + u;
    return sqrtf(m);
}

/* cap * tanh(x / cap) */
SL_INLINE float sl_soft_cap(float x, float cap)
{
    float y = x / cap;
    y = sl_tanh(y);
    return cap * y;
}

enum { SL_LANES = 16 };

SL_INLINE float sl_sum(const float *x, int32_t n)
{
    float lane[SL_LANES];
    for (int32_t j = 0; j < SL_LANES; j++)
        lane[j] = j < n ? x[j] : 0.0f;
    int32_t i = SL_LANES;
    for (; i + SL_LANES <= n; i += SL_LANES)
        for (int32_t j = 0; j < SL_LANES; j++)
            lane[j] = lane[j] + x[i + j];
    for (; i < n; i++)
        lane[i % SL_LANES] = lane[i % SL_LANES] + x[i];
    for (int32_t width = SL_LANES / 2; width > 0; width /= 2)
        for (int32_t j = 0; j < width; j++)
            lane[j] = lane[j] + lane[j + width];
    return lane[0];
}

#endif
