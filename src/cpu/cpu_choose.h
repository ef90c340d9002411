/* SPDX-License-Identifier: Apache-2.0
 * Which implementation of choosing serves a rule on this machine. All give the same bits. */
#ifndef SL_CPU_CHOOSE_H
#define SL_CPU_CHOOSE_H

#include "../core/choose.h"

enum { SL_LEVEL_PORTABLE = 0, SL_LEVEL_AVX2 = 1, SL_LEVEL_AVX512 = 2 };

/* The highest level that this machine and its operating system run. */
int sl_choose_best_level(void);

/* `level` is at most sl_choose_best_level(). */
sl_choose_fn *sl_choose_pick(const struct sl_rule *rule, int level);

/* Only to be called where the machine has the level. Those of narrow rows serve what
 * sl_choose_is_narrow says. */
sl_choose_fn sl_choose_avx2, sl_choose_avx512;
sl_choose_fn sl_choose_narrow_avx2, sl_choose_narrow_avx512;

#endif
