/* SPDX-License-Identifier: Apache-2.0
 * Formulas of sl_math.h in fewer instructions; the same bits for the arguments that are said. Where
 * CUDA has an instruction that C has not, there is the same in C for the kernels' run on a CPU. */
#ifndef SLC_EXACT_CUH
#define SLC_EXACT_CUH

#include "warp.cuh"

/* A value that the compiler would compute or read again in every round of a loop is kept. */
#if defined(__CUDACC__)
#define SLC_KEEP(x_) asm("" : "+r"(x_))
#define SLC_KEEP_FLOAT(x_) asm("" : "+f"(x_))
#define SLC_KEEP_WIDE(x_) asm("" : "+l"(x_))
#else
#define SLC_KEEP(x_) ((void)(x_))
#define SLC_KEEP_FLOAT(x_) ((void)(x_))
#define SLC_KEEP_WIDE(x_) ((void)(x_))
#endif

/* __shfl_xor_sync and __shfl_sync of a float, without a move to an integer and back. */
template <int32_t Width> SLC_DEVICE float slc_across(float x)
{
#if defined(__CUDACC__)
    float other;
    asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, -1;" : "=f"(other) : "f"(x), "n"(Width));
    return other;
#else
    return __shfl_xor_sync(SLC_ALL, x, Width);
#endif
}

template <int32_t Lane> SLC_DEVICE float slc_from_lane(float x)
{
#if defined(__CUDACC__)
    float other;
    asm volatile("shfl.sync.idx.b32 %0, %1, %2, 31, -1;" : "=f"(other) : "f"(x), "n"(Lane));
    return other;
#else
    return __shfl_sync(SLC_ALL, x, Lane);
#endif
}

/* word + (value << Shift), as one instruction. */
template <int32_t Shift> SLC_DEVICE uint32_t slc_shift_add(uint32_t word, uint32_t value)
{
#if defined(__CUDACC__)
    uint32_t sum;
    asm("mad.lo.u32 %0, %1, %2, %3;" : "=r"(sum) : "r"(value), "n"(1 << Shift), "r"(word));
    return sum;
#else
    return word + (value << Shift);
#endif
}

/* The lanes below `lane`, which is this one. */
SLC_DEVICE uint32_t slc_lower_lanes(uint32_t lane)
{
#if defined(__CUDACC__)
    uint32_t lower;
    (void)lane;
    asm("mov.u32 %0, %%lanemask_lt;" : "=r"(lower));
    return lower;
#else
    return (1U << lane) - 1;
#endif
}

/* A bf16 in the lower or the upper half of a word. */
SLC_DEVICE float slc_low_bf16(uint32_t word)
{
#if defined(__CUDACC__)
    float x;
    asm("shl.b32 %0, %1, 16;" : "=f"(x) : "r"(word));
    return x;
#else
    return sl_bf16_to_f32((uint16_t)word);
#endif
}

SLC_DEVICE float slc_high_bf16(uint32_t word)
{
#if defined(__CUDACC__)
    float x;
    asm("and.b32 %0, %1, 0xFFFF0000;" : "=f"(x) : "r"(word));
    return x;
#else
    return sl_bf16_to_f32((uint16_t)(word >> 16));
#endif
}

/* An f16 in the lower half of a word; exact. */
SLC_DEVICE float slc_low_f16(uint32_t word)
{
#if defined(__CUDACC__)
    float x;
    asm("{ .reg .b16 h; cvt.u16.u32 h, %1; cvt.f32.f16 %0, h; }" : "=f"(x) : "r"(word));
    return SL_MUTANT(f16_denormals_flushed) && fabsf(x) < 0x1p-14f ? 0.0f : x;
#else
    return sl_f16_to_f32((uint16_t)word);
#endif
}

/* The greater; the other one where one is NaN. */
SLC_DEVICE float slc_max(float a, float b)
{
#if defined(__CUDACC__)
    return fmaxf(a, b);
#else
    return a > b || b != b ? a : b; /* fmaxf hands on a signalling NaN */
#endif
}

/* The lesser; NaN where one is NaN. */
SLC_DEVICE float slc_min_nan(float a, float b)
{
#if defined(__CUDACC__)
    float least;
    asm("min.NaN.f32 %0, %1, %2;" : "=f"(least) : "f"(a), "f"(b));
    return least;
#else
    return a != a || b != b ? NAN : fminf(a, b);
#endif
}

/* sl_sigmoid of any x but NaN. From 18 up it is 1, so the caller, who needs the least anyway, gives
 * 18 at most. Signs are turned so that x is never negated, as rounding is symmetric; the rounder's
 * low bits make half of exp(-x)'s power of two, which is always a normal number, and fma goes to
 * inf where 1 + exp(-x) does. In PTX because the compiler moves each constant to a register first,
 * and a float to an integer and back around the shift. */
#define SLC_POWER_ROUNDER (SL_ROUNDER + 126.0f)
#if defined(__CUDACC__)
#define SLC_IS(value_, bits_) static_assert(__builtin_bit_cast(uint32_t, value_) == bits_, "")
SLC_DEVICE float slc_sigmoid(float x)
{
    SLC_IS(-SL_EXP_MOST, 0xC2B20000);
    SLC_IS(-SL_LOG2E, 0xBFB8AA3B);
    SLC_IS(SLC_POWER_ROUNDER, 0x4B40007E);
    SLC_IS(SL_LN2_HI, 0x3F317218);
    SLC_IS(SL_LN2_LO, 0xB102E308);
    SLC_IS(-SL_EXP_4, 0xBAB6887E);
    SLC_IS(SL_EXP_3, 0x3C0905B1);
    SLC_IS(-SL_EXP_2, 0xBD2AAA8D);
    SLC_IS(SL_EXP_1, 0x3E2AAA6F);
    SLC_IS(-SL_EXP_0, 0xBF000000);
    float s;
    asm("{ .reg .f32 c, t, n, r, q, p;\n\t"
        "max.f32 c, %1, 0fC2B20000;\n\t"
        "fma.rn.f32 t, c, 0fBFB8AA3B, 0f4B40007E;\n\t"
        "sub.rn.f32 n, t, 0f4B40007E;\n\t"
        "fma.rn.f32 r, n, 0f3F317218, c;\n\t"
        "fma.rn.f32 r, n, 0fB102E308, r;\n\t"
        "fma.rn.f32 q, r, 0fBAB6887E, 0f3C0905B1;\n\t"
        "fma.rn.f32 q, q, r, 0fBD2AAA8D;\n\t"
        "fma.rn.f32 q, q, r, 0f3E2AAA6F;\n\t"
        "fma.rn.f32 q, q, r, 0fBF000000;\n\t"
        "mul.rn.f32 p, r, r;\n\t"
        "fma.rn.f32 q, q, p, r;\n\t"
        "sub.rn.f32 p, 0f3F800000, q;\n\t"
        "shl.b32 t, t, 23;\n\t"
        "mul.rn.f32 p, p, t;\n\t"
        "fma.rn.f32 p, p, 0f40000000, 0f3F800000;\n\t"
        "rcp.rn.f32 %0, p; }"
        : "=f"(s)
        : "f"(x));
    return s;
}
#else
SLC_DEVICE float slc_sigmoid(float x)
{
    float c = fmaxf(x, -SL_EXP_MOST);
    float t = fmaf(c, -SL_LOG2E, SLC_POWER_ROUNDER);
    float n = t - SLC_POWER_ROUNDER;
    float r = fmaf(n, SL_LN2_HI, c); /* that of sl_exp(-x), negative */
    r = fmaf(n, SL_LN2_LO, r);
    float q = fmaf(r, -SL_EXP_4, SL_EXP_3);
    q = fmaf(q, r, -SL_EXP_2);
    q = fmaf(q, r, SL_EXP_1);
    q = fmaf(q, r, -SL_EXP_0);
    float p = r * r;
    q = fmaf(q, p, r);
    p = (1.0f - q) * sl_bits_float((int32_t)((uint32_t)sl_float_bits(t) << 23));
    return 1.0f / fmaf(p, 2.0f, 1.0f);
}
#endif

/* sl_exp of an x that is not above 0; NaN gives 0. The rounder's low bits make the power of two,
 * times 2^64, so that the first product is exact; the second rounds where the result is not normal.
 */
#if defined(__CUDACC__)
SLC_DEVICE float slc_exp_below(float x)
{
    SLC_IS(SL_EXP_LEAST, 0xC2D00000);
    SLC_IS(SL_LOG2E, 0x3FB8AA3B);
    SLC_IS(SL_ROUNDER + 191.0f, 0x4B4000BF);
    SLC_IS(-SL_LN2_HI, 0xBF317218);
    SLC_IS(-SL_LN2_LO, 0x3102E308);
    SLC_IS(SL_EXP_4, 0x3AB6887E);
    SLC_IS(SL_EXP_3, 0x3C0905B1);
    SLC_IS(SL_EXP_2, 0x3D2AAA8D);
    SLC_IS(SL_EXP_1, 0x3E2AAA6F);
    SLC_IS(SL_EXP_0, 0x3F000000);
    float e;
    asm("{ .reg .f32 c, t, n, r, q, p;\n\t"
        "max.f32 c, %1, 0fC2D00000;\n\t"
        "fma.rn.f32 t, c, 0f3FB8AA3B, 0f4B4000BF;\n\t"
        "sub.rn.f32 n, t, 0f4B4000BF;\n\t"
        "fma.rn.f32 r, n, 0fBF317218, c;\n\t"
        "fma.rn.f32 r, n, 0f3102E308, r;\n\t"
        "fma.rn.f32 q, r, 0f3AB6887E, 0f3C0905B1;\n\t"
        "fma.rn.f32 q, q, r, 0f3D2AAA8D;\n\t"
        "fma.rn.f32 q, q, r, 0f3E2AAA6F;\n\t"
        "fma.rn.f32 q, q, r, 0f3F000000;\n\t"
        "mul.rn.f32 p, r, r;\n\t"
        "fma.rn.f32 q, q, p, r;\n\t"
        "add.rn.f32 p, q, 0f3F800000;\n\t"
        "shl.b32 t, t, 23;\n\t"
        "mul.rn.f32 p, p, t;\n\t"
        "mul.rn.f32 %0, p, 0f1F800000; }"
        : "=f"(e)
        : "f"(x));
    return e;
}
#else
SLC_DEVICE float slc_exp_below(float x)
{
    float c = slc_max(x, SL_EXP_LEAST);
    float t = fmaf(c, SL_LOG2E, SL_ROUNDER + 191.0f);
    float n = t - (SL_ROUNDER + 191.0f);
    float r = fmaf(n, -SL_LN2_HI, c);
    r = fmaf(n, -SL_LN2_LO, r);
    float q = fmaf(r, SL_EXP_4, SL_EXP_3);
    q = fmaf(q, r, SL_EXP_2);
    q = fmaf(q, r, SL_EXP_1);
    q = fmaf(q, r, SL_EXP_0);
    q = fmaf(q, r * r, r);
    return (1.0f + q) * sl_bits_float((int32_t)((uint32_t)sl_float_bits(t) << 23)) * 0x1p-64f;
}
#endif

/* The bits of a float that is neither NaN nor -0 as an unsigned number of the same order. */
SLC_DEVICE uint32_t slc_ordered(int32_t bits)
{
#if defined(__CUDACC__)
    uint32_t key;
    asm("lop3.b32 %0, %1, %2, 0x80000000, 0x1e;" /* a ^ (b | c) */
        : "=r"(key)
        : "r"(bits), "r"(bits >> 31));
    return key;
#else
    return (uint32_t)bits ^ ((uint32_t)(bits >> 31) | 0x80000000U);
#endif
}

SLC_DEVICE uint32_t slc_ordered_float(float v)
{
#if defined(__CUDACC__)
    uint32_t key; /* without a move to an integer: prmt takes the sign four times */
    asm("{ .reg .b32 sign; prmt.b32 sign, %1, 0, 0xBBBB;\n\t"
        "lop3.b32 %0, %1, sign, 0x80000000, 0x1e; }"
        : "=r"(key)
        : "f"(v));
    return key;
#else
    return slc_ordered(sl_float_bits(v));
#endif
}

/* a & ~b & c */
SLC_DEVICE int32_t slc_and_not_and(int32_t a, int32_t b, int32_t c)
{
#if defined(__CUDACC__)
    int32_t bits;
    asm("lop3.b32 %0, %1, %2, %3, 0x20;" : "=r"(bits) : "r"(a), "r"(b), "r"(c));
    return bits;
#else
    return a & ~b & c;
#endif
}

/* The bits of a where mask has ones, else of b. */
SLC_DEVICE int32_t slc_merged(int32_t mask, int32_t a, int32_t b)
{
#if defined(__CUDACC__)
    int32_t bits;
    asm("lop3.b32 %0, %1, %2, %3, 0xCA;" : "=r"(bits) : "r"(mask), "r"(a), "r"(b));
    return bits;
#else
    return (mask & a) | (~mask & b);
#endif
}

/* Byte k of eight by slc_byte_selector of k; from 128 up with ones before it. */
SLC_DEVICE uint32_t slc_byte_selector(uint32_t k)
{
    return k * 0x1111U + 0x8880U; /* its sign in the others */
}

SLC_DEVICE uint32_t slc_byte(uint32_t low, uint32_t high, uint32_t selector)
{
#if defined(__CUDACC__)
    uint32_t byte;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(byte) : "r"(low), "r"(high), "r"(selector));
    return byte;
#else
    uint32_t byte = (selector & 4 ? high : low) >> (selector % 4 * 8) & 0xFF;
    return byte < 128 ? byte : byte | 0xFFFFFF00U;
#endif
}

/* slc_ordered(-inf); keys up to it are no choice. */
#define SLC_NO_KEY 0x007FFFFFU

#endif
