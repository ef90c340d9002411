/* SPDX-License-Identifier: Apache-2.0
 * What the tables of sluice.load/1 have in common. */
#ifndef SL_BK_LOAD_H
#define SL_BK_LOAD_H

#include "../../abi/ext/load.h"
#include "bk_args.h"

/* Checks of `read`: the layer, and its [P] tensor. */
sluice_status sl_load_check_read(sluice_context *context, int32_t layer,
                                 const sluice_tensor *counts, struct sl_layer **state,
                                 struct sl_view *view);
/* Of add_slots. */
sluice_status sl_load_check_slots(sluice_context *context, const sluice_load_slots *args,
                                  struct sl_layer **state, struct sl_view *view);

/* The bank's counters into a checked tensor in host memory. */
sluice_status sl_load_copy(sluice_context *context, int32_t bank, const struct sl_view *view,
                           void *stream);

/* As in sluice_load_api. */
sluice_status sl_load_snapshot(sluice_context *context, int64_t *counts, int64_t stride,
                               void *stream);
sluice_status sl_load_reset(sluice_context *context, int32_t layer, void *stream);
sluice_status sl_load_read_logical(sluice_context *context, int32_t layer, int64_t *counts,
                                   int64_t count, void *stream);

#endif
