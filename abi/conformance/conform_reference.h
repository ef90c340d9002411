/* SPDX-License-Identifier: Apache-2.0
 * What the operations must give, written from the guide in double and in the plainest way, without
 * a look at any backend. */
#ifndef CONFORM_REFERENCE_H
#define CONFORM_REFERENCE_H

#include "conform.h"

enum { REF_COLUMNS = 4096, REF_K = 64, REF_SHARED = 8, REF_RANKS = 64 };

/* ------------------------------------------------------------------------------- topk, one row */

struct ref_row {
    const sluice_router *router;
    const double *logits;        /* [E+Z] */
    const double *bias;          /* [E+Z] or NULL */
    const double *expert_scale;  /* [E+Z] or NULL */
    const double *shared_logits; /* [shared_columns] or NULL */
    int32_t shared_columns;
    const int64_t *forced; /* [K] or NULL */
    bool padding;
};

struct ref_choice {
    int64_t ids[REF_K];
    double weights[REF_K];
    double shared[REF_SHARED];
    double zero;
    /* The least distance between two rank values, or two groups' values, that decided something. */
    double margin;
};

void ref_choose(const struct ref_row *row, struct ref_choice *choice);

/* ---------------------------------------------------------------------------------- placement */

struct ref_shape {
    int32_t experts, slots, ranks, shared, rank; /* E N W F */
};

static inline int32_t ref_local(const struct ref_shape *shape)
{
    return shape->slots + shape->shared;
}

static inline int32_t ref_physical(const struct ref_shape *shape)
{
    return shape->slots * shape->ranks;
}

static inline int64_t ref_slot(const struct ref_shape *shape, int64_t physical)
{
    return physical / shape->slots * ref_local(shape) + physical % shape->slots;
}

static inline int64_t ref_shared_slot(const struct ref_shape *shape, int32_t rank, int32_t j)
{
    return (int64_t)rank * ref_local(shape) + shape->slots + j;
}

/* ---------------------------------------------------------------------- waterfill, whole call */

struct ref_waterfill {
    const struct ref_shape *shape;
    bool dynamic;
    int32_t top_k;
    int64_t rows;            /* of this rank's call, padding included */
    const int64_t *physical; /* [rows, K] recorder ids of this rank */
    const int64_t *loads;    /* dynamic: [W] routed choices of all ranks, by destination */
    const int64_t *tokens;   /* dynamic: [W] valid tokens of each rank */
};

/* The rank of each row's shared columns into [rows], -1 for a row without a valid choice. */
void ref_waterfill(const struct ref_waterfill *call, int32_t *ranks);

#endif
