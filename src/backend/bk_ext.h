/* SPDX-License-Identifier: Apache-2.0
 * The extension tables that are the same for every backend. */
#ifndef SL_BK_EXT_H
#define SL_BK_EXT_H

#include "../../abi/ext/balance.h"
#include "../../abi/ext/placement.h"
#include "../../abi/ext/plan.h"
#include "../../abi/ext/ranks.h"
#include "../../abi/ext/stats.h"

extern const sluice_placement_api sl_placement_api;
extern const sluice_stats_api sl_stats_api;
extern const sluice_ranks_api sl_ranks_api;
extern const sluice_balance_api sl_balance_api;
extern const sluice_plan_api sl_plan_api;

struct sl_extension {
    const char *id;
    const void *table;
};

/* Whose id it is; NULL: none of `count`. */
const void *sl_extension_of(const char *id, const struct sl_extension *served, size_t count);

#endif
