/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_sum.h"

#include "../core/mutant.h"
#include "cpu_choose.h"

struct sl_sums sl_sums_pick(int level)
{
    struct sl_sums sums = {sl_sum_portable, sl_scale_portable};
    if (SL_MUTANT_BUILD) /* compiled as a mutant where the mutant is in the portable code */
        return sums;
#if defined(__x86_64__)
    if (level == SL_LEVEL_AVX512)
        sums = (struct sl_sums){sl_sum_avx512, sl_scale_avx512};
    if (level == SL_LEVEL_AVX2)
        sums = (struct sl_sums){sl_sum_avx2, sl_scale_avx2};
#else
    (void)level;
#endif
    return sums;
}
