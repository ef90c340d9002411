/* SPDX-License-Identifier: Apache-2.0 */
/* Instruction forms against C on edge values: every pair (or triple) of them, one a thread. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "standin_kit.h"

enum { EDGES = 24, TRIPLES = EDGES * EDGES * 4 };

static const uint64_t edges[EDGES] = {0,
                                      1,
                                      2,
                                      3,
                                      7,
                                      31,
                                      32,
                                      33,
                                      63,
                                      64,
                                      127,
                                      128,
                                      0x7fff,
                                      0x8000,
                                      0xffff,
                                      0x10000,
                                      0x7fffffff,
                                      0x80000000,
                                      0xffffffff,
                                      0x100000000,
                                      0x7fffffffffffffff,
                                      0x8000000000000000,
                                      0xffffffffffffffff,
                                      0x0123456789abcdef};

/* Zeros, subnormals, the least normal, halves, odd values, beyond integers, infinities, NaN. */
static const uint32_t floats[EDGES] = {
    0,          0x80000000, 1,          0x80000001, 0x007fffff, 0x00800000, 0x3f000000, 0x3f800000,
    0xbf800000, 0x3fc00000, 0x40200000, 0x40490fdb, 0xc0490fdb, 0x3eaaaaab, 0x4b000001, 0x4f000000,
    0xcf000000, 0x4f800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00001, 0x3f7fffff};

static const uint32_t thirds[4] = {0, 5, 0x80000000, 33};

/* Runs `line` in a kernel that gives it %rd/%r/%f/%rs 1, 2, 3 of a, b, c; it leaves %rd9. */
static bool run_line(const char *line, const uint64_t *in, uint64_t *out)
{
    char text[2600];
    const struct kit *k = kit_open();
    if (!k)
        return false;
    (void)snprintf(
        text, sizeof text,
        ".version 9.0\n.target sm_90\n.address_size 64\n"
        ".visible .entry f(.param .u64 in, .param .u64 out)\n{\n"
        ".reg .pred %%p<4>;\n.reg .b16 %%rs<9>;\n.reg .b32 %%r<20>;\n.reg .f32 %%f<9>;\n"
        ".reg .b64 %%rd<20>;\n"
        "mov.u32 %%r10, %%ctaid.x;\nmov.u32 %%r11, %%ntid.x;\nmov.u32 %%r12, %%tid.x;\n"
        "mad.lo.s32 %%r13, %%r10, %%r11, %%r12;\n"
        "ld.param.u64 %%rd10, [in];\nld.param.u64 %%rd11, [out];\n"
        "mul.wide.u32 %%rd12, %%r13, 24;\nadd.s64 %%rd13, %%rd10, %%rd12;\n"
        "ld.global.u64 %%rd1, [%%rd13];\nld.global.u64 %%rd2, [%%rd13+8];\n"
        "ld.global.u64 %%rd3, [%%rd13+16];\n"
        "cvt.u32.u64 %%r1, %%rd1;\ncvt.u32.u64 %%r2, %%rd2;\ncvt.u32.u64 %%r3, %%rd3;\n"
        "cvt.u16.u64 %%rs1, %%rd1;\ncvt.u16.u64 %%rs2, %%rd2;\ncvt.u16.u64 %%rs3, %%rd3;\n"
        "mov.b32 %%f1, %%r1;\nmov.b32 %%f2, %%r2;\nmov.b32 %%f3, %%r3;\n"
        "%s\n"
        "mul.wide.u32 %%rd14, %%r13, 8;\nadd.s64 %%rd15, %%rd11, %%rd14;\n"
        "st.global.u64 [%%rd15], %%rd9;\nret;\n}\n",
        line);
    struct CUmod_st *module = kit_load_text(text);
    drv_address a = kit_upload(in, TRIPLES * 24), o = kit_upload(NULL, TRIPLES * 8);
    void *params[] = {&a, &o};
    bool good =
        ct_expect_eq_i64(kit_run(kit_function(module, "f"), TRIPLES / 64, 64, 0, params), 0) &&
        ct_expect_eq_i64(k->cuMemcpyDtoH_v2(out, o, TRIPLES * 8), 0);
    (void)k->cuMemFree_v2(a);
    (void)k->cuMemFree_v2(o);
    if (module)
        (void)k->cuModuleUnload(module);
    return good;
}

typedef uint64_t want_fn(uint64_t a, uint64_t b, uint64_t c);

static void form(const char *line, want_fn *want, bool is_float)
{
    uint64_t *in = ct_alloc(TRIPLES * 24), *out = ct_alloc(TRIPLES * 8);
    for (int i = 0; i < TRIPLES; i++) {
        int a = i % EDGES, b = i / EDGES % EDGES, c = i / EDGES / EDGES;
        in[3 * i] = is_float ? floats[a] : edges[a];
        in[3 * i + 1] = is_float ? floats[b] : edges[b];
        in[3 * i + 2] = is_float ? floats[(a + b + 5 * c) % EDGES] : thirds[c];
    }
    if (!run_line(line, in, out))
        return;
    for (int i = 0; i < TRIPLES; i++) {
        uint64_t expect = want(in[3 * i], in[3 * i + 1], in[3 * i + 2]);
        ct_note("%s of %#llx, %#llx, %#llx", line, (unsigned long long)in[3 * i],
                (unsigned long long)in[3 * i + 1], (unsigned long long)in[3 * i + 2]);
        if (out[i] != expect) {
            ct_expect_eq_u64(out[i], expect);
            return;
        }
    }
}

#define R32(op) op " %r9, %r1, %r2; cvt.u64.u32 %rd9, %r9;"
#define R16(op) op " %rs8, %rs1, %rs2; cvt.u64.u16 %rd9, %rs8;"
#define R64(op) op " %rd9, %rd1, %rd2;"
#define F32(op) op " %f8, %f1, %f2; mov.b32 %r9, %f8; cvt.u64.u32 %rd9, %r9;"
#define WANT(name, expr)                                                                           \
    static uint64_t name(uint64_t a, uint64_t b, uint64_t c)                                       \
    {                                                                                              \
        (void)a, (void)b, (void)c;                                                                 \
        return (uint64_t)(expr);                                                                   \
    }
#define U(x) ((uint32_t)(x))
#define S(x) ((int32_t)(uint32_t)(x))
#define L(x) ((int64_t)(x))
#define H(x) ((uint16_t)(x))
#define SH(x) ((int16_t)(uint16_t)(x))

WANT(w_add, U(a + b))
WANT(w_sub16, H(a - b))
WANT(w_mul, U(U(a) * U(b)))
WANT(w_mul_hi, (uint64_t)U(a) * U(b) >> 32)
WANT(w_mul_hi_s, U((int64_t)S(a) * S(b) >> 32))
WANT(w_wide, (int64_t)S(a) * S(b))
WANT(w_wide16, U((uint32_t)H(a) * H(b)))
WANT(w_mad, U(U(a) * U(b) + U(c)))
WANT(w_shl, U(b) >= 32 ? 0 : U(U(a) << U(b)))
WANT(w_shl64, U(b) >= 64 ? 0 : a << U(b))
WANT(w_shr, U(b) >= 32 ? 0 : U(a) >> U(b))
WANT(w_shr_s, U(S(a) >> (U(b) >= 32 ? 31 : U(b))))
WANT(w_shr_s64, L(a) >> (U(b) >= 64 ? 63 : U(b)))
WANT(w_min_s, U(S(a) < S(b) ? a : b))
WANT(w_max_u, U(a) > U(b) ? U(a) : U(b))
WANT(w_max_s64, L(a) > L(b) ? a : b)
WANT(w_div, U(b) ? U(a) / U(b) : UINT32_MAX)
WANT(w_rem64, b ? a % b : a)
WANT(w_rem_s16, SH(b) ? H(SH(a) % SH(b)) : H(a))
WANT(w_popc, __builtin_popcountll(a))
WANT(w_clz, U(a) ? U(__builtin_clz(U(a))) : 32U)
WANT(w_bfind, U(a) ? U(31 - __builtin_clz(U(a))) : UINT32_MAX)
WANT(w_lop3, U((a & b) ^ c))
WANT(w_shf, U(((uint64_t)U(b) << 32 | U(a)) << (c & 31) >> 32))
WANT(w_bfe, (b & 255) >= 32 || (c & 255) == 0
                ? 0
                : U(a) >> (b & 255) & ((c & 255) >= 32 ? UINT32_MAX : (1U << (c & 255)) - 1))
WANT(w_prmt, U(a) >> 24 | (U(a) >> 8 & 0xff00) | (U(a) << 8 & 0xff0000) | (uint64_t)U(U(a) << 24))
WANT(w_slt, S(a) < S(b))
WANT(w_ule, a <= b)
WANT(w_sext, (int64_t)SH(a))
WANT(w_sat8, L(a) < 0 ? 0 : L(a) > 255 ? 255 : a)
WANT(w_pack, U(a) | (uint64_t)U(b) << 32)

CT(standin_forms, integers, "Integer forms are C on edge values, shifts and division included")
{
    static const struct {
        const char *line;
        want_fn *want;
    } cases[] = {
        {R32("add.s32"), w_add},
        {R16("sub.s16"), w_sub16},
        {R32("mul.lo.s32"), w_mul},
        {R32("mul.hi.u32"), w_mul_hi},
        {R32("mul.hi.s32"), w_mul_hi_s},
        {"mul.wide.s32 %rd9, %r1, %r2;", w_wide},
        {"mul.wide.u16 %r9, %rs1, %rs2; cvt.u64.u32 %rd9, %r9;", w_wide16},
        {"mad.lo.s32 %r9, %r1, %r2, %r3; cvt.u64.u32 %rd9, %r9;", w_mad},
        {R32("shl.b32"), w_shl},
        {"shl.b64 %rd9, %rd1, %r2;", w_shl64},
        {R32("shr.u32"), w_shr},
        {R32("shr.s32"), w_shr_s},
        {"shr.s64 %rd9, %rd1, %r2;", w_shr_s64},
        {R32("min.s32"), w_min_s},
        {R32("max.u32"), w_max_u},
        {R64("max.s64"), w_max_s64},
        {R32("div.u32"), w_div},
        {R64("rem.u64"), w_rem64},
        {R16("rem.s16"), w_rem_s16},
        {"popc.b64 %r9, %rd1; cvt.u64.u32 %rd9, %r9;", w_popc},
        {"clz.b32 %r9, %r1; cvt.u64.u32 %rd9, %r9;", w_clz},
        {"bfind.u32 %r9, %r1; cvt.u64.u32 %rd9, %r9;", w_bfind},
        {"lop3.b32 %r9, %r1, %r2, %r3, 0x6a; cvt.u64.u32 %rd9, %r9;", w_lop3},
        {"shf.l.wrap.b32 %r9, %r1, %r2, %r3; cvt.u64.u32 %rd9, %r9;", w_shf},
        {"bfe.u32 %r9, %r1, %r2, %r3; cvt.u64.u32 %rd9, %r9;", w_bfe},
        {"prmt.b32 %r9, %r1, 0, 0x0123; cvt.u64.u32 %rd9, %r9;", w_prmt},
        {"setp.lt.s32 %p1, %r1, %r2; selp.b64 %rd9, 1, 0, %p1;", w_slt},
        {"setp.le.u64 %p1, %rd1, %rd2; selp.b64 %rd9, 1, 0, %p1;", w_ule},
        {"cvt.s64.s16 %rd9, %rs1;", w_sext},
        {"cvt.sat.u8.s64 %r9, %rd1; cvt.u64.u32 %rd9, %r9;", w_sat8},
        {"mov.b64 %rd9, {%r1, %r2};", w_pack},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        form(cases[i].line, cases[i].want, false);
}

static float f_of(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float f;
    memcpy(&f, &low, sizeof f);
    return f;
}
static uint64_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return isnan(f) ? 0x7fffffffU : bits;
}
static float flush(float f)
{
    return fpclassify(f) == FP_SUBNORMAL ? copysignf(0, f) : f;
}
static uint64_t to_s32(float f)
{
    return isnan(f)             ? 0
           : f >= 2147483648.0F ? 0x7fffffff
           : f < -2147483648.0F ? 0x80000000
                                : U((int32_t)f);
}
/* Half precision by search: the nearest value, ties to the even one. */
static double half_value(unsigned h)
{
    unsigned e = h >> 10 & 31;
    return e ? ldexp(1024 + (h & 1023), (int)e - 25) : ldexp(h & 1023, -24);
}
static uint64_t to_half(float f)
{
    unsigned best = 0;
    double x = fabs((double)f);
    if (isnan(f))
        return 0x7fff;
    for (unsigned h = 0; h <= 0x7c00; h++) /* 0x7c00 stands where 65536 would */
        if (fabs(half_value(h) - x) < fabs(half_value(best) - x) ||
            (fabs(half_value(h) - x) == fabs(half_value(best) - x) && !(h & 1)))
            best = h;
    return (isinf(f) || x >= 65520 ? 0x7c00 : best) | (signbit(f) ? 0x8000 : 0);
}

WANT(x_add, bits_of(f_of(a) + f_of(b)))
WANT(x_mul, bits_of(f_of(a) * f_of(b)))
WANT(x_div, bits_of(f_of(a) / f_of(b)))
WANT(x_fma, bits_of(fmaf(f_of(a), f_of(b), f_of(c))))
WANT(x_ftz, bits_of(flush(flush(f_of(a)) * flush(f_of(b)))))
WANT(x_sqrt, bits_of(sqrtf(f_of(a))))
WANT(x_rcp, bits_of(1 / f_of(a)))
WANT(x_max, isnan(f_of(a)) ? bits_of(f_of(b))
            : isnan(f_of(b)) || f_of(a) > f_of(b) || (f_of(a) == f_of(b) && !signbit(f_of(a)))
                ? bits_of(f_of(a))
                : bits_of(f_of(b)))
WANT(x_lt, f_of(a) < f_of(b))
WANT(x_geu, !(f_of(a) < f_of(b)))
WANT(x_neu, !(f_of(a) == f_of(b)))
WANT(x_ne, f_of(a) < f_of(b) || f_of(a) > f_of(b))
WANT(x_s32, to_s32(f_of(a)))
WANT(x_rni, bits_of(nearbyintf(f_of(a))))
WANT(x_from_u, bits_of((float)U(a)))
WANT(x_from_s, bits_of((float)S(a)))
WANT(x_half, to_half(f_of(a)))
WANT(x_bf16, isnan(f_of(a)) ? 0x7fff : (U(a) + 0x7fff + (U(a) >> 16 & 1)) >> 16)

CT(standin_forms, floats, "Float forms are C's to the bit, with one NaN, signed zeros, .ftz")
{
    static const struct {
        const char *line;
        want_fn *want;
    } cases[] = {
        {F32("add.rn.f32"), x_add},
        {F32("mul.f32"), x_mul},
        {F32("div.rn.f32"), x_div},
        {"fma.rn.f32 %f8, %f1, %f2, %f3; mov.b32 %r9, %f8; cvt.u64.u32 %rd9, %r9;", x_fma},
        {F32("mul.ftz.f32"), x_ftz},
        {"sqrt.rn.f32 %f8, %f1; mov.b32 %r9, %f8; cvt.u64.u32 %rd9, %r9;", x_sqrt},
        {"rcp.rn.f32 %f8, %f1; mov.b32 %r9, %f8; cvt.u64.u32 %rd9, %r9;", x_rcp},
        {F32("max.f32"), x_max},
        {"setp.lt.f32 %p1, %f1, %f2; selp.b64 %rd9, 1, 0, %p1;", x_lt},
        {"setp.geu.f32 %p1, %f1, %f2; selp.b64 %rd9, 1, 0, %p1;", x_geu},
        {"setp.neu.f32 %p1, %f1, %f2; selp.b64 %rd9, 1, 0, %p1;", x_neu},
        {"setp.ne.f32 %p1, %f1, %f2; selp.b64 %rd9, 1, 0, %p1;", x_ne},
        {"cvt.rzi.s32.f32 %r9, %f1; cvt.u64.u32 %rd9, %r9;", x_s32},
        {"cvt.rni.f32.f32 %f8, %f1; mov.b32 %r9, %f8; cvt.u64.u32 %rd9, %r9;", x_rni},
        {"cvt.rn.f32.u32 %f8, %r1; mov.b32 %r9, %f8; cvt.u64.u32 %rd9, %r9;", x_from_u},
        {"cvt.rn.f32.s32 %f8, %r1; mov.b32 %r9, %f8; cvt.u64.u32 %rd9, %r9;", x_from_s},
        {"cvt.rn.f16.f32 %rs8, %f1; cvt.u64.u16 %rd9, %rs8;", x_half},
        {"cvt.rn.bf16.f32 %rs8, %f1; cvt.u64.u16 %rd9, %rs8;", x_bf16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        form(cases[i].line, cases[i].want, true);
}
