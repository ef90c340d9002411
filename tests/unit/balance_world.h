/* Problems of sluice.balance/1 as plain numbers, and checkers of answers. */
#ifndef BALANCE_WORLD_H
#define BALANCE_WORLD_H

#include "abi/ext/balance.h"

#include <stdbool.h>

struct balance_world {
    sluice_balance_problem problem;
    sluice_balance_config config;
    sluice_costs costs;
    int32_t physical;
    int32_t *node, *map;
    uint8_t *alive;
    int64_t *counts, *tokens;
    /* the answer, of all sources */
    sluice_balance_answer answer;
    int64_t *routed, *shared;
    uint8_t *cut;
};

const sluice_balance_api *balance_api(void);

/* The trivial map, no counts; until the test ends. */
struct balance_world *balance_make(int32_t experts, int32_t slots, int32_t ranks, int32_t shared);

/* Random copies, nodes, dead ranks and counts. */
struct balance_world *balance_draw(uint64_t *random, int32_t ranks, int32_t slots, int32_t shared);

/* The answer for all sources. */
void balance_solve(struct balance_world *world);

/* What holds for every objective: quotas add up, nothing is at a dead rank, each source took its
 * own rank's quotas first, then its node's, then in rising order. */
void balance_check(const struct balance_world *world);

/* rows [ranks], experts [ranks] (each may be NULL) of an answer; shared experts as one where there
 * is at most one of them. */
void balance_loads(const struct balance_world *world, int64_t *rows, int64_t *experts);

/* Does the cut prove `bound`, when expert e weighs load[e] and anyone may serve `spread`? */
void balance_check_cut(const struct balance_world *world, const int64_t *load, int64_t spread);

/* Load of each expert that has a living copy, of living sources. */
int64_t *balance_expert_load(const struct balance_world *world);
int64_t balance_all_tokens(const struct balance_world *world);

/* The slowest rank's time under config's costs. */
int64_t balance_time(const struct balance_world *world, const sluice_costs *costs);

#endif
