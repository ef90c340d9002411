/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLUICE_EXT_PLACEMENT_H
#define SLUICE_EXT_PLACEMENT_H

#include "../../plugin.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* sluice.placement/1: which logical expert each physical expert holds, and what that means for the
 * rows of this rank's weight tensors. The engine may bring its own placement; weights are loaded
 * and reloaded by these answers, never by assuming that row i is expert i. */
#define SLUICE_EXT_PLACEMENT "sluice.placement/1"

/* What a local row holds: a logical expert e >= 0, shared expert j as SLUICE_ROW_SHARED(j), or
 * nothing. */
#define SLUICE_ROW_EMPTY (-1)
#define SLUICE_ROW_SHARED(j) (-2 - (j))

typedef struct sluice_placement_shape {
    size_t struct_size;
    int32_t experts;        /* E */
    int32_t slots_per_rank; /* N */
    int32_t ranks;          /* max_ranks, the dead and the reserved included: P = N * ranks */
    int32_t shared;         /* F as slots: 0 where the shared policy is NOT_FUSED */
    int32_t rank;           /* this rank */
    int32_t bank;           /* the layer that owns the experts */
    int64_t epoch;          /* of the placement in force; 0 at open, + 1 with each set and commit */
} sluice_placement_shape;
SLUICE_ASSERT_ENDS_WITH(sluice_placement_shape, epoch);

typedef struct sluice_placement_api {
    size_t struct_size;

    /* The layer's numbers. Errors: INVALID. */
    sluice_status (*shape)(sluice_context *context, int32_t layer, sluice_placement_shape *shape);

    /* Is `map` [count] a placement of `experts` over `ranks`? count = P must be a multiple of
     * ranks, every entry in [0, experts) or -1 (an empty slot), every expert there. No context. On
     * INVALID `text` names layer, slot and value, or the expert that is missing. [any thread] */
    sluice_status (*validate)(int32_t layer, int32_t experts, int32_t ranks, const int32_t *map,
                              int64_t count, char *text, size_t text_size);

    /* Puts `map` [P] in force for the layer's bank, in the order of `stream`, and rebuilds every
     * table of it from host state (so it also mends tables lost to a sleeping device). What has
     * been counted is first folded into counts by logical expert (read_logical of sluice.load/1),
     * so that no count is read through the wrong map; counters by physical expert begin at 0.
     * epoch: the number of the new placement, equal on all ranks; 0: the present one + 1. Weights
     * must already lie as the map says. While serving, on every rank between the same two steps:
     * record what the old map gave, write the rows that move while nothing of the layer runs, `set`
     * with the same map and epoch, go on. Ranks whose epochs or maps differ get MISMATCH at the
     * next exchange. An expert may be without a living copy, not without a copy. Not collective.
     * [waits]; refuses a capture without harm to it.
     * Errors: INVALID (as validate), BUSY (the layer moves), STALE (epoch has passed),
     * NOT_CAPTURABLE (`stream` is being captured). */
    sluice_status (*set)(sluice_context *context, int32_t layer, const int32_t *map, int64_t count,
                         int64_t epoch, void *stream);

    /* The map in force, into [P]; *epoch may be NULL. */
    sluice_status (*get)(sluice_context *context, int32_t layer, int32_t *map, int64_t count,
                         int64_t *epoch);

    /* Row -> expert: what each of the L local rows of rank `rank` holds, into [L]. */
    sluice_status (*rows)(sluice_context *context, int32_t layer, int32_t rank, int32_t *holds,
                          int64_t count);

    /* Expert -> rows: the local rows of rank `rank` that hold `expert` (SLUICE_ROW_SHARED(j) asks
     * for a shared one), ascending, into rows [capacity]; *count is how many there are. OVERFLOW if
     * more than capacity. */
    sluice_status (*find)(sluice_context *context, int32_t layer, int32_t rank, int32_t expert,
                          int32_t *rows, int32_t capacity, int32_t *count);

    /* Logical expert -> all its physical experts, ascending, dead ranks' too; as find. */
    sluice_status (*copies)(sluice_context *context, int32_t layer, int32_t expert,
                            int32_t *physical, int32_t capacity, int32_t *count);
} sluice_placement_api;
SLUICE_ASSERT_ENDS_WITH(sluice_placement_api, copies);

#if defined(__cplusplus)
}
#endif
#endif
