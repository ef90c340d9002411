/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions: see form_kit.h. Read twice. The C types of PTX's are t_u8 and so on. */
#define CUT(to, from, d, s) FORM(cvt_##to##_##from, #d "=" #s, (t_##to)(t_##from)a)
#define CUT_TO(to, d)                                                                              \
    CUT(to, u8, d, h)                                                                              \
    CUT(to, s8, d, h)                                                                              \
    CUT(to, u16, d, h)                                                                             \
    CUT(to, s16, d, h)                                                                             \
    CUT(to, u32, d, w)                                                                             \
    CUT(to, s32, d, w)                                                                             \
    CUT(to, u64, d, x)                                                                             \
    CUT(to, s64, d, x)
CUT_TO(u8, h)
CUT_TO(s8, h)
CUT_TO(u16, h)
CUT_TO(s16, h)
CUT_TO(u32, w)
CUT_TO(s32, w)
CUT_TO(u64, x)
CUT_TO(s64, x)
FORM(cvt_sat_u8_s32, "w=w", S(a) < 0 ? 0 : S(a) > 255 ? 255 : a)
FORM(cvt_sat_u8_s64, "w=x", L(a) < 0 ? 0 : L(a) > 255 ? 255 : a)
FORM(cvt_sat_s16_s32, "h=w", S(a) < -32768 ? 0x8000 : S(a) > 32767 ? 32767 : a)
FORM(cvt_sat_u32_s64, "w=x", L(a) < 0 ? 0 : L(a) > UINT32_MAX ? UINT32_MAX : a)
FORM(cvt_sat_s32_u32, "w=w", a > INT32_MAX ? INT32_MAX : a)

#define OF_INT(from, s)                                                                            \
    FORM(cvt_rn_f32_##from, "f=" #s, bits((float)(t_##from)a))                                     \
    FORM(cvt_rn_f64_##from, "e=" #s, bits64((double)(t_##from)a))
OF_INT(u8, h)
OF_INT(s8, h)
OF_INT(u16, h)
OF_INT(s16, h)
OF_INT(u32, w)
OF_INT(s32, w)
OF_INT(u64, x)
OF_INT(s64, x)

/* NaN is 0, but the middle of the range where either side has 64 bits. */
#define TO_INT(how, to, d, least, beyond, c_round)                                                 \
    FORM(cvt_##how##_##to##_f32, #d "=f", whole(c_round((double)f(a)), least, beyond, #d[0] == 'x'))
#define TO_INTS(how, c_round)                                                                      \
    TO_INT(how, u32, w, 0, 0x1p32, c_round)                                                        \
    TO_INT(how, s32, w, -0x1p31, 0x1p31, c_round)                                                  \
    TO_INT(how, u64, x, 0, 0x1p64, c_round)                                                        \
    TO_INT(how, s64, x, -0x1p63, 0x1p63, c_round)
TO_INTS(rni, nearbyint)
TO_INTS(rzi, trunc)
TO_INTS(rmi, floor)
TO_INTS(rpi, ceil)
FORM(cvt_rzi_s32_f64, "w=e", whole(trunc(e(a)), -0x1p31, 0x1p31, true) >> (isnan(e(a)) ? 32 : 0))
FORM(cvt_rzi_s64_f64, "x=e", whole(trunc(e(a)), -0x1p63, 0x1p63, true))

FORM(cvt_rni_f32_f32, "f=f", bits(nearbyintf(f(a))))
FORM(cvt_rzi_f32_f32, "f=f", bits(truncf(f(a))))
FORM(cvt_rmi_f32_f32, "f=f", bits(floorf(f(a))))
FORM(cvt_rpi_f32_f32, "f=f", bits(ceilf(f(a))))
FORM(cvt_sat_f32_f32, "f=f", bits(f(a) > 0 ? fminf(f(a), 1) : 0))
FORM(cvt_f64_f32, "e=f", bits64(f(a)))
FORM(cvt_rn_f32_f64, "f=e", bits((float)e(a)))
FORM(cvt_rn_ftz_f32_f64, "f=e", bits(flushed((float)e(a))))
FORM(cvt_rn_f16_f32, "h=f", to_half(f(a)))
FORM(cvt_rn_bf16_f32, "h=f", to_bf16(f(a)))
FORM(cvt_rn_f16x2_f32, "w=ff", to_half(f(a)) << 16 | to_half(f(b)))
FORM(cvt_rn_bf16x2_f32, "w=ff", to_bf16(f(a)) << 16 | to_bf16(f(b)))
FORM(cvt_f32_f16, "f=h", from_half(a))
FORM(cvt_f32_bf16, "f=h", bits(f(a << 16)))
