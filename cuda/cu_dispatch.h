/* SPDX-License-Identifier: Apache-2.0
 * The parts of dispatch. */
#ifndef SLC_DISPATCH_H
#define SLC_DISPATCH_H

#include "cu_mover.h"

static inline struct slc_lane *slc_lane_of(const struct sl_dispatch *call)
{
    return &slc_of(call->context)->mover->lanes[call->args->lane];
}

/* Steps of both modes. The lane's job gets what a layout needs, and what SEND adds. */
void slc_begin_lane(const struct sl_dispatch *call);
void slc_fill_layout(const struct sl_dispatch *call, struct slc_move *job);
void slc_fill_send(const struct sl_dispatch *call, struct slc_move *job);
/* Rows of padding, of which there are at most `rows`, and all that have no slot until a token
 * comes. */
slcu_result slc_enqueue_padding(const struct sl_dispatch *call, const struct slc_move *job,
                                int64_t rows);

/* Checked calls; the device's context is entered. */
sluice_status slc_dispatch_count(struct sl_dispatch *call);
sluice_status slc_dispatch_send(struct sl_dispatch *call);
sluice_status slc_dispatch_fixed(struct sl_dispatch *call);

#endif
