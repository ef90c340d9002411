/* SPDX-License-Identifier: Apache-2.0
 * The extension tables of the CPU backend. */
#ifndef SL_CPU_EXT_H
#define SL_CPU_EXT_H

#include "../../abi/ext/balance.h"
#include "../../abi/ext/device.h"
#include "../../abi/ext/load.h"
#include "../../abi/ext/placement.h"
#include "../../abi/ext/plan.h"
#include "../../abi/ext/ranks.h"
#include "../../abi/ext/route.h"
#include "../../abi/ext/stats.h"

extern const sluice_route_api cpu_route_api;
extern const sluice_placement_api cpu_placement_api;
extern const sluice_load_api cpu_load_api;
extern const sluice_stats_api cpu_stats_api;
extern const sluice_ranks_api cpu_ranks_api;
extern const sluice_device_api cpu_device_api;
extern const sluice_balance_api cpu_balance_api;
extern const sluice_plan_api cpu_plan_api;

#endif
