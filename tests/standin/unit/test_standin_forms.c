/* SPDX-License-Identifier: Apache-2.0 */
/* Instruction forms of arithmetic, moves and control flow against C on edge values. */
#include "form_kit.h"

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 s128;

static uint64_t top_bit(uint64_t a)
{
    return a ? (uint64_t)(63 - __builtin_clzll(a)) : UINT64_MAX;
}

static uint64_t mirrored(uint64_t a, int bits)
{
    uint64_t out = 0;
    for (int i = 0; i < bits; i++)
        out = out << 1 | (a >> i & 1);
    return out;
}

/* bfe bit by bit, as the ISA's pseudo code has it. */
static uint64_t field(uint64_t a, uint64_t at, uint64_t length, uint64_t bits, bool is_signed)
{
    uint64_t out = 0, last = at + length - 1 < bits - 1 ? at + length - 1 : bits - 1;
    uint64_t sign = is_signed && length ? a >> last & 1 : 0;
    for (uint64_t i = 0; i < bits; i++)
        out |= (i < length && at + i < bits ? a >> (at + i) & 1 : sign) << i;
    return out;
}

/* bfi bit by bit. */
static uint64_t placed(uint64_t a, uint64_t b, uint64_t at, uint64_t length, uint64_t bits)
{
    for (uint64_t i = 0; i < length && at + i < bits; i++)
        b = (b & ~(1ULL << (at + i))) | (a >> i & 1) << (at + i);
    return b;
}

/* prmt byte by byte. */
static uint64_t bytes_of(uint64_t a, uint64_t b, uint64_t which)
{
    uint64_t out = 0;
    for (int i = 0; i < 4; i++) {
        uint64_t w = which >> (4 * i) & 15, byte = (w & 4 ? b : a) >> (8 * (w & 3)) & 255;
        out |= (w & 8 ? (byte & 128 ? 255 : 0) : byte) << (8 * i);
    }
    return out;
}

static uint64_t dot(uint64_t a, uint64_t b, uint64_t c, bool sign_a, bool sign_b)
{
    int64_t sum = (int64_t)c;
    for (int i = 0; i < 4; i++) {
        int64_t x = (int64_t)(a >> (8 * i) & 255), y = (int64_t)(b >> (8 * i) & 255);
        sum += (sign_a && x > 127 ? x - 256 : x) * (sign_b && y > 127 ? y - 256 : y);
    }
    return (uint64_t)sum;
}

#define FORM FORM_FUNCTION
#include "form_list_int.h"
#undef FORM
#define FORM FORM_ENTRY
const struct form forms_int[] = {
#include "form_list_int.h"
    {NULL, NULL, NULL}};
#undef FORM

CT(standin_forms, integers, "Integer forms are C on edge values, shifts and division included")
{
    form_check(forms_int);
}

#define FORM FORM_FUNCTION
#include "form_list_control.h"
#undef FORM
#define FORM FORM_ENTRY
const struct form forms_control[] = {
#include "form_list_control.h"
    {NULL, NULL, NULL}};

CT(standin_forms, control, "Branches, barriers, fences and address spaces do what they say")
{
    form_check(forms_control);
}
