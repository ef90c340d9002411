/* SPDX-License-Identifier: Apache-2.0 */
/* Operations among lanes against C, on random, equal and extreme values. */
#include <stdio.h>

#include "form_kit.h"

enum { WARPS = 16 };

static uint32_t odd(uint32_t value)
{
    return value & 1;
}

static uint32_t which(const uint32_t *v, uint32_t (*is)(uint32_t value))
{
    uint32_t out = 0;
    for (int i = 0; i < 32; i++)
        out |= is(v[i]) << i;
    return out;
}

static uint32_t count(const uint32_t *v, uint32_t (*is)(uint32_t value))
{
    return (uint32_t)__builtin_popcount(which(v, is));
}

static uint32_t equals(const uint32_t *v, uint32_t value)
{
    uint32_t out = 0;
    for (int i = 0; i < 32; i++)
        out |= (uint32_t)(v[i] == value) << i;
    return out;
}

static uint32_t sum(const uint32_t *v)
{
    uint32_t out = 0;
    for (int i = 0; i < 32; i++)
        out += v[i];
    return out;
}

/* The least value after `flip`, ordered by the bits of `sign` turned round. */
static uint32_t best(const uint32_t *v, uint32_t flip, uint32_t sign)
{
    uint32_t out = v[0] ^ flip;
    for (int i = 1; i < 32; i++)
        if (((v[i] ^ flip) ^ sign) < (out ^ sign))
            out = v[i] ^ flip;
    return out;
}

/* The greatest (sign 1) or least (-1) of what are numbers, zeros ordered by their signs. */
static uint32_t best_float(const uint32_t *v, float sign)
{
    uint32_t out = 0x7fffffff;
    for (int i = 0; i < 32; i++) {
        float now, kept;
        memcpy(&now, &v[i], sizeof now);
        memcpy(&kept, &out, sizeof kept);
        bool zero = now == kept && signbit(now) != signbit(kept);
        if (!isnan(now) && (isnan(kept) || now * sign > kept * sign ||
                            (zero && (signbit(now) != 0) == (sign < 0))))
            out = v[i];
    }
    return out;
}

static uint32_t all_bits(const uint32_t *v)
{
    uint32_t out = UINT32_MAX;
    for (int i = 0; i < 32; i++)
        out &= v[i];
    return out;
}

static uint32_t any_bits(const uint32_t *v)
{
    uint32_t out = 0;
    for (int i = 0; i < 32; i++)
        out |= v[i];
    return out;
}

static uint32_t odd_bits(const uint32_t *v)
{
    uint32_t out = 0;
    for (int i = 0; i < 32; i++)
        out ^= v[i];
    return out;
}

static uint32_t bin(const uint32_t *u, uint32_t which_bin)
{
    uint32_t out = 0;
    for (int i = 0; i < 32; i++)
        out += (u[i] & 31) == which_bin;
    return out;
}

#define LANES(id_, text_, expr_)                                                                   \
    static uint64_t want_##id_(const uint32_t *v, const uint32_t *u, uint32_t lane)                \
    {                                                                                              \
        (void)v, (void)u, (void)lane;                                                              \
        return (uint32_t)(expr_);                                                                  \
    }
#include "form_list_lanes.h"
#undef LANES
#define LANES(id_, text_, expr_) {#id_, text_, want_##id_},
const struct form_lanes forms_lanes[] = {
#include "form_list_lanes.h"
    {NULL, NULL, NULL}};

/* Warp 0: all equal; 1: one differs; 2: signs and ends; the rest random, few values in u. */
static void fill(uint32_t in[WARPS][32][2])
{
    uint64_t state = 7;
    for (int w = 0; w < WARPS; w++) {
        for (int l = 0; l < 32; l++) {
            state = state * 6364136223846793005U + 1442695040888963407U;
            uint32_t random = (uint32_t)(state >> 32);
            in[w][l][0] = w < 2 ? 5 : w == 2 ? 0x80000000U - (uint32_t)(l & 1) : random;
            in[w][l][1] = w < 2 ? 9 : w % 2 ? random & 3 : random >> 7;
        }
    }
    in[1][13][0] = in[1][13][1] = 4;
}

static void one(const struct form_lanes *form)
{
    char opcode[64], text[1600];
    uint32_t in[WARPS][32][2], v[32], u[32];
    uint64_t out[WARPS][32];
    form_opcode(form->id, opcode, sizeof opcode);
    bool predicate = strstr(form->text, "%p2") != NULL;
    fill(in);
    memset(out, 0, sizeof out);
    (void)snprintf(text, sizeof text,
                   "mul.wide.u32 %%rd12, %%r13, 8; add.s64 %%rd13, %%rd10, %%rd12;\n"
                   "ld.global.u32 %%r1, [%%rd13]; ld.global.u32 %%r2, [%%rd13+4];\n"
                   "and.b32 %%r5, %%r13, 31; and.b32 %%r6, %%r1, 1; setp.ne.s32 %%p1, %%r6, 0;\n"
                   "%s\n%s%sadd.s64 %%rd15, %%rd11, %%rd12; st.global.u64 [%%rd15], %%rd9;\n",
                   form->text, predicate ? "selp.b32 %r9, 1, 0, %p2;\n" : "",
                   "cvt.u64.u32 %rd9, %r9;\n");
    if (!ct_expect_true(strstr(text, opcode) != NULL) ||
        !form_run(text, WARPS, 32, in, sizeof in, out, sizeof out))
        return;
    for (int w = 0; w < WARPS; w++) {
        for (int l = 0; l < 32; l++) {
            v[l] = in[w][l][0];
            u[l] = in[w][l][1];
        }
        for (uint32_t l = 0; l < 32; l++) {
            ct_note("%s, warp %d, lane %u", form->text, w, l);
            if (!ct_expect_eq_u64(out[w][l], form->want(v, u, l)))
                return;
        }
    }
}

CT(standin_forms, lanes, "Shuffles, votes, matches and reductions are C's over a warp's lanes")
{
    for (const struct form_lanes *form = forms_lanes; form->id; form++)
        one(form);
}
