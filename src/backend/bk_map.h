/* SPDX-License-Identifier: Apache-2.0
 * The arguments that remap and route have in common. */
#ifndef SL_BK_MAP_H
#define SL_BK_MAP_H

#include "bk_call.h"

/* As in sluice_remap_args. */
struct sl_map_out {
    const sluice_tensor *step, *row_base;
    const sluice_tensor *dispatch_ids, *dispatch_weights, *recorder_ids;
};

/* Checks; fills in the scalars, the policies and outputs. */
sluice_status sl_check_map(struct sl_call *call, const struct sl_map_out *args);

#endif
