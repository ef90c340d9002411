/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions in the order of ranks. Integers wrap; floats are rounded at each step, half floats
 * are summed as floats and rounded once (NCCL leaves the order, and so the last bits, open). */
#include <string.h>

#include "nccl_comm.h"

bool reducible(ncclDataType_t type, ncclRedOp_t op)
{
    return (unsigned)op <= ncclAvg && (unsigned)type <= ncclBfloat16;
}

static float bits_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float half_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000U) << 16, exponent = half >> 10 & 31U;
    uint32_t fraction = half & 0x3ffU;
    if (exponent == 31)
        return bits_float(sign | 0x7f800000U | fraction << 13);
    if (exponent)
        return bits_float(sign | (exponent + 112) << 23 | fraction << 13);
    float value = (float)fraction / 16777216.0F;
    return sign ? -value : value;
}

/* To nearest, ties to even. */
static uint16_t float_half(float value)
{
    uint32_t bits = float_bits(value), sign = bits >> 16 & 0x8000U, size = bits & 0x7fffffffU;
    if (size > 0x7f800000U)
        return (uint16_t)(sign | 0x7e00U);
    if (size >= 0x477ff000U)
        return (uint16_t)(sign | 0x7c00U);
    if (size < 0x38800000U) { /* below the least normal: the sum's last bit is the half's */
        float small = bits_float(size) + 0.5F;
        return (uint16_t)(sign | (float_bits(small) - 0x3f000000U));
    }
    uint32_t rounded = (size + 0xfffU + (size >> 13 & 1U)) >> 13;
    return (uint16_t)(sign | (rounded - (112U << 10)));
}

static uint16_t float_bfloat(float value)
{
    uint32_t bits = float_bits(value);
    if ((bits & 0x7fffffffU) > 0x7f800000U)
        return (uint16_t)(bits >> 16 | 0x40U);
    return (uint16_t)((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

static double load_real(const uint8_t *at, ncclDataType_t type)
{
    uint16_t half;
    float single;
    double value;
    switch (type) {
    case ncclFloat16:
        memcpy(&half, at, sizeof half);
        return (double)half_float(half);
    case ncclBfloat16:
        memcpy(&half, at, sizeof half);
        return (double)bits_float((uint32_t)half << 16);
    case ncclFloat32:
        memcpy(&single, at, sizeof single);
        return (double)single;
    default:
        memcpy(&value, at, sizeof value);
        return value;
    }
}

static void store_real(uint8_t *at, ncclDataType_t type, double value)
{
    float single = (float)value;
    uint16_t half = type == ncclFloat16 ? float_half(single) : float_bfloat(single);
    if (type == ncclFloat64)
        memcpy(at, &value, sizeof value);
    else if (type == ncclFloat32)
        memcpy(at, &single, sizeof single);
    else
        memcpy(at, &half, sizeof half);
}

static double real_step(double a, double b, ncclDataType_t type, ncclRedOp_t op)
{
    double c;
    switch (op) {
    case ncclProd:
        c = a * b;
        break;
    case ncclMax:
        c = b > a ? b : a;
        break;
    case ncclMin:
        c = b < a ? b : a;
        break;
    default:
        c = a + b;
    }
    return type == ncclFloat64 ? c : (double)(float)c;
}

static uint64_t load_integer(const uint8_t *at, ncclDataType_t type)
{
    uint64_t value = 0;
    uint64_t bytes = type_bytes(type);
    memcpy(&value, at, bytes);
    bool negative = type == ncclInt8 ? value >> 7 : type == ncclInt32 ? value >> 31 : false;
    return negative ? value | UINT64_MAX << (8 * bytes) : value;
}

static uint64_t integer_step(uint64_t a, uint64_t b, bool is_signed, ncclRedOp_t op)
{
    bool more = is_signed ? (int64_t)b > (int64_t)a : b > a;
    switch (op) {
    case ncclProd:
        return a * b;
    case ncclMax:
        return more ? b : a;
    case ncclMin:
        return more ? a : b;
    default:
        return a + b;
    }
}

static void reduce_integer(uint8_t *to, uint8_t *const *parts, int32_t nparts, uint64_t at,
                           ncclDataType_t type, ncclRedOp_t op)
{
    bool is_signed = type == ncclInt8 || type == ncclInt32 || type == ncclInt64;
    uint64_t value = load_integer(parts[0] + at, type);
    for (int32_t r = 1; r < nparts; r++)
        value = integer_step(value, load_integer(parts[r] + at, type), is_signed, op);
    memcpy(to + at, &value, type_bytes(type));
    if (op != ncclAvg)
        return;
    value = load_integer(to + at, type);
    value = is_signed ? (uint64_t)((int64_t)value / nparts) : value / (uint64_t)nparts;
    memcpy(to + at, &value, type_bytes(type));
}

static void reduce_real(uint8_t *to, uint8_t *const *parts, int32_t nparts, uint64_t at,
                        ncclDataType_t type, ncclRedOp_t op)
{
    double value = load_real(parts[0] + at, type);
    for (int32_t r = 1; r < nparts; r++)
        value = real_step(value, load_real(parts[r] + at, type), type, op);
    store_real(to + at, type, op == ncclAvg ? value / (double)nparts : value);
}

void reduce(uint8_t *to, uint8_t *const *parts, int32_t nparts, uint64_t count, ncclDataType_t type,
            ncclRedOp_t op)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = i * type_bytes(type);
        if (type >= ncclFloat16)
            reduce_real(to, parts, nparts, at, type, op);
        else
            reduce_integer(to, parts, nparts, at, type, op);
    }
}
