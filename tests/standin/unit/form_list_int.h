/* SPDX-License-Identifier: Apache-2.0 */
/* Integer forms: see form_kit.h. No include guard: it is read once for functions, once for a table.
 * Unsigned operands of 16 bits and more are a, b, c themselves. */
#define ALL(op, n, expr) /* where the sign does not matter */                                      \
    FORM(op##_s16, "h=" n(h), expr)                                                                \
    FORM(op##_u16, "h=" n(h), expr)                                                                \
    FORM(op##_s32, "w=" n(w), expr)                                                                \
    FORM(op##_u32, "w=" n(w), expr)                                                                \
    FORM(op##_s64, "x=" n(x), expr)                                                                \
    FORM(op##_u64, "x=" n(x), expr)
#define BITS(op, n, expr)                                                                          \
    FORM(op##_b16, "h=" n(h), expr)                                                                \
    FORM(op##_b32, "w=" n(w), expr)                                                                \
    FORM(op##_b64, "x=" n(x), expr)
#define SIGNS(op, n, u, s) /* s(type, bits of a, bits of b) */                                     \
    FORM(op##_u16, "h=" n(h), u)                                                                   \
    FORM(op##_u32, "w=" n(w), u)                                                                   \
    FORM(op##_u64, "x=" n(x), u)                                                                   \
    FORM(op##_s16, "h=" n(h), s(SH))                                                               \
    FORM(op##_s32, "w=" n(w), s(S))                                                                \
    FORM(op##_s64, "x=" n(x), s(L))
#define ONE(x) #x
#define TWO(x) #x #x
#define TRIPLE(x) #x #x #x

ALL(add, TWO, a + b)
ALL(sub, TWO, a - b)
ALL(mul_lo, TWO, a *b)
ALL(mad_lo, TRIPLE, a *b + c)
BITS(and, TWO, a &b)
BITS(or, TWO, a | b)
BITS(xor, TWO, a ^ b)
BITS(not, ONE, ~a)
BITS(cnot, ONE, a == 0)
FORM(neg_s16, "h=h", 0 - a)
FORM(neg_s32, "w=w", 0 - a)
FORM(neg_s64, "x=x", 0 - a)
FORM(abs_s16, "h=h", SH(a) < 0 ? 0 - a : a)
FORM(abs_s32, "w=w", S(a) < 0 ? 0 - a : a)
FORM(abs_s64, "x=x", L(a) < 0 ? 0 - a : a)

#define LEAST(t) (t(a) < t(b) ? a : b)
#define MOST(t) (t(a) > t(b) ? a : b)
/* The least value by -1 gives itself, and no rest; by 0 all ones, and itself. */
#define RATIO(t) (b == 0 ? UINT64_MAX : t(b) == -1 ? 0 - a : (uint64_t)(t(a) / t(b)))
#define REST(t) (b == 0 ? a : t(b) == -1 ? 0 : (uint64_t)(t(a) % t(b)))
SIGNS(min, TWO, a < b ? a : b, LEAST)
SIGNS(max, TWO, a > b ? a : b, MOST)
SIGNS(div, TWO, b ? a / b : UINT64_MAX, RATIO)
SIGNS(rem, TWO, b ? a % b : a, REST)
FORM(mul_hi_u16, "h=hh", a *b >> 16)
FORM(mul_hi_s16, "h=hh", (int64_t)SH(a) * SH(b) >> 16)
FORM(mul_hi_u32, "w=ww", a *b >> 32)
FORM(mul_hi_s32, "w=ww", (int64_t)S(a) * S(b) >> 32)
FORM(mul_hi_u64, "x=xx", (u128)a *b >> 64)
FORM(mul_hi_s64, "x=xx", (s128)L(a) * L(b) >> 64)
FORM(mul_wide_u16, "w=hh", a *b)
FORM(mul_wide_s16, "w=hh", (int64_t)SH(a) * SH(b))
FORM(mul_wide_u32, "x=ww", a *b)
FORM(mul_wide_s32, "x=ww", (int64_t)S(a) * S(b))
FORM(mad_hi_u32, "w=www", (a * b >> 32) + c)
FORM(mad_wide_u32, "x=wwx", a *b + c)
FORM(mad_wide_s32, "x=wwx", (uint64_t)((int64_t)S(a) * S(b)) + c)

/* Amounts have 32 bits and stop at the width. */
#define SIGNED_SHIFT(t, bits) (t(a) >> (U(b) >= (bits) ? (bits)-1 : (int)b))
FORM(shl_b16, "h=hw", b >= 16 ? 0 : a << b)
FORM(shl_b32, "w=ww", b >= 32 ? 0 : a << b)
FORM(shl_b64, "x=xw", b >= 64 ? 0 : a << b)
FORM(shr_b16, "h=hw", b >= 16 ? 0 : a >> b)
FORM(shr_b32, "w=ww", b >= 32 ? 0 : a >> b)
FORM(shr_b64, "x=xw", b >= 64 ? 0 : a >> b)
FORM(shr_u16, "h=hw", b >= 16 ? 0 : a >> b)
FORM(shr_u32, "w=ww", b >= 32 ? 0 : a >> b)
FORM(shr_u64, "x=xw", b >= 64 ? 0 : a >> b)
FORM(shr_s16, "h=hw", SIGNED_SHIFT(SH, 16))
FORM(shr_s32, "w=ww", SIGNED_SHIFT(S, 32))
FORM(shr_s64, "x=xw", SIGNED_SHIFT(L, 64))
FORM(shf_l_wrap_b32, "w=www", (b << 32 | a) << (c & 31) >> 32)
FORM(shf_r_wrap_b32, "w=www", (b << 32 | a) >> (c & 31))
FORM(shf_l_clamp_b32, "w=www", (b << 32 | a) << (c < 32 ? c : 32) >> 32)
FORM(shf_r_clamp_b32, "w=www", (b << 32 | a) >> (c < 32 ? c : 32))

FORM(popc_b32, "w=w", __builtin_popcountll(a))
FORM(popc_b64, "w=x", __builtin_popcountll(a))
FORM(clz_b32, "w=w", a ? __builtin_clz(U(a)) : 32)
FORM(clz_b64, "w=x", a ? __builtin_clzll(a) : 64)
FORM(bfind_u32, "w=w", a ? 31 - __builtin_clz(U(a)) : -1)
FORM(bfind_s32, "w=w", top_bit(S(a) < 0 ? U(~a) : a))
FORM(bfind_u64, "w=x", top_bit(a))
FORM(bfind_shiftamt_u32, "w=w", a ? __builtin_clz(U(a)) : -1)
FORM(brev_b32, "w=w", mirrored(a, 32))
FORM(brev_b64, "x=x", mirrored(a, 64))
FORM(bfe_u32, "w=www", field(a, b & 255, c & 255, 32, false))
FORM(bfe_s32, "w=www", field(a, b & 255, c & 255, 32, true))
FORM(bfe_u64, "x=xww", field(a, b & 255, c & 255, 64, false))
FORM(bfe_s64, "x=xww", field(a, b & 255, c & 255, 64, true))
FORM(bfi_b32, "w=www,7", placed(a, b, c & 255, 7, 32))
FORM(bfi_b64, "x=xxw,40", placed(a, b, c & 255, 40, 64))
FORM(prmt_b32, "w=www", bytes_of(a, b, c))
FORM(prmt_b32__edges, "w=w,0,0x0123", __builtin_bswap32(U(a)))
FORM(prmt_b32__pick, "prmt.b32 %r9, %r1, %r2, 0x9c47; cvt.u64.u32 %rd9, %r9;",
     bytes_of(U(a), U(b), 0x9c47))
FORM(lop3_b32, "w=www,0x6a", (a & b) ^ c)
FORM(lop3_b32__choose, "w=www,0xca", (a & b) | (~a & c))
FORM(lop3_b32__odd, "w=www,0x96", a ^ b ^ c)
FORM(dp4a_u32_u32, "w=www", dot(a, b, c, false, false))
FORM(dp4a_s32_s32, "w=www", dot(a, b, c, true, true))
FORM(dp4a_s32_u32, "w=www", dot(a, b, c, true, false))

#define COMPARE_BITS(t, l)                                                                         \
    FORM(setp_eq_##t, "p=" #l #l, a == b)                                                          \
    FORM(setp_ne_##t, "p=" #l #l, a != b)
#define COMPARE(t, l, v)                                                                           \
    COMPARE_BITS(t, l)                                                                             \
    FORM(setp_lt_##t, "p=" #l #l, v(a) < v(b))                                                     \
    FORM(setp_le_##t, "p=" #l #l, v(a) <= v(b))                                                    \
    FORM(setp_gt_##t, "p=" #l #l, v(a) > v(b))                                                     \
    FORM(setp_ge_##t, "p=" #l #l, v(a) >= v(b))                                                    \
    FORM(setp_lt_and_##t, "p=" #l #l "p", v(a) < v(b) && c)                                        \
    FORM(setp_eq_or_##t, "p=" #l #l "p", a == b || c)                                              \
    FORM(setp_ge_xor_##t, "p=" #l #l "p", (v(a) >= v(b)) != (c != 0))
COMPARE_BITS(b16, h)
COMPARE_BITS(b32, w)
COMPARE_BITS(b64, x)
COMPARE(u16, h, )
COMPARE(u32, w, )
COMPARE(u64, x, )
COMPARE(s16, h, SH)
COMPARE(s32, w, S)
COMPARE(s64, x, L)
FORM(setp_lt_s32__both,
     "setp.lt.s32 %p1|%p2, %r1, %r2; selp.b64 %rd8, 2, 0, %p2; selp.b64 %rd7, 1, 0, %p1; "
     "or.b64 %rd9, %rd7, %rd8;",
     S(a) < S(b) ? 1 : 2)

#define TYPES(each)                                                                                \
    each(b16, h) each(u16, h) each(s16, h) each(b32, w) each(u32, w) each(s32, w) each(b64, x)     \
        each(u64, x) each(s64, x) each(f32, f) each(f64, e)
#define CHOOSE(t, l) FORM(selp_##t, "" #l "=" #l #l "p", c ? a : b)
#define MOVE(t, l) FORM(mov_##t, "" #l "=" #l, a)
TYPES(CHOOSE)
TYPES(MOVE)
FORM(and_pred, "p=pp", a &b)
FORM(or_pred, "p=pp", a | b)
FORM(xor_pred, "p=pp", a ^ b)
FORM(not_pred, "p=p", !a)
FORM(mov_pred, "p=p", a)
FORM(mov_pred__number,
     "mov.pred %p1, 0; mov.pred %p2, -1; selp.b64 %rd8, 1, 0, %p1; selp.b64 %rd9, 2, %rd8, %p2;", 2)
/* clang-format off: it takes these for one expression. */
FORM(mov_b32__pack, "w={hh}", a | b << 16)
FORM(mov_b64__pack, "x={ww}", a | b << 32)
FORM(mov_b64__four, "mov.b64 %rd9, {%rs1, %rs2, %rs1, %rs2};",
     (a & 0xffff) * 0x100000001 | (b & 0xffff) * 0x1000000010000)
FORM(mov_b32__split, "mov.b32 {%rs4, %rs5}, %r1; mov.b32 %r9, {%rs5, %rs4}; cvt.u64.u32 %rd9, %r9;",
     U(U(a) >> 16 | U(a) << 16))
FORM(mov_b64__split, "mov.b64 {%r5, %r6}, %rd1; mov.b64 %rd9, {%r6, %r5};", a >> 32 | a << 32)
FORM(mov_b64__high, "mov.b64 {_, %r6}, %rd1; cvt.u64.u32 %rd9, %r6;", a >> 32)
FORM(mov_b32__float, "w=f", a)
FORM(mov_b64__double, "x=e", a)
FORM(mov_u32__special,
     "mov.u32 %r5, %laneid; mov.u32 %r6, %lanemask_lt; mov.u32 %r7, %nctaid.x; "
     "mad.lo.s32 %r8, %r6, 64, %r5; mad.lo.s32 %r9, %r7, 65536, %r8; "
     "mov.u32 %r5, %tid.x; and.b32 %r5, %r5, 31; shl.b32 %r6, 1, %r5; sub.s32 %r6, %r6, 1; "
     "mad.lo.s32 %r6, %r6, 64, %r5; sub.s32 %r9, %r9, %r6; cvt.u64.u32 %rd9, %r9;",
     36 * 65536)
/* clang-format on */
