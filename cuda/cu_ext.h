/* SPDX-License-Identifier: Apache-2.0
 * The tables of the extensions that this backend serves. */
#ifndef SLC_EXT_H
#define SLC_EXT_H

#include "../abi/ext/device.h"
#include "../abi/ext/load.h"
#include "../abi/ext/placement.h"
#include "../abi/ext/stats.h"

extern const sluice_placement_api slc_placement_api;
extern const sluice_load_api slc_load_api;
extern const sluice_stats_api slc_stats_api;
extern const sluice_device_api slc_device_api;

#endif
