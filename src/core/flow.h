/* SPDX-License-Identifier: Apache-2.0
 * The exact min-max of a layer's load over ranks (BALANCE.md 1): each expert's load is shared out
 * over the ranks that hold a copy, `spread` units over all living ranks. Everything in whole
 * units.
 *
 * How, step by step, so that another processor can give the same integers:
 * 1. Experts with one rank add to that rank's base. Every other expert, in rising order, is poured
 *    over its ranks like water; then once more, its own load lifted out before.
 * 2. The level z begins as a bound: everything / living ranks rounded up, or the greatest base.
 * 3. Load moves from ranks above z to ranks below z along shortest paths, rank to rank over an
 *    expert that both hold: Dinic's blocking flows (1970). Levels come from a breadth-first search
 *    that begins with all ranks above z and ends with the level of the first rank below it. Then
 *    each rank above z in rising order walks towards it, copies in rising order, with a cursor for
 *    each rank and each expert that never goes back in a phase. A path carries all it can, and the
 *    next begins at the same rank again.
 * 4. If a rank stays above z, what it reaches is a cut: z becomes (load of the cut) / (its ranks)
 *    rounded up, which nobody can be below, and step 3 goes on from where it is. This is Newton's
 *    method on cuts: each one has fewer ranks than the one before.
 * 5. The spread fills the ranks up to z, in rising order. */
#ifndef SL_FLOW_H
#define SL_FLOW_H

#include <stddef.h>
#include <stdint.h>

struct sl_flow_problem {
    int32_t experts, ranks; /* at least one rank lives */
    const int32_t *start;   /* [experts + 1] into holder */
    const int32_t *holder;  /* [start[experts]] rank of each copy on a living rank, ascending within
                             * an expert; the same rank twice is one place to serve it */
    const int64_t *load;    /* [experts] >= 0; an expert without a holder must have 0 */
    const uint8_t *alive;   /* [ranks]; NULL: all */
    const int64_t *base;    /* [ranks] load that is there already, 0 on dead ranks; NULL: none */
    int64_t spread;         /* units that any living rank may serve */
};

/* Caller's arrays, each may be NULL. */
struct sl_flow_answer {
    int64_t *share;   /* [start[experts]] of each copy; of two on one rank the first has it all */
    int64_t *spread;  /* [ranks] */
    uint8_t *cut;     /* [ranks] the minimum cut, of living ranks */
    int64_t greatest; /* of the fullest rank: the optimum of whole units */
    int64_t only;     /* load that only the cut's ranks can serve: only / cut_size rounded up is
                       * `greatest`. For the optimum of fractions scale the loads up. */
    int32_t cut_size;
};

/* Scratch, aligned to 8. copies: start[experts]. */
size_t sl_flow_bytes(int32_t experts, int32_t ranks, int32_t copies);

/* The loads and the spread may not add up to 2^63. With C copies of experts that have several, and
 * n = min(ranks, such experts): a phase of step 3 costs at most O(C * n) and each level z needs at
 * most n + 1 phases; there are at most `ranks` levels. In practice a handful of phases in all. */
void sl_flow_solve(const struct sl_flow_problem *problem, struct sl_flow_answer *answer,
                   void *scratch);

#endif
