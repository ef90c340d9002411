/* SPDX-License-Identifier: Apache-2.0
 * One layer's step balance (BALANCE.md 1): from counts to quotas, which say how many of a source's
 * choices of an expert each copy takes, and how many of its shared columns each rank.
 *
 * 1. How much each copy serves in all: TOKENS by the flow over choices and shared columns, EXPERTS
 *    by the flow over ones (every active expert is a unit, so whole units are a semi-matching),
 *    COST from the better of both (TOKENS' where they are equal) by at most 64 moves that shorten
 *    the slowest rank's time: the lowest such rank, its copies by rising expert, each to the other
 *    copies in rising order, all of it or half of what the two ranks' times differ by in rows. The
 *    best move is made: least time, then fewest ranks that take it; the first of equals.
 * 2. Who takes whose: each expert's sources share its copies out. First every source takes from
 *    its own rank's, then in rising order from its node's, then in rising order from any. Shared
 *    columns in the same way from the room that is left below the greatest load. */
#ifndef SL_BALANCE_H
#define SL_BALANCE_H

#include "../../abi/ext/balance.h"

/* Every array the caller's. Nothing of a dead rank is read. */
struct sl_balance {
    int32_t experts; /* E; where another policy picked the copies, P: each is its only copy */
    int32_t slots, ranks;
    int32_t shared; /* F */
    int32_t level;  /* 1: shared columns may go to any living rank; 0: they stay at home */
    int32_t objective;
    const sluice_costs *costs; /* iff COST */
    const uint8_t *alive;      /* [ranks] at least one */
    const int32_t *leader;     /* [ranks] lowest rank of the rank's node (sl_balance_leaders) */
    const int32_t *start;      /* [experts + 1] into copies */
    const int32_t *copies;     /* physical experts on living ranks, ascending for each expert */
    int32_t sources;           /* rows of counts */
    const int32_t *source;     /* [sources] their rank, ascending; -1: of no rank, then the only */
    const int64_t *counts;     /* [sources] rows of `experts`, `stride` apart; what an expert
                                * without a copy got is left out */
    const int64_t *tokens;     /* [sources] token_stride apart: rows with shared columns */
    int64_t stride, token_stride;
};

/* Arrays are the caller's, each optional, and come filled with zeros. */
struct sl_quotas {
    int32_t first, count; /* sources whose quotas are wanted */
    int64_t *routed;      /* [count][slots * ranks] */
    int64_t *shared;      /* [count][ranks] */
    int32_t *column;      /* [count][SL_MAX_SHARED] rank of a source's shared column j. Entry 0 is
                           * -1: any; columns in row order fill the ranks' quotas */
    int64_t *whole;       /* [slots * ranks] of all sources */
    uint8_t *cut;         /* [ranks] zeros for COST */
    int64_t greatest, bound;
};

/* The lowest rank with the same node, for each rank. */
void sl_balance_leaders(int32_t ranks, const int32_t *node, int32_t *leader);

/* Scratch, aligned to 8; copies: start[experts]. */
size_t sl_balance_bytes(int32_t experts, int32_t ranks, int32_t copies);

/* All counts, and shared columns, together below 2^62; COST: their time too. */
void sl_balance_solve(const struct sl_balance *balance, struct sl_quotas *quotas, void *scratch);

/* Wants ranks first ... first + count - 1: sets quotas->first and count to the sources among
 * them. */
void sl_balance_want(const struct sl_balance *balance, int32_t first, int32_t count,
                     struct sl_quotas *quotas);

/* Afterwards: moves the rows of routed and shared from the sources' places to the ranks', so that
 * row i is rank first + i; ranks that are no source have zeros. */
void sl_balance_spread(const struct sl_balance *balance, int32_t first,
                       const struct sl_quotas *quotas);

#endif
