/* Problems of the min-max flow, and a checker that proves an answer best without knowing how it was
 * found. */
#ifndef FLOW_WORLD_H
#define FLOW_WORLD_H

#include "src/core/flow.h"

#include <stdbool.h>

struct flow_world {
    struct sl_flow_problem problem;
    int32_t *start, *holder;
    int64_t *load;
    uint8_t *alive;
    int64_t *base;
    int64_t *share, *spread; /* of the answer */
    uint8_t *cut;
};

/* Room for `copies` copies; every rank lives, no load. All until the test ends. */
struct flow_world *flow_make(int32_t experts, int32_t ranks, int32_t copies);

/* Copies by map [ranks * slots], -1 empty; those on dead ranks are left out, and the load of an
 * expert without a copy becomes 0. */
void flow_from_map(struct flow_world *world, const int32_t *map, int32_t slots);

/* Random copies, loads, spread and dead ranks; up to `ranks` ranks and `copies` copies. */
struct flow_world *flow_draw(uint64_t *random, int32_t ranks, int32_t experts, int32_t copies);

struct sl_flow_answer flow_solve(struct flow_world *world);

/* Everything is served by its holders, no rank is above `greatest`, and the cut proves that no
 * answer is below. */
void flow_check(const struct flow_world *world, const struct sl_flow_answer *answer);

/* EPLB's idea: the greatest load per copy gets the next copy; the greatest copies first to the
 * least loaded rank with room. map [ranks * slots]. */
void flow_plan(const int64_t *load, int32_t experts, int32_t ranks, int32_t slots, int32_t *map);

/* DeepSeek-R1's counts [layers][256] of a workload, its 58 MoE layers; NULL where they are not. */
int64_t *flow_real_counts(const char *workload, int32_t *layers);

#endif
