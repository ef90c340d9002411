/* SPDX-License-Identifier: Apache-2.0
 * Placements and the counts made under them. */
#ifndef SL_BK_BANK_H
#define SL_BK_BANK_H

#include "bk_context.h"

/* Bytes of a bank's place_memory. */
size_t sl_bank_bytes(const struct sl_shape *shape);

/* Gives every bank its memory and the trivial placement; false: no memory. */
bool sl_banks_open(sluice_context *context);
void sl_banks_close(sluice_context *context);

/* Adds a bank's counts so far, by expert [E] and then by rank [ranks], to `values`; `counters` are
 * what backend->read gave. */
void sl_bank_count(const struct sl_bank *bank, const uint64_t *counters, int64_t *values);

/* Puts `map` in force: counts go on by expert and by rank, and those by physical expert begin at
 * 0. */
sluice_status sl_bank_set(sluice_context *context, int32_t index, const int32_t *map, void *stream);

/* Rebuilds the bank's tables on the host, from a map or (NULL) the present one. */
void sl_bank_build(sluice_context *context, int32_t index, const int32_t *map);

#endif
