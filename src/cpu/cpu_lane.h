/* SPDX-License-Identifier: Apache-2.0
 * Memory of lanes and staging. */
#ifndef SL_CPU_LANE_H
#define SL_CPU_LANE_H

#include "../backend/bk_lane.h"

/* After sl_exchange_open: the memory that dispatch and combine work in; with `query` only added to
 * needs. */
sluice_status sl_lanes_open(sluice_context *context, const struct sl_text *text,
                            sluice_needs *needs, bool query);
void sl_lanes_close(sluice_context *context);

#endif
