/* SPDX-License-Identifier: Apache-2.0
 * What the kernels of the step balance are told (src/core/sl_balance.h); one struct by value.
 * Pointers are the device's. An entry is an expert, or where another policy picks the copies a
 * physical expert; a row of counts is [entries + 1], the last the source's rows with shared
 * columns. */
#ifndef SLC_BALANCE_JOB_H
#define SLC_BALANCE_JOB_H

#include "kernel_job.h"
#include "meet_job.h"

/* As sluice_costs. */
struct slc_costs {
    int64_t expert_ps, row_ps, near_ps, far_ps;
    int32_t add, reserved;
};

/* The problem of one layer. Source s is the s-th living rank; with `alone` there is one source,
 * this rank, and where rank is -1 it is of no rank. */
struct slc_balance {
    const int32_t *start, *copies; /* of living copies: [E+2], [P+1]; by_copy: not read */
    const int32_t *living; /* how many ranks live, then their ids: a graph may outlive them */
    const int32_t *leader; /* [ranks] as sl_balance_leaders */
    struct sl_ids counts;  /* [sources][entries + 1] */
    int32_t entries, slots, ranks, physical;
    int32_t rank;
    int32_t alone, by_copy;
    int32_t nodes; /* there are several */
    int32_t shared, level, objective;
    /* out, of this rank: */
    int64_t *quota;   /* [P] of each of `copies`; by_copy: not written */
    int64_t *whole;   /* [P] the same of all sources */
    int64_t *columns; /* [ranks] shared columns to each rank; iff level and F > 0 */
    int32_t *column;  /* [SL_MAX_SHARED] as in sl_quotas; iff level and F > 0 */
    void *scratch;    /* slc_balance_bytes; NULL: they lie in the block's shared memory */
    /* COST */
    struct slc_costs costs;
    void *cost_scratch; /* slc_cost_bytes */
};

/* What a call's rows get, and how they are counted: by tiles of rows, a warp each, in row order. */
struct slc_balance_call {
    int32_t *tiles;     /* [tile_count][entries + 1]: counts, then sums over the tiles before;
                         * by_copy: [tile_count], of the last entry alone, the valid rows */
    int32_t *own;       /* [entries + 1] this rank's row; by_copy: comes zeroed */
    int64_t *step;      /* how often counts came; NULL: not by calls */
    uint32_t *finished; /* blocks of the count that have ended; 0 between launches */
    int32_t *call;      /* [P] quotas of this call, of each of `copies` */
    int64_t *line;      /* [ranks] shared columns of this call up to and with each rank */
    int32_t *stale;     /* STALE: 1: counts have come since the quotas were made; else NULL */
    uint64_t *counters; /* [P] what the call's quotas are added to; NULL: nowhere */
    /* [P] this call's choices by copy, of whichever copies, where it has no ids that could be
     * counted; NULL: job.in_ids are */
    const uint64_t *drawn;
    int32_t tile_rows, tile_count;
    int32_t visited_only, reserved;
};

/* One parameter for all kernels of a call. job.in_ids: what was chosen; by_copy: what the dispatch
 * or the recorder gets already. */
struct slc_balance_pass {
    struct slc_job job;
    struct slc_balance balance;
    struct slc_balance_call call;
    struct slc_meet meet; /* NOW */
};

/* STALE: one step's counts for a window. */
struct slc_balance_step {
    struct sl_ids counts;          /* [max ranks, E], or [1, E]: the sum, shared out evenly */
    const int32_t *start, *copies; /* of living copies */
    const int32_t *living;         /* how many ranks live, then their ids */
    int32_t *window;               /* [steps][living][entries + 1], the oldest at *next */
    int64_t *sums;                 /* [living][entries + 1] over the window */
    int64_t *step;                 /* how often counts came */
    int32_t *next, *stale;
    uint64_t *rejected;
    int64_t most; /* that a row of counts may add up to */
    int32_t experts, entries, ranks, reserved;
    int32_t steps, top_k;
    int32_t sum, by_copy; /* sum: there is one row for all */
};

enum {
    SLC_BALANCE_THREADS = 256,
    SLC_BALANCE_WARPS = SLC_BALANCE_THREADS / SLC_WARP,
    SLC_PLACE_THREADS = 128,
    SLC_MOST_TILES = 128,
    SLC_LEAST_TILE_ROWS = 16
};

/* The solver's scratch, aligned to 8. */
SL_INLINE int64_t slc_balance_bytes(int64_t entries, int64_t ranks, int64_t physical)
{
    int64_t wide = 2 * (entries + 1) + 2 * physical + 5 * ranks;
    int64_t narrow = 2 * entries + 3 * physical + 6 * ranks;
    return 8 * wide + (4 * narrow + 7) / 8 * 8;
}

/* What COST's solver has beside it, aligned to 8. */
SL_INLINE int64_t slc_cost_bytes(int64_t ranks)
{
    return ranks * (8 * SLC_BALANCE_WARPS + 8);
}

#endif
