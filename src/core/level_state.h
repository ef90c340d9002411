/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the search for a level placement share. */
#ifndef SL_LEVEL_STATE_H
#define SL_LEVEL_STATE_H

#include "level.h"

/* The map, with the copies of each expert; loads are not touched. */
void sl_level_link(struct sl_level *level, int32_t slot, int32_t expert);
void sl_level_unlink(struct sl_level *level, int32_t slot);
bool sl_level_has(const struct sl_level *level, int32_t rank, int32_t expert);

/* Every expert's load laid on its copies anew, as a start. */
void sl_level_spread(struct sl_level *level);

/* `expert` takes the slot; what the slot served goes to that expert's other copies, if any. The
 * expert itself serves nothing there yet. */
void sl_level_put(struct sl_level *level, int32_t slot, int32_t expert);

/* The contents of two slots change places, with what they serve. */
void sl_level_swap(struct sl_level *level, int32_t p, int32_t q);

/* Moves load along copies until no rank that is too full can pass any on. Returns what is above the
 * caps then, in means, over all windows: 0 where every window can be served under its cap. */
double sl_level_settle(struct sl_level *level);

/* Loads of before a trial, and back to them. Links are the caller's to put back. */
void sl_level_save(struct sl_level *level);
void sl_level_back(struct sl_level *level);

/* The search must end: work or `stop`. */
bool sl_level_ended(struct sl_level *level);

/* Tries what lowers `excess` (of a settled state) most for a slot, and does it: one slot written,
 * or two that change places. Returns how many slots, into slot[], 0: nothing helps; *excess is what
 * is left. With excess 0 left, of all such tries the most level. */
int32_t sl_level_step(struct sl_level *level, double *excess, int32_t slot[2]);

/* An expert without a copy gets one; the slot, or -1. */
int32_t sl_level_restore(struct sl_level *level, int32_t expert);

#endif
