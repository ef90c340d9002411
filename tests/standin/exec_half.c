/* SPDX-License-Identifier: Apache-2.0 */
/* f16 and bf16: conversions, done on the bits. Arithmetic in them has no form and is refused. */
#include "exec.h"

float exec_from_half(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits >> 15) << 31, exponent = bits >> 10 & 31, low = bits & 1023;
    if (exponent == 31)
        return exec_f32(low ? 0x7fffffffU : (sign | 0x7f800000U));
    if (exponent == 0)
        return (sign ? -1.0F : 1.0F) * ldexpf((float)low, -24);
    return exec_f32(sign | (exponent + 112) << 23 | low << 13);
}

/* `value` >> n, to nearest even. */
static uint32_t shifted(uint32_t value, uint32_t n)
{
    uint32_t kept = value >> n, rest = value & ((1U << n) - 1), half = 1U << (n - 1);
    return kept + ((rest > half || (rest == half && (kept & 1))));
}

uint16_t exec_to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000U, magnitude = bits & 0x7fffffffU;
    if (magnitude > 0x7f800000U)
        return 0x7fff;
    if (magnitude == 0x7f800000U)
        return (uint16_t)(sign | 0x7c00U);
    if (magnitude >= 0x47800000U) /* 65536 and more */
        return (uint16_t)(sign | 0x7c00U);
    if (magnitude >= 0x38800000U)
        return (uint16_t)(sign | shifted(magnitude - 0x38000000U, 13));
    uint32_t exponent = magnitude >> 23, low = (magnitude & 0x7fffffU) | 0x800000U;
    if (exponent < 102) /* less than half of the least subnormal */
        return (uint16_t)sign;
    return (uint16_t)(sign | shifted(low, 126 - exponent));
}

uint16_t exec_to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffU) > 0x7f800000U)
        return 0x7fff;
    return (uint16_t)((bits & 0x80000000U) >> 16 | shifted(bits & 0x7fffffffU, 16));
}

EXEC(half_of_f32)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0);
    EACH_LANE(d[l] = exec_to_half(exec_f32(sa[l])));
}
EXEC(bf16_of_f32)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0);
    EACH_LANE(d[l] = exec_to_bf16(exec_f32(sa[l])));
}
/* The first source is the upper half. */
EXEC(half2_of_f32)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0), *sb = warp_source(w, ins, 1);
    EACH_LANE(d[l] = (uint32_t)exec_to_half(exec_f32(sa[l])) << 16 | exec_to_half(exec_f32(sb[l])));
}
EXEC(bf162_of_f32)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0), *sb = warp_source(w, ins, 1);
    EACH_LANE(d[l] = (uint32_t)exec_to_bf16(exec_f32(sa[l])) << 16 | exec_to_bf16(exec_f32(sb[l])));
}
EXEC(f32_of_half)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0);
    EACH_LANE(d[l] = exec_bits(exec_from_half((uint16_t)sa[l])));
}
EXEC(f32_of_bf16)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0);
    EACH_LANE(d[l] = exec_bits(exec_f32((uint64_t)(uint16_t)sa[l] << 16)));
}

#define H(name, to, from, shape, op)                                                               \
    {                                                                                              \
        name, T(to), T(from), 0, 0, shape, op, 0, PCL_CONVERT                                      \
    }

const struct ptx_form ptx_forms_half[] = {H("cvt.rn", F16, F32, "ds", half_of_f32),
                                          H("cvt.rn", BF16, F32, "ds", bf16_of_f32),
                                          H("cvt.rn", F16X2, F32, "dss", half2_of_f32),
                                          H("cvt.rn", BF16X2, F32, "dss", bf162_of_f32),
                                          H("cvt", F32, F16, "ds", f32_of_half),
                                          H("cvt", F32, BF16, "ds", f32_of_bf16),
                                          {0}};
