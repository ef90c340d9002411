/* SPDX-License-Identifier: Apache-2.0
 * How level a step balancer could have made a layer's counts under a placement. */
#ifndef SL_REACH_H
#define SL_REACH_H

#include "place.h"

/* Scratch of sl_reach, aligned to 8. */
size_t sl_reach_bytes(const struct sl_shape *shape);

/* Mean rank load / least greatest rank load that there is (BALANCE.md 1, objective `tokens`, of
 * fractions): counts [E] >= 0 go to any living copy, and the shared experts' load, F times
 * sum / top_k, to any living rank. Experts without a living copy count as none. 0 where nothing was
 * counted, or 2^56 choices and more. */
double sl_reach(const struct sl_shape *shape, const struct sl_place *place, const uint8_t *alive,
                const int64_t *counts, int32_t top_k, void *scratch);

#endif
