/* SPDX-License-Identifier: Apache-2.0
 * The counts that a dispatch carries for the step balance, mode STALE: behind the head and the
 * counts of the messages that job->out and in have. Nothing is launched where the layer has none;
 * the device's context is entered. */
#ifndef SLC_CARRY_H
#define SLC_CARRY_H

#include "cu_mover.h"

/* Where in a message they lie, and how long they are: 0 where there are none. */
int64_t slc_carry_at(const struct slc_move *job);
int64_t slc_carry_bytes(const struct sl_dispatch *call);

/* The form of a message without them, and which they are. */
uint64_t slc_carry_form(const struct sl_dispatch *call, uint64_t form);

/* After lay_out: this rank's row into the message to every other. */
slcu_result slc_carry(const struct sl_dispatch *call, const struct slc_move *job);

/* After lay_rows, which has seen whether the messages belong together: the rows that came, and this
 * rank's, into the window. */
slcu_result slc_take_carried(const struct sl_dispatch *call, const struct slc_move *job);

#endif
