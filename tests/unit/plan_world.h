/* Requests for sluice.plan/1 and what every plan must hold to. */
#ifndef PLAN_WORLD_H
#define PLAN_WORLD_H

#include <stdbool.h>

#include "abi/ext/plan.h"

enum { PLAN_LAYERS = 64, PLAN_WINDOWS = 4, PLAN_RANKS = 144 };

/* A request with its parts; everything it points at lives until the test ends. */
struct plan_world {
    sluice_plan_request request;
    sluice_plan_layer layers[PLAN_LAYERS];
    sluice_plan_window windows[PLAN_WINDOWS];
    const sluice_plan_layer *layer_list[PLAN_LAYERS];
    const sluice_plan_window *window_list[PLAN_WINDOWS];
    int32_t node[PLAN_RANKS];
    uint8_t alive[PLAN_RANKS];
};

const sluice_plan_api *plan_api(void);

/* Equal layers without a map, one window [layers * experts], LEVEL to 1.01. */
struct plan_world *plan_world_make(int32_t layers, int32_t experts, int32_t slots, int32_t ranks,
                                   const int64_t *counts);

/* Makes a plan that lives until the caller releases it; records the failure with its text. */
sluice_plan *plan_make(const struct plan_world *world);

/* maps[l] [P]: the plan's; `before` too where not NULL. */
int32_t *plan_map(const sluice_plan *plan, const struct plan_world *world, int32_t layer);
sluice_plan_summary plan_summary(const sluice_plan *plan);
sluice_move *plan_moves(const sluice_plan *plan, int64_t *count);

/* Follows the moves one by one from the request's maps, and compares: sources hold what they give,
 * no expert's last living copy goes, dead ranks are left alone, no rank gets a second copy of an
 * expert, the end is the plan's map and the sums are those of the summary. */
void plan_check(const sluice_plan *plan, const struct plan_world *world);

#endif
