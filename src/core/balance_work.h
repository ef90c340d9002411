/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the step balance share. */
#ifndef SL_BALANCE_WORK_H
#define SL_BALANCE_WORK_H

#include <stdbool.h>

#include "flow.h"
#include "rule.h"
#include "sl_balance.h"

/* `units` of source `source` go to copy `copy`, both counted from the first. */
struct sl_part {
    int32_t source, copy;
    int64_t units;
};

struct sl_balance_work {
    const struct sl_balance *balance;
    int32_t *holder;    /* [copies] rank of each */
    int32_t *living;    /* [ranks] ascending */
    int32_t *source_of; /* [ranks] the rank's source, -1: none */
    int32_t *cursor;    /* [ranks] */
    int32_t living_count;
    bool nodes;             /* there are several */
    int64_t tokens;         /* of all sources */
    int64_t *load;          /* [experts] */
    int64_t *active;        /* [experts] 1 or 0 */
    int64_t *share, *other; /* [copies] */
    int64_t *base;          /* [ranks] */
    int64_t *room;          /* [ranks] shared columns that the k-th living rank takes at most;
                              * after EXPERTS what is left of it */
    int64_t *need, *left;   /* [ranks] and the most of ranks and copies: sl_balance_split */
    struct sl_part *parts;  /* as many as sl_balance_split says */
    int64_t *rows, *experts, *traffic;                   /* [ranks] COST: of each rank */
    int64_t *fixed_rows, *fixed_experts, *fixed_traffic; /* of these, what no answer changes */
    uint8_t *serves; /* [ranks] EXPERTS: bit j: serves shared expert j */
    void *flow;
};

/* Shares `need` [sources] out over `left` [count], copies on the ranks `holder`, ascending, whose
 * sum is at least that of need. Both are used up. Gives the number of parts, at most
 * 3 * (ranks + count). */
int32_t sl_balance_split(struct sl_balance_work *work, int32_t count, const int32_t *holder);

/* The same for expert e and work->share. */
int32_t sl_balance_split_expert(struct sl_balance_work *work, int32_t e);

/* The parts of all shared columns; copy k is the k-th living rank. */
int32_t sl_balance_split_shared(struct sl_balance_work *work);

/* EXPERTS: which ranks serve which shared experts, at most room of them each. */
void sl_balance_serve_shared(struct sl_balance_work *work);

/* EXPERTS: the rank that serves shared expert j for a source. */
int32_t sl_balance_server(const struct sl_balance_work *work, int32_t source, int32_t j);

/* COST: the better of the answers work->share (TOKENS) and work->other (EXPERTS), made better
 * still, in work->share. Shared columns stay as room and serves have them. *experts: are they
 * EXPERTS' ones? Gives the time of the slowest rank. */
int64_t sl_balance_improve(struct sl_balance_work *work, bool *experts);

/* COST: what no answer is below. rows, experts: the optima of the two. */
int64_t sl_balance_cost_bound(const struct sl_balance_work *work, int64_t rows, int64_t experts);

#endif
