/* Plans of whole models through sluice.plan/1. */
#ifndef SL_TOOL_PLAN_H
#define SL_TOOL_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "../../abi/ext/plan.h"
#include "tool_counts.h"

struct sl_plan_case {
    const sluice_plan_api *api;
    int32_t ranks, slots; /* W, N */
    int32_t nodes, groups;
    int32_t shared, top_k;
    int32_t policy;       /* SLUICE_PLAN_LEVEL or _EPLB */
    int64_t budget;       /* slots written in all; 0: without limit */
    double target;        /* greatest / mean at which LEVEL stops; 0: the best */
    int64_t expert_bytes; /* 0: not counted */
    /* What LEVEL judges by: SLUICE_BALANCE_*; for COST what of sluice_costs a window knows; and
     * forward passes in each window, where active experts count. */
    int32_t objective, steps;
    int64_t expert_ps, row_ps;
};

/* Of a plan, in its order. */
struct sl_moves {
    int64_t count;
    sluice_move *move;
};

/* Plans for the first step of each of `windows`, which have the same shape, from `current` (NULL:
 * from nothing). placement, and moves (NULL: not wanted), are the caller's to free. Returns 0, or
 * -1 with a line in err. */
int sl_tool_plan(const struct sl_plan_case *c, const struct sl_counts *windows, int32_t count,
                 const struct sl_placement *current, struct sl_placement *placement,
                 sluice_plan_summary *summary, struct sl_moves *moves, char *err, size_t n);
void sl_moves_free(struct sl_moves *moves);

/* Balance of `map` [N * ranks] under the counts of one layer, of the worst window, as a plan of
 * c->policy judges what it begins with; 0: the layer saw no token. Returns 0, or -1 with a line in
 * err. */
int sl_tool_plan_judge(const struct sl_plan_case *c, const struct sl_counts *windows, int32_t count,
                       int32_t layer, const int32_t *map, double *balance, char *err, size_t n);

/* How many slots a rank the layer needs that needs most to come within c->target in every window;
 * -1: no number does; 0: the plugin does not say. */
int sl_tool_plan_copies(const struct sl_plan_case *c, const struct sl_counts *windows,
                        int32_t count, int32_t *slots, char *err, size_t n);

/* N for `redundant` copies of `experts` on `ranks`, or -1 with a line that says which numbers are
 * possible. */
int32_t sl_tool_plan_slots(int32_t experts, int32_t ranks, int32_t redundant, char *err, size_t n);

/* Reads the placement in force, for counts of file `of` on `ranks`. The caller frees it, also after
 * a failure. Returns 0, or -1 with a line in err. */
int sl_tool_current(const char *path, const struct sl_counts *counts, const char *of, int32_t ranks,
                    struct sl_placement *placement, char *err, size_t n);

#endif
