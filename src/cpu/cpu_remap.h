/* SPDX-License-Identifier: Apache-2.0
 * The arguments that remap and route have in common, and waterfill around a walk. */
#ifndef SL_CPU_REMAP_H
#define SL_CPU_REMAP_H

#include "cpu_blocks.h"

/* As in sluice_remap_args. */
struct sl_map_out {
    const sluice_tensor *step, *row_base;
    const sluice_tensor *dispatch_ids, *dispatch_weights, *recorder_ids;
};

/* Checks; fills in walk->remap and outputs. */
sluice_status sl_check_map(struct sl_walk *walk, int32_t layer, const struct sl_map_out *args);

/* Runs a checked walk that maps, with what waterfill and balance do before and after it (and may
 * exchange), and counts the call. */
sluice_status sl_map_run(struct sl_walk *walk, int32_t layer);

sluice_status cpu_remap(sluice_context *context, const sluice_remap_args *args);

#endif
