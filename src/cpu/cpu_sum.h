/* SPDX-License-Identifier: Apache-2.0
 * The sums of dispatch and combine by code path. All give the bits of the portable ones. */
#ifndef SL_CPU_SUM_H
#define SL_CPU_SUM_H

#include "../core/sum.h"

struct sl_sums {
    sl_sum_fn *sum;
    sl_scale_fn *scale;
};

/* level: SL_LEVEL_* of cpu_choose.h. */
struct sl_sums sl_sums_pick(int level);

sl_sum_fn sl_sum_avx2, sl_sum_avx512;
sl_scale_fn sl_scale_avx2, sl_scale_avx512;

#endif
