/* SPDX-License-Identifier: Apache-2.0
 * Which code path contexts opened from now on take: the best of this machine, or a chosen one. */
#ifndef SL_CPU_LEVEL_H
#define SL_CPU_LEVEL_H

#include "../../plugin.h"

/* SL_LEVEL_* of cpu_choose.h. */
int sl_level(void);

/* Names of the levels this machine has, slowest first, NULL at the end. */
const char *const *sl_level_names(void);

/* NULL: the best. INVALID for a name that is not among sl_level_names. */
sluice_status sl_level_use(const char *name);

#endif
