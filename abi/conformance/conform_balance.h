/* SPDX-License-Identifier: Apache-2.0
 * Problems of sluice.balance/1 that the cases draw, and the plugin's answers to them. */
#ifndef CONFORM_BALANCE_H
#define CONFORM_BALANCE_H

#include "../ext/balance.h"
#include "conform.h"

enum { CB_EXPERTS = 16, CB_SLOTS = 4, CB_RANKS = 12, CB_PHYSICAL = CB_SLOTS * CB_RANKS };

struct cb_problem {
    int32_t ranks, shared;
    int32_t map[CB_PHYSICAL], node[CB_RANKS];
    uint8_t alive[CB_RANKS];
    int64_t counts[CB_RANKS * CB_EXPERTS], tokens[CB_RANKS];
};

struct cb_answer {
    sluice_balance_answer out;
    int64_t routed[CB_RANKS * CB_PHYSICAL], shared[CB_RANKS * CB_RANKS];
    uint8_t cut[CB_RANKS];
};

/* The plugin's table; the case is skipped where it has none. */
const sluice_balance_api *cb_api(void);

/* At least 5 ranks; hot experts, extra copies, three ranks a node. */
void cb_draw(struct cb_problem *problem, uint64_t seed, int32_t ranks, int32_t shared);

/* All sources; cb_solve fails the case where it is refused. */
sluice_status cb_try(const struct cb_problem *problem, const sluice_balance_config *config,
                     struct cb_answer *answer, char *text, size_t size);
void cb_solve(const struct cb_problem *problem, const sluice_balance_config *config,
              struct cb_answer *answer);

/* Quota of source's choices for physical expert p. */
int64_t cb_routed(const struct cb_problem *problem, const struct cb_answer *answer, int32_t source,
                  int32_t p);

#endif
