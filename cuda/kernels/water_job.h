/* SPDX-License-Identifier: Apache-2.0
 * What the kernels of SGLang's waterfill are told (src/core/waterfill.c); one struct by value.
 * Pointers are the device's. */
#ifndef SLC_WATER_JOB_H
#define SLC_WATER_JOB_H

#include "kernel_job.h"
#include "meet_job.h"

enum { SLC_WATER_THREADS = 128, SLC_WATER_ROWS = 32 }; /* of a block; of a warp */

/* Where a call's shared columns may go; see sl_waterfill. */
struct slc_water_plan {
    int32_t all, full;
};

struct slc_water {
    struct slc_job job;  /* in_ids: what is counted: dispatch_ids where they are asked for, else
                          * recorder_ids */
    int64_t *counted;    /* [ranks + 1] this rank's choices by destination rank, then its rows; 0
                       * between calls */
    const int64_t *said; /* [said_rows] the same of all living ranks, said_stride apart; static, or
                          * where this rank is alone: counted */
    int64_t said_stride;
    struct slc_meet meet; /* dynamic */
    int64_t *line;        /* [ranks] loads, or running sums of room */
    int64_t *rooms;       /* [ranks] where visited ranks are the candidates */
    struct slc_water_plan *plan;
    uint32_t *finished; /* blocks of the count that have ended; 0 between launches */
    /* dynamic, where neither is asked for: [P] the choices by copy; NULL: in_ids are counted */
    const uint64_t *drawn;
    uint64_t *counters; /* [P] what drawn is added to; NULL: nowhere */
    int32_t said_rows, dynamic;
    int32_t few;         /* 1: shared columns stay at home */
    int32_t width, rows; /* count: lanes to a row, a power of 2 from K on, at most 32; rows of a
                          * warp */
};

/* Dynamic shared memory of the placing block. */
SL_INLINE int32_t slc_water_bytes(const struct slc_water *water)
{
    return water->dynamic ? SLC_WATER_THREADS * (water->job.rule.top_k + 1) * 4 : 0;
}

#endif
