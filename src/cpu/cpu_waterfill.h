/* SPDX-License-Identifier: Apache-2.0
 * SGLang's waterfill around a walk. */
#ifndef SL_CPU_WATERFILL_H
#define SL_CPU_WATERFILL_H

#include "cpu_blocks.h"

/* Before the walk, which maps with shared columns at home: makes it count choices by destination
 * rank. */
void sl_waterfill_begin(struct sl_walk *walk);

/* After it: shares the counts (dynamic: collective) and moves the shared columns. */
sluice_status sl_waterfill_finish(struct sl_walk *walk, int32_t layer);

/* Rows of the walk that are no padding. */
int64_t sl_valid_rows(const struct sl_walk *walk);

#endif
