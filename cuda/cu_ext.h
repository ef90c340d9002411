/* SPDX-License-Identifier: Apache-2.0
 * The extension tables that the CUDA backend has of its own. */
#ifndef SLC_EXT_H
#define SLC_EXT_H

#include "../abi/ext/device.h"
#include "../abi/ext/load.h"

extern const sluice_load_api slc_load_api;
extern const sluice_device_api slc_device_api;

#endif
