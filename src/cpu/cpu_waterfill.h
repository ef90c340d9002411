/* SPDX-License-Identifier: Apache-2.0
 * SGLang's waterfill around a walk. */
#ifndef SL_CPU_WATERFILL_H
#define SL_CPU_WATERFILL_H

#include "cpu_blocks.h"

/* Maps with shared columns at home, counts choices by destination rank, shares the counts
 * (dynamic: collective), then moves the shared columns. */
sluice_status sl_waterfill_run(struct sl_walk *walk, int32_t layer);

#endif
