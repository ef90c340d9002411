/* SPDX-License-Identifier: Apache-2.0
 * The counts that a dispatch carries for the step balance, mode STALE. Nothing is launched where
 * the layer has none; the device's context is entered. */
#ifndef SLC_CARRY_H
#define SLC_CARRY_H

#include "cu_mover.h"

bool slc_carries(const struct sl_dispatch *call);

/* After lay_out: this rank's row, sl_balance_carried of int32, into the message to every other peer
 * p, at out + p * stride. */
slcu_result slc_carry(const struct sl_dispatch *call, const struct slc_move *job, char *out,
                      int64_t stride);

/* After lay_rows, which has seen whether the messages belong together: the rows that came at
 * in + p * stride, and this rank's, into the window. */
slcu_result slc_take_carried(const struct sl_dispatch *call, const struct slc_move *job,
                             const char *in, int64_t stride);

#endif
