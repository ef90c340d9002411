/* SPDX-License-Identifier: Apache-2.0 */
/* f32 and f64 arithmetic, rounded to nearest; other roundings have no form and are refused. The
 * .approx forms are computed in double and rounded, which is at most an ulp or two from a device:
 * no decision may hang on them. */
#include "exec.h"

static uint64_t flushed(const struct ptx_ins *ins, uint64_t bits)
{
    return ins->mod[PK_FTZ] ? exec_flush(bits) : bits;
}

static uint64_t saturated(const struct ptx_ins *ins, float value)
{
    if (ins->mod[PK_SAT])
        value = value > 0 ? (value < 1 ? value : 1) : 0; /* NaN becomes 0 */
    return flushed(ins, exec_bits(value));
}

#define F32_1(name, expr)                                                                          \
    EXEC(name)                                                                                     \
    {                                                                                              \
        uint64_t *d = exec_row(w, ins->d[0]);                                                      \
        const uint64_t *sa = warp_source(w, ins, 0);                                               \
        EACH_LANE(float a = exec_f32(flushed(ins, sa[l])); d[l] = saturated(ins, (float)(expr)));  \
    }
#define F32_2(name, expr)                                                                          \
    EXEC(name)                                                                                     \
    {                                                                                              \
        uint64_t *d = exec_row(w, ins->d[0]);                                                      \
        const uint64_t *sa = warp_source(w, ins, 0), *sb = warp_source(w, ins, 1);                 \
        EACH_LANE(float a = exec_f32(flushed(ins, sa[l]));                                         \
                  float b = exec_f32(flushed(ins, sb[l])); d[l] = saturated(ins, (float)(expr)));  \
    }
#define F32_3(name, expr)                                                                          \
    EXEC(name)                                                                                     \
    {                                                                                              \
        uint64_t *d = exec_row(w, ins->d[0]);                                                      \
        const uint64_t *sa = warp_source(w, ins, 0), *sb = warp_source(w, ins, 1),                 \
                       *sc = warp_source(w, ins, 2);                                               \
        EACH_LANE(float a = exec_f32(flushed(ins, sa[l]));                                         \
                  float b = exec_f32(flushed(ins, sb[l]));                                         \
                  float c = exec_f32(flushed(ins, sc[l])); d[l] = saturated(ins, (float)(expr)));  \
    }

/* One NaN loses against a number; -0 is less than +0. */
static float lesser(float a, float b)
{
    if (a != a || b != b)
        return a != a ? b : a;
    return a < b || (a == b && signbit(a)) ? a : b;
}
static float greater(float a, float b)
{
    if (a != a || b != b)
        return a != a ? b : a;
    return a > b || (a == b && !signbit(a)) ? a : b;
}

F32_2(add_f32, a + b)
F32_2(sub_f32, a - b)
F32_2(mul_f32, a *b)
F32_2(div_f32, a / b)
/* Of two or three. */
#define F32_BEST(name, op)                                                                         \
    EXEC(name)                                                                                     \
    {                                                                                              \
        uint64_t *d = exec_row(w, ins->d[0]);                                                      \
        const uint64_t *sa = warp_source(w, ins, 0), *sb = warp_source(w, ins, 1),                 \
                       *sc = warp_source(w, ins, ins->ns - 1);                                     \
        EACH_LANE(float a = exec_f32(flushed(ins, sa[l]));                                         \
                  float b = exec_f32(flushed(ins, sb[l])); a = op(a, b);                           \
                  if (ins->ns > 2) a = op(a, exec_f32(flushed(ins, sc[l])));                       \
                  d[l] = saturated(ins, a));                                                       \
    }
F32_BEST(min_f32, lesser)
F32_BEST(max_f32, greater)
F32_2(min_nan_f32, a != a || b != b ? NAN : lesser(a, b))
F32_2(max_nan_f32, a != a || b != b ? NAN : greater(a, b))
F32_3(fma_f32, fmaf(a, b, c))
F32_1(sqrt_f32, sqrtf(a))
F32_1(rcp_f32, 1.0F / a)
F32_1(ex2_f32, exp2((double)a))
F32_1(lg2_f32, log2((double)a))
F32_1(rsqrt_f32, 1.0 / sqrt((double)a))
F32_1(sin_f32, sin((double)a))
F32_1(cos_f32, cos((double)a))
F32_1(tanh_f32, tanh((double)a))

/* Two f32 in one register of 64 bits. */
#define F32X2(name, expr)                                                                          \
    static uint64_t name##_half(const struct ptx_ins *ins, uint64_t sa, uint64_t sb, uint64_t sc)  \
    {                                                                                              \
        float a = exec_f32(flushed(ins, (uint32_t)sa)), b = exec_f32(flushed(ins, (uint32_t)sb));  \
        float c = exec_f32(flushed(ins, (uint32_t)sc));                                            \
        (void)c;                                                                                   \
        return flushed(ins, exec_bits(expr));                                                      \
    }                                                                                              \
    EXEC(name)                                                                                     \
    {                                                                                              \
        uint64_t *d = exec_row(w, ins->d[0]);                                                      \
        const uint64_t *sa = warp_source(w, ins, 0), *sb = warp_source(w, ins, 1),                 \
                       *sc = warp_source(w, ins, ins->ns - 1);                                     \
        EACH_LANE(d[l] = name##_half(ins, sa[l], sb[l], sc[l]) |                                   \
                         name##_half(ins, sa[l] >> 32, sb[l] >> 32, sc[l] >> 32) << 32);           \
    }
F32X2(add_f32x2, a + b)
F32X2(sub_f32x2, a - b)
F32X2(mul_f32x2, a *b)
F32X2(fma_f32x2, fmaf(a, b, c))

/* Sign operations keep a NaN's other bits out of it: the device gives its one NaN or the bits with
 * the sign changed; compiled code looks at neither. */
EXEC(abs_f32)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0);
    EACH_LANE(d[l] = flushed(ins, sa[l] & 0x7fffffffU));
}
EXEC(neg_f32)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0);
    EACH_LANE(d[l] = flushed(ins, (uint32_t)(sa[l] ^ 0x80000000U)));
}
EXEC2(copysign_f32, uint32_t, uint32_t, (a & 0x80000000U) | (b & 0x7fffffffU))

#define F64(name, n, expr)                                                                         \
    EXEC(name)                                                                                     \
    {                                                                                              \
        uint64_t *d = exec_row(w, ins->d[0]);                                                      \
        const uint64_t *sa = warp_source(w, ins, 0), *sb = warp_source(w, ins, (n) > 1 ? 1 : 0),   \
                       *sc = warp_source(w, ins, (n) > 2 ? 2 : 0);                                 \
        EACH_LANE(double a = exec_f64(sa[l]); double b = exec_f64(sb[l]);                          \
                  double c = exec_f64(sc[l]); (void)b; (void)c; d[l] = exec_bits64(expr));         \
    }
F64(add_f64, 2, a + b)
F64(sub_f64, 2, a - b)
F64(mul_f64, 2, a *b)
F64(div_f64, 2, a / b)
F64(fma_f64, 3, fma(a, b, c))
F64(sqrt_f64, 1, sqrt(a))
F64(rcp_f64, 1, 1.0 / a)
F64(abs_f64, 1, fabs(a))
F64(neg_f64, 1, -a)
F64(min_f64, 2, fmin(a, b))
F64(max_f64, 2, fmax(a, b))

#define F(name, type, allow, shape, op)                                                            \
    {                                                                                              \
        name, T(type), 0, allow, 0, shape, op, 0, PCL_FLOAT                                        \
    }

const struct ptx_form ptx_forms_float[] = {F("add", F32, K(FTZ) | K(SAT), "dss", add_f32),
                                           F("add.rn", F32, K(FTZ) | K(SAT), "dss", add_f32),
                                           F("sub", F32, K(FTZ) | K(SAT), "dss", sub_f32),
                                           F("sub.rn", F32, K(FTZ) | K(SAT), "dss", sub_f32),
                                           F("mul", F32, K(FTZ) | K(SAT), "dss", mul_f32),
                                           F("mul.rn", F32, K(FTZ) | K(SAT), "dss", mul_f32),
                                           F("fma.rn", F32, K(FTZ) | K(SAT), "dsss", fma_f32),
                                           F("div.rn", F32, K(FTZ), "dss", div_f32),
                                           F("div.approx", F32, K(FTZ), "dss", div_f32),
                                           F("div.full", F32, K(FTZ), "dss", div_f32),
                                           F("min", F32, K(FTZ), "dss?s", min_f32),
                                           F("max", F32, K(FTZ), "dss?s", max_f32),
                                           F("min.NaN", F32, K(FTZ), "dss", min_nan_f32),
                                           F("max.NaN", F32, K(FTZ), "dss", max_nan_f32),
                                           F("abs", F32, K(FTZ), "ds", abs_f32),
                                           F("neg", F32, K(FTZ), "ds", neg_f32),
                                           F("copysign", F32, 0, "dss", copysign_f32),
                                           F("sqrt.rn", F32, K(FTZ), "ds", sqrt_f32),
                                           F("sqrt.approx", F32, K(FTZ), "ds", sqrt_f32),
                                           F("rcp.rn", F32, K(FTZ), "ds", rcp_f32),
                                           F("rcp.approx", F32, K(FTZ), "ds", rcp_f32),
                                           F("rsqrt.approx", F32, K(FTZ), "ds", rsqrt_f32),
                                           F("ex2.approx", F32, K(FTZ), "ds", ex2_f32),
                                           F("lg2.approx", F32, K(FTZ), "ds", lg2_f32),
                                           F("sin.approx", F32, K(FTZ), "ds", sin_f32),
                                           F("cos.approx", F32, K(FTZ), "ds", cos_f32),
                                           F("tanh.approx", F32, 0, "ds", tanh_f32),
                                           F("add", F32X2, K(FTZ), "dss", add_f32x2),
                                           F("add.rn", F32X2, K(FTZ), "dss", add_f32x2),
                                           F("sub", F32X2, K(FTZ), "dss", sub_f32x2),
                                           F("sub.rn", F32X2, K(FTZ), "dss", sub_f32x2),
                                           F("mul", F32X2, K(FTZ), "dss", mul_f32x2),
                                           F("mul.rn", F32X2, K(FTZ), "dss", mul_f32x2),
                                           F("fma.rn", F32X2, K(FTZ), "dsss", fma_f32x2),
                                           F("add", F64, 0, "dss", add_f64),
                                           F("add.rn", F64, 0, "dss", add_f64),
                                           F("sub", F64, 0, "dss", sub_f64),
                                           F("sub.rn", F64, 0, "dss", sub_f64),
                                           F("mul", F64, 0, "dss", mul_f64),
                                           F("mul.rn", F64, 0, "dss", mul_f64),
                                           F("fma.rn", F64, 0, "dsss", fma_f64),
                                           F("div.rn", F64, 0, "dss", div_f64),
                                           F("sqrt.rn", F64, 0, "ds", sqrt_f64),
                                           F("rcp.rn", F64, 0, "ds", rcp_f64),
                                           F("abs", F64, 0, "ds", abs_f64),
                                           F("neg", F64, 0, "ds", neg_f64),
                                           F("min", F64, 0, "dss", min_f64),
                                           F("max", F64, 0, "dss", max_f64),
                                           {0}};
