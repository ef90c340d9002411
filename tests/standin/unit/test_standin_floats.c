/* SPDX-License-Identifier: Apache-2.0 */
/* Instruction forms of floats and conversions against C on edge values. */
#include "form_kit.h"

typedef uint8_t t_u8;
typedef int8_t t_s8;
typedef uint16_t t_u16;
typedef int16_t t_s16;
typedef uint32_t t_u32;
typedef int32_t t_s32;
typedef uint64_t t_u64;
typedef int64_t t_s64;

static float f(uint64_t from)
{
    uint32_t low = (uint32_t)from;
    float value;
    memcpy(&value, &low, sizeof value);
    return value;
}

static double e(uint64_t from)
{
    double value;
    memcpy(&value, &from, sizeof value);
    return value;
}

static uint64_t bits(float value)
{
    uint32_t out;
    memcpy(&out, &value, sizeof out);
    return isnan(value) ? 0x7fffffffU : out;
}

static uint64_t bits64(double value)
{
    uint64_t out;
    memcpy(&out, &value, sizeof out);
    return isnan(value) ? 0x7fffffffffffffffU : out;
}

static float flushed(float value)
{
    return fpclassify(value) == FP_SUBNORMAL ? copysignf(0, value) : value;
}

/* One NaN loses; -0 is below +0. */
static float least(float a, float b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) ? b : a;
    return a < b || (a == b && signbit(a)) ? a : b;
}

static float most(float a, float b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) ? b : a;
    return a > b || (a == b && !signbit(a)) ? a : b;
}

static uint64_t whole(double value, double lowest, double beyond, bool wide)
{
    if (isnan(value))
        return wide ? 1ULL << 63 : 0;
    if (value >= beyond)
        return beyond == 0x1p64 ? UINT64_MAX : (uint64_t)beyond - 1;
    if (value < lowest)
        return lowest < 0 ? (uint64_t)(int64_t)lowest : 0;
    return value < 0 ? (uint64_t)(int64_t)value : (uint64_t)value;
}

/* Half precision by search: the nearest value, ties to the even one. */
static double half_value(unsigned h)
{
    unsigned exponent = h >> 10 & 31;
    return exponent ? ldexp(1024 + (h & 1023), (int)exponent - 25) : ldexp(h & 1023, -24);
}

static uint64_t to_half(float value)
{
    unsigned best = 0;
    double x = fabs((double)value);
    if (isnan(value))
        return 0x7fff;
    for (unsigned h = 0; h <= 0x7c00; h++) /* 0x7c00 stands where 65536 would */
        if (fabs(half_value(h) - x) < fabs(half_value(best) - x) ||
            (fabs(half_value(h) - x) == fabs(half_value(best) - x) && !(h & 1)))
            best = h;
    return (isinf(value) || x >= 65520 ? 0x7c00U : best) | (signbit(value) ? 0x8000U : 0);
}

static uint64_t to_bf16(float value)
{
    uint32_t from;
    memcpy(&from, &value, sizeof from);
    return isnan(value) ? 0x7fff : (from + 0x7fffU + (from >> 16 & 1)) >> 16;
}

static uint64_t from_half(uint64_t h)
{
    if ((h & 0x7c00) == 0x7c00)
        return h & 0x3ff ? 0x7fffffff : (h & 0x8000) << 16 | 0x7f800000;
    float value = (float)half_value((unsigned)h & 0x7fff);
    return bits(h & 0x8000 ? -value : value);
}

#define FORM FORM_FUNCTION
#include "form_list_float.h"
#undef FORM
#define FORM FORM_ENTRY
const struct form forms_float[] = {
#include "form_list_float.h"
    {NULL, NULL, NULL}};
#undef FORM

CT(standin_forms, floats, "Float forms are C's to the bit, with one NaN, signed zeros, .ftz")
{
    form_check(forms_float);
}

#define FORM FORM_FUNCTION
#include "form_list_convert.h"
#undef FORM
#define FORM FORM_ENTRY
const struct form forms_convert[] = {
#include "form_list_convert.h"
    {NULL, NULL, NULL}};

CT(standin_forms, conversions, "Conversions are C's where C has a value, and the ISA's elsewhere")
{
    form_check(forms_convert);
}
