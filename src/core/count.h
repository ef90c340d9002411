/* SPDX-License-Identifier: Apache-2.0
 * Load counters: 64 bits for each physical expert, never for a shared slot. SEMANTICS "record". */
#ifndef SL_COUNT_H
#define SL_COUNT_H

#include "choose.h"
#include "place.h"

/* counters [physical] += 1 for each id in [0, physical); -1 is ignored. Returns how many others
 * there were. */
uint64_t sl_count_ids(uint64_t *counters, int32_t physical, const int32_t *ids, int64_t count);

/* The same for [rows, columns] of a caller's tensor. */
uint64_t sl_count_rows(uint64_t *counters, int32_t physical, const struct sl_ids *ids, int64_t rows,
                       int64_t columns);

/* Adds what a transport counted for this rank's L local slots, counts->data [L]; the F shared ones
 * are dropped. Returns -1, or the first slot whose count is negative: then nothing was added. */
int32_t sl_count_slots(uint64_t *counters, const struct sl_shape *shape,
                       const struct sl_ids *counts);

/* Adds counters [P] to loads [ranks], by the rank that serves. */
void sl_count_ranks(const uint64_t *counters, const struct sl_shape *shape, int64_t *loads);

/* Adds counters [P] to logical [E] through map [P]. */
void sl_count_logical(const uint64_t *counters, const struct sl_shape *shape, const int32_t *map,
                      int64_t *logical);

#endif
