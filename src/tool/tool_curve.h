/* How the balance falls as a plan's moves are done one after the other. */
#ifndef SL_TOOL_CURVE_H
#define SL_TOOL_CURVE_H

#include "tool_plan.h"

/* After none, one, ... of the moves; a swap is two slots and one point. Balance as the plan judges
 * it, greatest rank load / mean of the worst window in each layer, over layers that saw tokens. */
struct sl_curve {
    int32_t points;
    double *slots, *sent; /* written; of these, from another rank */
    double *mean, *worst;
};

/* Returns 0, or -1 with a line in err; sl_curve_free releases what there is either way. */
int sl_curve_of(const struct sl_plan_case *c, const struct sl_counts *windows, int32_t count,
                const struct sl_placement *current, const struct sl_moves *moves,
                struct sl_curve *curve, char *err, size_t n);
void sl_curve_free(struct sl_curve *curve);

/* Up to `most` points that show it: the first and last, and at 1, 2, 5, 10 ... slots. Into at;
 * returns how many. */
int32_t sl_curve_pick(const struct sl_curve *curve, int32_t *at, int32_t most);

#endif
