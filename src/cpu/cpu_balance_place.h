/* SPDX-License-Identifier: Apache-2.0
 * The second pass of a walk under a balanced policy: choices become copies by quota. */
#ifndef SL_CPU_BALANCE_PLACE_H
#define SL_CPU_BALANCE_PLACE_H

#include "cpu_balance.h"

/* Whose turn it is among an expert's copies. */
struct sl_turn {
    int32_t at; /* into the living copies */
    int32_t physical, slot;
    int32_t left; /* choices that this copy still takes */
};

/* Gives the choices that the walk left as experts their copies, and shared columns their ranks; in
 * row order, so the j-th choice of an expert goes where j falls. Counts for route. */
void sl_balance_place(struct sl_walk *walk, int32_t layer);

#endif
