/* SPDX-License-Identifier: Apache-2.0 */
/* Integer arithmetic and logic. Arithmetic is done unsigned, where overflow wraps. */
#include "exec.h"

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 s128;

#define THREE(op, macro, expr)                                                                     \
    macro(op##16, uint16_t, uint16_t, expr) macro(op##32, uint32_t, uint32_t, expr)                \
        macro(op##64, uint64_t, uint64_t, expr)
#define SIGNED_THREE(op, macro, expr)                                                              \
    macro(op##_s16, int16_t, uint16_t, expr) macro(op##_s32, int32_t, uint32_t, expr)              \
        macro(op##_s64, int64_t, uint64_t, expr)

THREE(add, EXEC2, a + b)
THREE(sub, EXEC2, a - b)
THREE(and_, EXEC2, a &b)
THREE(or_, EXEC2, a | b)
THREE(xor_, EXEC2, a ^ b)
THREE(not_, EXEC1, ~a)
THREE(neg, EXEC1, 0 - (uint64_t)a)
THREE(cnot, EXEC1, a == 0)
THREE(min_u, EXEC2, a < b ? a : b)
THREE(max_u, EXEC2, a > b ? a : b)
SIGNED_THREE(min, EXEC2, a < b ? a : b)
SIGNED_THREE(max, EXEC2, a > b ? a : b)
SIGNED_THREE(abs, EXEC1, a < 0 ? 0 - (uint64_t)a : (uint64_t)a)
THREE(mul, EXEC2, (uint64_t)a *(uint64_t)b)
THREE(mad, EXEC3, (uint64_t)a *(uint64_t)b + (uint64_t)c)

EXEC2(mul_wide_u16, uint16_t, uint32_t, (uint32_t)a *b)
EXEC2(mul_wide_s16, int16_t, uint32_t, (int32_t)a *b)
EXEC2(mul_wide_u32, uint32_t, uint64_t, (uint64_t)a *b)
EXEC2(mul_wide_s32, int32_t, uint64_t, (int64_t)a *b)
EXEC2(mul_hi_u16, uint16_t, uint16_t, (uint32_t)a *b >> 16)
EXEC2(mul_hi_s16, int16_t, uint16_t, (int32_t)a *b >> 16)
EXEC2(mul_hi_u32, uint32_t, uint32_t, (uint64_t)a *b >> 32)
EXEC2(mul_hi_s32, int32_t, uint32_t, (int64_t)a *b >> 32)
EXEC2(mul_hi_u64, uint64_t, uint64_t, (u128)a *b >> 64)
EXEC2(mul_hi_s64, int64_t, uint64_t, (s128)a *b >> 64)
EXEC3(mad_hi_u32, uint32_t, uint32_t, ((uint64_t)a * b >> 32) + c)
EXEC3(mad_wide_u32, uint64_t, uint64_t, (uint64_t)(uint32_t)a *(uint32_t)b + c)
EXEC3(mad_wide_s32, uint64_t, uint64_t, (uint64_t)((int64_t)(int32_t)a *(int32_t)b) + c)

/* Division by zero gives all ones, its rest the dividend; the least value by -1 gives itself. */
#define DIVIDE(type, zero, wrap, expr) (b == 0 ? (type)(zero) : (wrap) ? (type)0 : (type)(expr))
EXEC2(div_u16, uint16_t, uint16_t, DIVIDE(uint16_t, UINT16_MAX, 0, a / b))
EXEC2(div_u32, uint32_t, uint32_t, DIVIDE(uint32_t, UINT32_MAX, 0, a / b))
EXEC2(div_u64, uint64_t, uint64_t, DIVIDE(uint64_t, UINT64_MAX, 0, a / b))
EXEC2(rem_u16, uint16_t, uint16_t, DIVIDE(uint16_t, a, 0, a % b))
EXEC2(rem_u32, uint32_t, uint32_t, DIVIDE(uint32_t, a, 0, a % b))
EXEC2(rem_u64, uint64_t, uint64_t, DIVIDE(uint64_t, a, 0, a % b))
EXEC2(div_s16, int16_t, uint16_t, DIVIDE(int32_t, -1, 0, a / b))
EXEC2(div_s32, int32_t, uint32_t, DIVIDE(int64_t, -1, 0, (int64_t)a / b))
EXEC2(div_s64, int64_t, uint64_t,
      b == 0    ? UINT64_MAX
      : b == -1 ? 0 - (uint64_t)a
                : (uint64_t)(a / b))
EXEC2(rem_s16, int16_t, uint16_t, DIVIDE(int32_t, a, 0, a % b))
EXEC2(rem_s32, int32_t, uint32_t, DIVIDE(int64_t, a, 0, (int64_t)a % b))
EXEC2(rem_s64, int64_t, uint64_t, DIVIDE(int64_t, a, b == -1, a % b))

/* The amount is 32 bits wide and stops at the width. */
#define SHIFT(name, type, wide, beyond, op)                                                        \
    EXEC(name)                                                                                     \
    {                                                                                              \
        uint64_t *d = exec_row(w, ins->d[0]);                                                      \
        const uint64_t *sa = warp_source(w, ins, 0), *sb = warp_source(w, ins, 1);                 \
        EACH_LANE(type a = (type)sa[l]; uint32_t n = (uint32_t)sb[l];                              \
                  d[l] = (wide)(n >= 8 * sizeof(type) ? (type)(beyond) : (type)(a op n)));         \
    }
SHIFT(shl16, uint16_t, uint16_t, 0, <<)
SHIFT(shl32, uint32_t, uint32_t, 0, <<)
SHIFT(shl64, uint64_t, uint64_t, 0, <<)
SHIFT(shr_u16, uint16_t, uint16_t, 0, >>)
SHIFT(shr_u32, uint32_t, uint32_t, 0, >>)
SHIFT(shr_u64, uint64_t, uint64_t, 0, >>)
SHIFT(shr_s16, int16_t, uint16_t, a < 0 ? -1 : 0, >>)
SHIFT(shr_s32, int32_t, uint32_t, a < 0 ? -1 : 0, >>)
SHIFT(shr_s64, int64_t, uint64_t, a < 0 ? -1 : 0, >>)

EXEC3(shf_l_wrap, uint32_t, uint32_t, (((uint64_t)b << 32 | a) << (c & 31)) >> 32)
EXEC3(shf_r_wrap, uint32_t, uint32_t, ((uint64_t)b << 32 | a) >> (c & 31))
EXEC3(shf_l_clamp, uint32_t, uint32_t, (((uint64_t)b << 32 | a) << (c < 32 ? c : 32)) >> 32)
EXEC3(shf_r_clamp, uint32_t, uint32_t, ((uint64_t)b << 32 | a) >> (c < 32 ? c : 32))

EXEC1(popc32, uint32_t, uint32_t, __builtin_popcount(a))
EXEC1(popc64, uint64_t, uint32_t, __builtin_popcountll(a))
EXEC1(clz32, uint32_t, uint32_t, a ? __builtin_clz(a) : 32)
EXEC1(clz64, uint64_t, uint32_t, a ? __builtin_clzll(a) : 64)
EXEC1(bfind_u32, uint32_t, uint32_t, a ? 31 - __builtin_clz(a) : -1)
EXEC1(bfind_s32, int32_t, uint32_t,
      (a ^ a >> 31) ? 31 - __builtin_clz((uint32_t)(a ^ a >> 31)) : -1)
EXEC1(bfind_u64, uint64_t, uint32_t, a ? 63 - __builtin_clzll(a) : -1)
EXEC1(bfind_shift_u32, uint32_t, uint32_t, a ? __builtin_clz(a) : -1)

static uint64_t reversed(uint64_t value, int bits)
{
    uint64_t out = 0;
    for (int i = 0; i < bits; i++)
        out |= (value >> i & 1) << (bits - 1 - i);
    return out;
}
EXEC1(brev32, uint32_t, uint32_t, reversed(a, 32))
EXEC1(brev64, uint64_t, uint64_t, reversed(a, 64))

/* Position and length are 8 bits wide. */
static uint64_t low_ones(uint32_t length)
{
    return length >= 64 ? UINT64_MAX : (1ULL << length) - 1;
}
static uint64_t inserted(uint64_t a, uint64_t b, uint32_t at, uint32_t length)
{
    uint64_t field = at >= 64 ? 0 : low_ones(length) << at;
    return (b & ~field) | (at >= 64 ? 0 : a << at & field);
}
static uint64_t extracted(uint64_t a, uint32_t at, uint32_t length, int bits, bool is_signed)
{
    uint64_t value = at >= 64 ? 0 : a >> at & low_ones(length);
    uint32_t top = length == 0 ? 0 : at + length - 1;
    if (top >= (uint32_t)bits)
        top = (uint32_t)bits - 1;
    bool sign = is_signed && length > 0 && (a >> top & 1);
    uint32_t have = at >= (uint32_t)bits ? 0 : (uint32_t)bits - at;
    uint32_t kept = length < have ? length : have;
    return sign ? value | ~low_ones(kept) : value & low_ones(kept);
}
#define FIELD(name, wide, expr)                                                                    \
    EXEC(name)                                                                                     \
    {                                                                                              \
        uint64_t *d = exec_row(w, ins->d[0]);                                                      \
        const uint64_t *sa = warp_source(w, ins, 0), *sb = warp_source(w, ins, 1),                 \
                       *sc = warp_source(w, ins, 2);                                               \
        const uint64_t *se = warp_source(w, ins, ins->ns - 1);                                     \
        EACH_LANE(uint64_t a = sa[l]; uint64_t b = sb[l]; uint64_t c = sc[l]; uint64_t e = se[l];  \
                  (void)b; (void)c; (void)e; d[l] = (wide)(expr));                                 \
    }
FIELD(bfi32, uint32_t, inserted((uint32_t)a, (uint32_t)b, (uint8_t)c, (uint8_t)e))
FIELD(bfi64, uint64_t, inserted(a, b, (uint8_t)c, (uint8_t)e))
FIELD(bfe_u32, uint32_t, extracted((uint32_t)a, (uint8_t)b, (uint8_t)c, 32, false))
FIELD(bfe_s32, uint32_t, extracted((uint32_t)a, (uint8_t)b, (uint8_t)c, 32, true))
FIELD(bfe_u64, uint64_t, extracted(a, (uint8_t)b, (uint8_t)c, 64, false))
FIELD(bfe_s64, uint64_t, extracted(a, (uint8_t)b, (uint8_t)c, 64, true))

static uint32_t permuted(uint32_t a, uint32_t b, uint32_t selector)
{
    uint64_t from = (uint64_t)b << 32 | a;
    uint32_t out = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t pick = selector >> (4 * i) & 15;
        uint32_t byte = (uint32_t)(from >> (8 * (pick & 7))) & 255;
        if (pick & 8)
            byte = byte & 128 ? 255 : 0;
        out |= byte << (8 * i);
    }
    return out;
}
EXEC3(prmt, uint32_t, uint32_t, permuted(a, b, c))

/* The truth table is one for all lanes: bit (a b c). */
static uint32_t looked_up(uint32_t a, uint32_t b, uint32_t c, uint32_t table)
{
    uint32_t out = 0;
    for (uint32_t i = 0; i < 8; i++)
        if (table >> i & 1)
            out |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
    return out;
}
FIELD(lop3, uint32_t, looked_up((uint32_t)a, (uint32_t)b, (uint32_t)c, (uint32_t)e))

static uint32_t dot4(uint32_t a, uint32_t b, uint32_t c, bool sa, bool sb)
{
    for (int i = 0; i < 32; i += 8) {
        uint32_t x = a >> i & 255, y = b >> i & 255;
        c += (sa ? (uint32_t)(int8_t)x : x) * (sb ? (uint32_t)(int8_t)y : y);
    }
    return c;
}
EXEC3(dp4a, uint32_t, uint32_t, dot4(a, b, c, ins->type == PT_S32, ins->type2 == PT_S32))

#define BY_WIDTH(name, shape, op)                                                                  \
    {name, T_INT16, 0, 0, 0, shape, op##16, 0, PCL_INT},                                           \
        {name, T_INT32, 0, 0, 0, shape, op##32, 0, PCL_INT},                                       \
    {                                                                                              \
        name, T_INT64, 0, 0, 0, shape, op##64, 0, PCL_INT                                          \
    }
#define BY_BITS(name, shape, op)                                                                   \
    {name, T(B16), 0, 0, 0, shape, op##16, 0, PCL_INT},                                            \
        {name, T(B32), 0, 0, 0, shape, op##32, 0, PCL_INT},                                        \
    {                                                                                              \
        name, T(B64), 0, 0, 0, shape, op##64, 0, PCL_INT                                           \
    }
#define BY_SIGN(name, shape, u, s)                                                                 \
    {name, T(U16), 0, 0, 0, shape, u##16, 0, PCL_INT},                                             \
        {name, T(U32), 0, 0, 0, shape, u##32, 0, PCL_INT},                                         \
        {name, T(U64), 0, 0, 0, shape, u##64, 0, PCL_INT},                                         \
        {name, T(S16), 0, 0, 0, shape, s##16, 0, PCL_INT},                                         \
        {name, T(S32), 0, 0, 0, shape, s##32, 0, PCL_INT},                                         \
    {                                                                                              \
        name, T(S64), 0, 0, 0, shape, s##64, 0, PCL_INT                                            \
    }
#define ONE(name, type, shape, op)                                                                 \
    {                                                                                              \
        name, T(type), 0, 0, 0, shape, op, 0, PCL_INT                                              \
    }

const struct ptx_form ptx_forms_int[] = {BY_WIDTH("add", "dss", add),
                                         BY_WIDTH("sub", "dss", sub),
                                         BY_WIDTH("mul.lo", "dss", mul),
                                         BY_WIDTH("mad.lo", "dsss", mad),
                                         BY_BITS("and", "dss", and_),
                                         BY_BITS("or", "dss", or_),
                                         BY_BITS("xor", "dss", xor_),
                                         BY_BITS("not", "ds", not_),
                                         BY_BITS("cnot", "ds", cnot),
                                         BY_BITS("shl", "dss", shl),
                                         BY_WIDTH("neg", "ds", neg),
                                         BY_SIGN("min", "dss", min_u, min_s),
                                         BY_SIGN("max", "dss", max_u, max_s),
                                         BY_SIGN("shr", "dss", shr_u, shr_s),
                                         BY_BITS("shr", "dss", shr_u),
                                         BY_SIGN("div", "dss", div_u, div_s),
                                         BY_SIGN("rem", "dss", rem_u, rem_s),
                                         BY_SIGN("mul.hi", "dss", mul_hi_u, mul_hi_s),
                                         ONE("abs", S16, "ds", abs_s16),
                                         ONE("abs", S32, "ds", abs_s32),
                                         ONE("abs", S64, "ds", abs_s64),
                                         ONE("mul.wide", U16, "dss", mul_wide_u16),
                                         ONE("mul.wide", S16, "dss", mul_wide_s16),
                                         ONE("mul.wide", U32, "dss", mul_wide_u32),
                                         ONE("mul.wide", S32, "dss", mul_wide_s32),
                                         ONE("mad.hi", U32, "dsss", mad_hi_u32),
                                         ONE("mad.wide", U32, "dsss", mad_wide_u32),
                                         ONE("mad.wide", S32, "dsss", mad_wide_s32),
                                         ONE("shf.l.wrap", B32, "dsss", shf_l_wrap),
                                         ONE("shf.r.wrap", B32, "dsss", shf_r_wrap),
                                         ONE("shf.l.clamp", B32, "dsss", shf_l_clamp),
                                         ONE("shf.r.clamp", B32, "dsss", shf_r_clamp),
                                         ONE("popc", B32, "ds", popc32),
                                         ONE("popc", B64, "ds", popc64),
                                         ONE("clz", B32, "ds", clz32),
                                         ONE("clz", B64, "ds", clz64),
                                         ONE("bfind", U32, "ds", bfind_u32),
                                         ONE("bfind", S32, "ds", bfind_s32),
                                         ONE("bfind", U64, "ds", bfind_u64),
                                         ONE("bfind.shiftamt", U32, "ds", bfind_shift_u32),
                                         ONE("brev", B32, "ds", brev32),
                                         ONE("brev", B64, "ds", brev64),
                                         ONE("bfi", B32, "dssss", bfi32),
                                         ONE("bfi", B64, "dssss", bfi64),
                                         ONE("bfe", U32, "dsss", bfe_u32),
                                         ONE("bfe", S32, "dsss", bfe_s32),
                                         ONE("bfe", U64, "dsss", bfe_u64),
                                         ONE("bfe", S64, "dsss", bfe_s64),
                                         ONE("prmt", B32, "dsss", prmt),
                                         ONE("lop3", B32, "dssss", lop3),
                                         {"dp4a", T_INT32, T_INT32, 0, 0, "dsss", dp4a, 0, PCL_INT},
                                         {0}};
