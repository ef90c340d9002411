/* SPDX-License-Identifier: Apache-2.0 */
/* cvt between integers and floats. Integers narrow by cutting off, or clamp with .sat; floats clamp
 * always, and NaN becomes 0 (PTX ISA, cvt), except where the source or the result has 64 bits. */
#include "exec.h"

static bool is_signed(int type)
{
    return type == PT_S8 || type == PT_S16 || type == PT_S32 || type == PT_S64;
}

static uint64_t low_bits(uint64_t value, int bits)
{
    return bits >= 64 ? value : value & ((1ULL << bits) - 1);
}

/* The value of a source register as its type has it, extended to 64 bits. */
static uint64_t widened(uint64_t value, int type)
{
    int bits = ptx_type_bits(type);
    value = low_bits(value, bits);
    if (is_signed(type) && bits < 64 && (value >> (bits - 1) & 1))
        value |= UINT64_MAX << bits;
    return value;
}

static uint64_t clamped(uint64_t value, int from, int to)
{
    int bits = ptx_type_bits(to);
    bool negative = is_signed(from) && (int64_t)value < 0;
    if (!is_signed(to)) {
        uint64_t most = bits == 64 ? UINT64_MAX : (1ULL << bits) - 1;
        return negative ? 0 : value < most ? value : most;
    }
    uint64_t most = (1ULL << (bits - 1)) - 1;
    if (negative) {
        int64_t least = -(int64_t)most - 1;
        return (int64_t)value < least ? (uint64_t)least : value;
    }
    return value < most ? value : most;
}

/* A result narrower than its register is extended by its sign. */
EXEC(int_of_int)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0);
    EACH_LANE(uint64_t v = widened(sa[l], ins->type2);
              if (ins->mod[PK_SAT]) v = clamped(v, ins->type2, ins->type);
              d[l] = low_bits(widened(v, ins->type), ins->dbits));
}

static double rounded(double value, int round)
{
    switch (round) {
    case PR_RZI:
        return trunc(value);
    case PR_RMI:
        return floor(value);
    case PR_RPI:
        return ceil(value);
    default:
        return nearbyint(value);
    }
}

static uint64_t int_of(double value, int from, int to)
{
    int bits = ptx_type_bits(to);
    if (value != value)
        return from == PT_F64 || bits == 64 ? 1ULL << (bits - 1) : 0;
    if (is_signed(to)) {
        double top = ldexp(1.0, bits - 1);
        if (value >= top)
            return (1ULL << (bits - 1)) - 1;
        return value < -top ? (uint64_t)0 - (1ULL << (bits - 1)) : (uint64_t)(int64_t)value;
    }
    if (value >= ldexp(1.0, bits))
        return bits == 64 ? UINT64_MAX : (1ULL << bits) - 1;
    return value <= 0 ? 0 : (uint64_t)value;
}

static double from_float(uint64_t bits, const struct ptx_ins *ins)
{
    if (ins->type2 == PT_F64)
        return exec_f64(bits);
    return exec_f32(ins->mod[PK_FTZ] ? exec_flush(bits) : bits);
}

EXEC(int_of_float)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0);
    EACH_LANE(double v = rounded(from_float(sa[l], ins), ins->mod[PK_ROUND]);
              d[l] = low_bits(int_of(v, ins->type2, ins->type), ins->dbits));
}

EXEC(float_of_int)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0);
    bool sign = is_signed(ins->type2);
    EACH_LANE(uint64_t v = widened(sa[l], ins->type2);
              d[l] = exec_bits(sign ? (float)(int64_t)v : (float)v));
}

EXEC(double_of_int)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0);
    bool sign = is_signed(ins->type2);
    EACH_LANE(uint64_t v = widened(sa[l], ins->type2);
              d[l] = exec_bits64(sign ? (double)(int64_t)v : (double)v));
}

EXEC(f32_of_f32)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0);
    EACH_LANE(float v = (float)from_float(sa[l], ins);
              if (ins->mod[PK_ROUND]) v = (float)rounded(v, ins->mod[PK_ROUND]);
              if (ins->mod[PK_SAT]) v = v > 0 ? (v < 1 ? v : 1) : 0; d[l] = exec_bits(v));
}
EXEC(f64_of_f32)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0);
    EACH_LANE(d[l] = exec_bits64(from_float(sa[l], ins)));
}
EXEC(f32_of_f64)
{
    uint64_t *d = exec_row(w, ins->d[0]);
    const uint64_t *sa = warp_source(w, ins, 0);
    EACH_LANE(uint64_t v = exec_bits((float)exec_f64(sa[l]));
              d[l] = ins->mod[PK_FTZ] ? exec_flush(v) : v);
}

#define T_INTS (T(U8) | T(S8) | T(U16) | T(S16) | T(U32) | T(S32) | T(U64) | T(S64))
#define C(name, to, from, allow, op)                                                               \
    {                                                                                              \
        name, to, from, allow, 0, "ds", op, 0, PCL_CONVERT                                         \
    }

const struct ptx_form ptx_forms_convert[] = {
    C("cvt", T_INTS, T_INTS, K(SAT), int_of_int),
    {"cvt", T_INTS, T(F32) | T(F64), K(FTZ) | K(ROUND), K(ROUND), "ds", int_of_float, 0,
     PCL_CONVERT},
    C("cvt.rn", T(F32), T_INTS, 0, float_of_int),
    C("cvt.rn", T(F64), T_INTS, 0, double_of_int),
    C("cvt", T(F32), T(F32), K(FTZ) | K(SAT) | K(ROUND), f32_of_f32),
    C("cvt", T(F64), T(F32), K(FTZ), f64_of_f32),
    C("cvt.rn", T(F32), T(F64), K(FTZ), f32_of_f64),
    {0}};
