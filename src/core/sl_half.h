/* SPDX-License-Identifier: Apache-2.0
 * f16 and bf16 as raw bits, to and from f32. To f32 is exact; from f32 rounds to nearest even. A
 * NaN stays a NaN (quiet from f32 and from f16, as F16C does). */
#ifndef SL_HALF_H
#define SL_HALF_H

#include "sl_inline.h"

#include <stdint.h>
#include <string.h>

SL_INLINE float sl_bf16_to_f32(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

SL_INLINE uint16_t sl_f32_to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7FFFFFFFU) > 0x7F800000U)
        return (uint16_t)((bits >> 16) | 0x40U);
    return (uint16_t)((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

SL_INLINE float sl_f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000U) << 16;
    uint32_t exponent = (half >> 10) & 0x1FU;
    uint32_t fraction = half & 0x3FFU;
    uint32_t bits;
    if (exponent == 0) {
        /* Zero and subnormals: fraction * 2^-24 is exact. */
        float x = (float)fraction * 0x1p-24f;
        memcpy(&bits, &x, sizeof bits);
    } else if (exponent < 31) {
        bits = ((exponent + 112U) << 23) | (fraction << 13);
    } else {
        bits = 0x7F800000U | (fraction << 13) | (fraction ? 0x400000U : 0U);
    }
    bits |= sign;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

SL_INLINE uint16_t sl_f32_to_f16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t sign = (bits >> 16) & 0x8000U;
    bits &= 0x7FFFFFFFU;
    if (bits > 0x7F800000U)
        return (uint16_t)(sign | 0x7E00U | ((bits >> 13) & 0x3FFU));
    if (bits >= 0x477FF000U) /* 65520 and more round to infinity */
        return (uint16_t)(sign | 0x7C00U);
    if (bits < 0x33000001U) /* 2^-25 and less round to 0 */
        return (uint16_t)sign;
    uint32_t shift = 13;
    uint32_t kept = bits - (112U << 23);
    if (bits < 0x38800000U) { /* a subnormal f16: the leading 1 is written out */
        shift = 126U - (bits >> 23);
        kept = (bits & 0x7FFFFFU) | 0x800000U;
    }
    uint32_t half = kept >> shift;
    uint32_t rest = kept & ((1U << shift) - 1U);
    uint32_t middle = 1U << (shift - 1U);
    half += rest > middle || (rest == middle && (half & 1U));
    return (uint16_t)(sign | half);
}

#endif
