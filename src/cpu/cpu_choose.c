/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_choose.h"

#include "../core/mutant.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <stdbool.h>

/* Bits of cpuid. The compiler's own __builtin_cpu_supports always says no under some of them. */
enum {
    LEAF1_ECX_FMA = 1 << 12,
    LEAF1_ECX_POPCNT = 1 << 23,
    LEAF1_ECX_OSXSAVE = 1 << 27,
    LEAF1_ECX_AVX = 1 << 28,
    LEAF1_ECX_F16C = 1 << 29,
    LEAF7_EBX_BMI1 = 1 << 3,
    LEAF7_EBX_AVX2 = 1 << 5,
    LEAF7_EBX_BMI2 = 1 << 8,
    LEAF7_EBX_AVX512F = 1 << 16,
    LEAF7_EBX_AVX512DQ = 1 << 17,
    LEAF7_EBX_AVX512BW = 1 << 30
};
#define LEAF7_EBX_AVX512VL (1U << 31)

/* Registers that the operating system keeps: XMM, YMM; and opmask, ZMM. */
enum { KEEPS_AVX = 0x6, KEEPS_AVX512 = 0xE6 };

static bool has(uint32_t bits, uint32_t wanted)
{
    return (bits & wanted) == wanted;
}

static uint32_t kept_registers(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

int sl_choose_best_level(void)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return SL_LEVEL_PORTABLE;
    if (!has(c,
             LEAF1_ECX_FMA | LEAF1_ECX_POPCNT | LEAF1_ECX_OSXSAVE | LEAF1_ECX_AVX | LEAF1_ECX_F16C))
        return SL_LEVEL_PORTABLE;
    uint32_t kept = kept_registers();
    if (!has(kept, KEEPS_AVX) || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return SL_LEVEL_PORTABLE;
    if (!has(b, LEAF7_EBX_BMI1 | LEAF7_EBX_AVX2 | LEAF7_EBX_BMI2))
        return SL_LEVEL_PORTABLE;
    uint32_t wide = LEAF7_EBX_AVX512F | LEAF7_EBX_AVX512DQ | LEAF7_EBX_AVX512BW;
    bool avx512 = has(kept, KEEPS_AVX512) && has(b, wide | LEAF7_EBX_AVX512VL);
    return avx512 ? SL_LEVEL_AVX512 : SL_LEVEL_AVX2;
}

/* Few columns: 16 rows side by side instead of the columns of one. */
static bool is_narrow(const struct sl_rule *rule)
{
    return rule->columns <= 16 && rule->zero_experts == 0 && rule->top_k <= 8 &&
           rule->groups == 1 && rule->bias_rows == 1 && rule->shared_weight != SLUICE_SHARED_JOINT;
}

sl_choose_fn *sl_choose_pick(const struct sl_rule *rule, int level)
{
    if (SL_MUTANT_BUILD) /* compiled as a mutant where the mutant is in the portable code */
        return sl_choose_portable;
    if (level == SL_LEVEL_AVX512)
        return is_narrow(rule) ? sl_choose_narrow_avx512 : sl_choose_avx512;
    if (level == SL_LEVEL_AVX2)
        return is_narrow(rule) ? sl_choose_narrow_avx2 : sl_choose_avx2;
    return sl_choose_portable;
}

#else

int sl_choose_best_level(void)
{
    return SL_LEVEL_PORTABLE;
}

sl_choose_fn *sl_choose_pick(const struct sl_rule *rule, int level)
{
    (void)rule, (void)level;
    return sl_choose_portable;
}

#endif
