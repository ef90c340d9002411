/* SPDX-License-Identifier: Apache-2.0
 * The extension tables that the CPU backend has of its own. */
#ifndef SL_CPU_EXT_H
#define SL_CPU_EXT_H

#include "../../abi/ext/device.h"
#include "../../abi/ext/load.h"

extern const sluice_load_api cpu_load_api;
extern const sluice_device_api cpu_device_api;

#endif
