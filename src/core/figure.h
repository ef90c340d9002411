/* SPDX-License-Identifier: Apache-2.0
 * What a window of counts says: how level it was, and how far it lies from another. */
#ifndef SL_FIGURE_H
#define SL_FIGURE_H

#include <stdint.h>

/* Mean load / greatest load over the ranks with alive[r] (SEMANTICS "record"): load [ranks] >= 0,
 * [10, 20, 30, 40] -> 0.625. 0 where no living rank has load. */
double sl_balance_of(const int64_t *load, const uint8_t *alive, int32_t ranks);

/* Half the L1 distance of two distributions over `count` experts, in parts per million, rounded to
 * the nearest: of round(500000 * sum |a_e / a - b_e / b|), e ascending, every operation in doubles.
 * -1 where one of them is empty. Counts >= 0. */
int32_t sl_drift_ppm(const int64_t *a, const int64_t *b, int32_t count);

#endif
