/* SPDX-License-Identifier: Apache-2.0
 * A walk under a balanced policy. */
#ifndef SL_CPU_BALANCE_H
#define SL_CPU_BALANCE_H

#include "cpu_blocks.h"

/* Runs a walk that maps: counts, solves (NOW: collective), places. */
sluice_status sl_balance_run(struct sl_walk *walk, int32_t layer);

#endif
