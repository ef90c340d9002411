#include "ct.h"

#include "choose_reference.h"
#include "core/sl_half.h"
#include "core/sl_math.h"

#include <math.h>
#include <string.h>

enum { POINTS = 400000 };

/* How many units in the last place of `want` lie between; below FLT_MIN the subnormals' unit. */
static double ulps(float got, double want)
{
    if (isinf(got))
        return want > (double)FLT_MAX ? 0 : INFINITY;
    double size = fmax(fabs(want), (double)FLT_MIN);
    int exponent;
    frexp(size, &exponent);
    return fabs((double)got - want) / ldexp(1, exponent - 24);
}

/* The greatest error over `points` evenly spaced arguments. */
static double worst(float (*ours)(float), double (*theirs)(double), double from, double to)
{
    double most = 0;
    for (int32_t i = 0; i <= POINTS; i++) {
        float x = (float)(from + (to - from) * i / POINTS);
        most = fmax(most, ulps(ours(x), theirs((double)x)));
    }
    return most;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double sqrt_softplus(double x)
{
    return sqrt(fmax(x, 0) + log1p(exp(-fabs(x))));
}

CT(math, exp_is_close, "exp is within 1.1 ulp, subnormal results included")
{
    ct_true(worst(sl_exp, exp, -104, 89) < 1.1);
    ct_true(worst(sl_exp, exp, -1, 0) < 1.1);
    ct_true(worst(sl_exp, exp, -0.001, 0.001) < 1.1);
    ct_true(worst(sl_exp, exp, -104, -87) < 1.1);
}

CT(math, exp_at_the_ends, "exp is 0 for -inf, 1 for 0, inf for large arguments, NaN for NaN")
{
    ct_eq_f32bits(sl_exp(-INFINITY), 0.0f);
    ct_eq_f32bits(sl_exp(-1e30f), 0.0f);
    ct_eq_f32bits(sl_exp(-104.0f), 0.0f);
    ct_eq_f32bits(sl_exp(0.0f), 1.0f);
    ct_eq_f32bits(sl_exp(-0.0f), 1.0f);
    ct_eq_f32bits(sl_exp(INFINITY), INFINITY);
    ct_eq_f32bits(sl_exp(88.73f), INFINITY);
    ct_true(sl_exp(88.72f) < INFINITY);
    ct_true(isnan(sl_exp(NAN)));
}

CT(math, exp_never_falls, "exp never falls where its argument rises")
{
    float before = 0;
    for (float x = -104; x < 89; x += 0.00037f) {
        float y = sl_exp(x);
        ct_true(y >= before);
        before = y;
    }
}

CT(math, log1p_is_close,
   "log1p is within 1.6 ulp on [0, 1], relative down to the smallest argument")
{
    ct_true(worst(sl_log1p, log1p, 0, 1) < 1.6);
    for (float u = 1; u > 0; u *= 0.37f)
        ct_true(ulps(sl_log1p(u), log1p((double)u)) < 1.6);
    ct_eq_f32bits(sl_log1p(0.0f), 0.0f);
    ct_eq_f32bits(sl_log1p(0x1p-149f), 0x1p-149f);
}

CT(math, tanh_is_close, "tanh is within 1.5 ulp, odd, and 1 at the end")
{
    ct_true(worst(sl_tanh, tanh, -12, 12) < 1.5);
    ct_true(worst(sl_tanh, tanh, -0.7, 0.7) < 1.5);
    ct_true(worst(sl_tanh, tanh, -1e-5, 1e-5) < 1.5);
    for (float x = 0.01f; x < 20; x *= 1.01f)
        ct_eq_f32bits(sl_tanh(-x), -sl_tanh(x));
    ct_eq_f32bits(sl_tanh(INFINITY), 1.0f);
    ct_eq_f32bits(sl_tanh(-FLT_MAX), -1.0f);
    ct_eq_f32bits(sl_tanh(-0.0f), -0.0f);
    ct_eq_f32bits(sl_soft_cap(FLT_MAX, 30.0f), 30.0f);
    ct_true(isnan(sl_tanh(NAN)));
}

CT(math, sigmoid_is_close, "sigmoid is within 2.6 ulp where exp(-x) is finite, and 0 below")
{
    ct_true(worst(sl_sigmoid, sigmoid, -87, 100) < 2.6);
    ct_true(worst(sl_sigmoid, sigmoid, -20, 20) < 2.6);
    ct_eq_f32bits(sl_sigmoid(-89.0f), 0.0f);
    ct_eq_f32bits(sl_sigmoid(-INFINITY), 0.0f);
    ct_eq_f32bits(sl_sigmoid(0.0f), 0.5f);
    ct_eq_f32bits(sl_sigmoid(FLT_MAX), 1.0f);
}

CT(math, sqrt_softplus_is_close, "sqrt(softplus) is within 2 ulp where exp(x) is normal")
{
    ct_true(worst(sl_sqrt_softplus, sqrt_softplus, -87, 100) < 2);
    ct_true(worst(sl_sqrt_softplus, sqrt_softplus, -5, 5) < 2);
    ct_eq_f32bits(sl_sqrt_softplus(-INFINITY), 0.0f);
    ct_eq_f32bits(sl_sqrt_softplus(FLT_MAX), sqrtf(FLT_MAX));
}

CT(math, sum_has_one_order, "a sum is sixteen partial sums, then a tree")
{
    struct choose_random random = {1};
    for (int32_t n = 0; n < 100; n++) {
        float *x = choose_normals(&random, n, 1), lane[16];
        for (int32_t j = 0; j < 16; j++) {
            lane[j] = j < n ? x[j] : 0;
            for (int32_t i = j + 16; i < n; i += 16)
                lane[j] += x[i];
        }
        float four[4];
        for (int32_t j = 0; j < 4; j++)
            four[j] = (lane[j] + lane[j + 8]) + (lane[j + 4] + lane[j + 12]);
        ct_eq_f32bits(sl_sum(x, n), (four[0] + four[2]) + (four[1] + four[3]));
    }
}

CT(half, f16_is_exact, "every f16 becomes the f32 of the same value, and comes back")
{
    for (uint32_t bits = 0; bits < 65536; bits++) {
        int32_t exponent = (bits >> 10) & 31, fraction = bits & 1023;
        double sign = bits & 0x8000 ? -1 : 1;
        float x = sl_f16_to_f32((uint16_t)bits);
        if (exponent == 31 && fraction) {
            ct_true(isnan(x));
            ct_eq_u64(sl_f32_to_f16(x), bits | 0x200);
            continue;
        }
        double want = exponent == 31  ? INFINITY
                      : exponent == 0 ? ldexp(fraction, -24)
                                      : ldexp(fraction + 1024, exponent - 25);
        ct_eq_f32bits(x, (float)(sign * want));
        ct_eq_u64(sl_f32_to_f16(x), bits);
    }
}

CT(half, bf16_is_exact, "every bf16 comes back, a NaN as a quiet one")
{
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float x = sl_bf16_to_f32((uint16_t)bits);
        uint32_t wide;
        memcpy(&wide, &x, sizeof wide);
        if (!isnan(x))
            ct_eq_u64(wide, (uint64_t)bits << 16);
        ct_eq_u64(sl_f32_to_bf16(x), isnan(x) ? bits | 0x40 : bits);
    }
}

/* Between two neighbours: below, at and above the middle. */
static void check_rounding(uint16_t (*narrow)(float), float (*widen)(uint16_t), uint16_t low,
                           float above_most)
{
    float a = widen(low), b = widen((uint16_t)(low + 1));
    if (isinf(b))
        b = above_most;
    float middle = (float)(((double)a + (double)b) / 2);
    uint16_t even = (uint16_t)(low % 2 ? low + 1 : low);
    ct_expect_eq_u64(narrow(middle), even);
    ct_expect_eq_u64(narrow(nextafterf(middle, 0)), low);
    ct_expect_eq_u64(narrow(nextafterf(middle, INFINITY)), low + 1U);
    ct_expect_eq_u64(narrow(-middle), even | 0x8000U);
}

CT(half, rounds_to_nearest_even,
   "between two halves the nearer is taken, in the middle the even one")
{
    for (uint16_t low = 0; low < 0x7C00 && !ct_failed(); low++)
        check_rounding(sl_f32_to_f16, sl_f16_to_f32, low, 65536.0f);
    /* The middle below the smallest bf16 subnormals is exact in f32 too. */
    for (uint16_t low = 0; low < 0x7F7F && !ct_failed(); low++)
        check_rounding(sl_f32_to_bf16, sl_bf16_to_f32, low, INFINITY);
    ct_eq_u64(sl_f32_to_f16(FLT_MAX), 0x7C00);
    ct_eq_u64(sl_f32_to_f16(-FLT_MAX), 0xFC00);
    ct_eq_u64(sl_f32_to_bf16(FLT_MAX), 0x7F80);
    ct_eq_u64(sl_f32_to_bf16(-INFINITY), 0xFF80);
}
