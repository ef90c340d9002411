/* SPDX-License-Identifier: Apache-2.0 */
/* How the functions of forms are written: rows of 32 values of 64 bits, zero above the type's
 * width. Only for the exec_*.c files. */
#ifndef STANDIN_EXEC_H
#define STANDIN_EXEC_H

#include <math.h>
#include <string.h>

#include "warp.h"

#define T(type) (1U << PT_##type)
#define T_INT16 (T(U16) | T(S16))
#define T_INT32 (T(U32) | T(S32))
#define T_INT64 (T(U64) | T(S64))
#define T_ANY8 (T(B8) | T(U8) | T(S8))
#define T_ANY16 (T(B16) | T(U16) | T(S16))
#define T_ANY32 (T(B32) | T(U32) | T(S32))
#define T_ANY64 (T(B64) | T(U64) | T(S64))
#define K(kind) (1U << PK_##kind)

/* For each lane of the mask; a full mask gives the compiler a loop that it can vectorise. */
#define EACH_LANE(statement)                                                                       \
    do {                                                                                           \
        if (mask == WARP_FULL) {                                                                   \
            for (int l = 0; l < 32; l++) {                                                         \
                statement;                                                                         \
            }                                                                                      \
        } else {                                                                                   \
            for (int l = 0; l < 32; l++)                                                           \
                if (mask >> l & 1) {                                                               \
                    statement;                                                                     \
                }                                                                                  \
        }                                                                                          \
    } while (0)

#define EXEC(name) static void name(struct warp *w, const struct ptx_ins *ins, uint32_t mask)

/* Where a destination that is thrown away goes. */
static inline uint64_t *exec_row(struct warp *w, int32_t row)
{
    static _Thread_local uint64_t nowhere[32];
    return row == PTX_NO_ROW ? nowhere : w->rows[row];
}

#define EXEC1(name, type, wide, expr)                                                              \
    EXEC(name)                                                                                     \
    {                                                                                              \
        uint64_t *d = exec_row(w, ins->d[0]);                                                      \
        const uint64_t *sa = warp_source(w, ins, 0);                                               \
        EACH_LANE(type a = (type)sa[l]; d[l] = (wide)(expr));                                      \
    }
#define EXEC2(name, type, wide, expr)                                                              \
    EXEC(name)                                                                                     \
    {                                                                                              \
        uint64_t *d = exec_row(w, ins->d[0]);                                                      \
        const uint64_t *sa = warp_source(w, ins, 0), *sb = warp_source(w, ins, 1);                 \
        EACH_LANE(type a = (type)sa[l]; type b = (type)sb[l]; d[l] = (wide)(expr));                \
    }
#define EXEC3(name, type, wide, expr)                                                              \
    EXEC(name)                                                                                     \
    {                                                                                              \
        uint64_t *d = exec_row(w, ins->d[0]);                                                      \
        const uint64_t *sa = warp_source(w, ins, 0), *sb = warp_source(w, ins, 1),                 \
                       *sc = warp_source(w, ins, 2);                                               \
        EACH_LANE(type a = (type)sa[l]; type b = (type)sb[l]; type c = (type)sc[l];                \
                  d[l] = (wide)(expr));                                                            \
    }

static inline float exec_f32(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return value;
}

/* The device has one NaN. */
static inline uint64_t exec_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return value != value ? 0x7fffffffU : bits;
}

static inline double exec_f64(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint64_t exec_bits64(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return value != value ? 0x7fffffffffffffffULL : bits;
}

/* Subnormals to zero of the same sign. */
static inline uint64_t exec_flush(uint64_t bits)
{
    return (bits & 0x7f800000U) ? bits : bits & 0x80000000U;
}

/* f16 and bf16 (exec_half.c), rounded to nearest even. */
float exec_from_half(uint16_t bits);
uint16_t exec_to_half(float value);
uint16_t exec_to_bf16(float value);

#endif
