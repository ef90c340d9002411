/* SPDX-License-Identifier: Apache-2.0
 * The operations that are walks, and record. */
#ifndef SL_CPU_WALK_H
#define SL_CPU_WALK_H

#include "../../abi/ext/route.h"
#include "../../plugin.h"

sluice_status cpu_topk(sluice_context *context, const sluice_topk_args *args);
sluice_status cpu_remap(sluice_context *context, const sluice_remap_args *args);
sluice_status cpu_record(sluice_context *context, const sluice_record_args *args);

extern const sluice_route_api cpu_route_api;

#endif
