/* SPDX-License-Identifier: Apache-2.0
 * From chosen experts to slots: a block of dense rows, SEMANTICS "remap". */
#ifndef SL_REMAP_H
#define SL_REMAP_H

#include "place.h"

/* How this call maps. */
struct sl_remap {
    const struct sl_shape *shape;
    const struct sl_place *place;
    int32_t top_k;
    int32_t copy_policy;         /* SLUICE_COPY_STATIC, RANDOM; BALANCED: logical ids come out */
    int32_t by_row;              /* 1: every rank computes every row */
    int32_t living;              /* number of living ranks */
    const int32_t *living_ranks; /* [living] ascending */
    float shared_constant; /* weight of a shared column without shared weights, divided already */
    float shared_divisor;
    uint64_t seed;
    int32_t layer; /* the caller's layer: draws differ between layers that share a bank */
    int32_t reserved;
    int64_t step;
    int64_t row_base;
};

/* Dense outputs of a block; any may be NULL but physical. None may overlap an input. */
struct sl_mapped {
    int32_t *physical; /* [count * K] recorder ids */
    int32_t *slots;    /* [count * (K+F)] dispatch ids, shared columns at home */
    float *weights;    /* [count * (K+F)]; needs weights in */
};

struct sl_remap_tally {
    uint64_t rejected; /* ids outside [0, E) but -1 */
    uint64_t dead;     /* experts without a living copy */
};

/* Rows first ... first+count-1 of the call. valid [count] says which are no padding. ids, weights,
 * shared (NULL: the constant): dense, of the block. A padding row is -1 in every column, weight 0.
 * Adds to the tally.
 * A random draw is Philox keyed by the seed with layer and column / 4 in its upper half, counted by
 * step and global row; column % 4 picks the word. */
void sl_remap_block(const struct sl_remap *remap, int64_t first, int32_t count,
                    const uint8_t *valid, const int32_t *ids, const float *weights,
                    const float *shared, const struct sl_mapped *out, struct sl_remap_tally *tally);

/* by_row: the rank that serves the shared and zero experts of row `row` of the call. */
int32_t sl_serving_rank(const struct sl_remap *remap, int64_t row);

/* ---- SGLang's waterfill: gives shared columns another rank. SEMANTICS, last section. */

/* With fewer rows in the call, padding included, shared columns stay at home. */
enum { SL_WATERFILL_LEAST = 64 };

/* ranks, source and alive are the caller's, the rest is sl_waterfill_plan's. */
struct sl_waterfill {
    int32_t ranks;  /* W */
    int32_t source; /* this rank */
    int32_t all;    /* every rank is a candidate */
    int32_t full;   /* all, and none has room: the rank for every row; else -1 */
    int64_t target;
    const int64_t *load;  /* [W]; all, and some have room: running sums of room */
    const uint8_t *alive; /* [W]; the dead are never candidates */
};

/* Routed choices of a block by destination rank, added to load [W]. */
void sl_waterfill_count(const struct sl_shape *shape, int64_t entries, const int32_t *physical,
                        int64_t *load);

/* The plan of a call from its choices by destination rank, load [W], which the plan keeps and
 * rewrites. tokens [W]: each rank's rows (dynamic: load is all ranks' sum); NULL: static, load is
 * this rank's own. */
void sl_waterfill_plan(struct sl_waterfill *plan, int64_t *load, const int64_t *tokens,
                       int32_t top_k, int32_t shared);

/* The last part of sl_waterfill_plan: target, all and load as they stand. */
void sl_waterfill_ready(struct sl_waterfill *plan, int64_t *load);

/* Rank of the shared columns of row t of the call, -1 for a row without a valid choice. */
int32_t sl_waterfill_rank(const struct sl_waterfill *plan, const struct sl_shape *shape, int64_t t,
                          int32_t top_k, const int32_t *physical);

#endif
