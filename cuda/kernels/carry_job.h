/* SPDX-License-Identifier: Apache-2.0
 * The counts of the step balance, mode STALE, that a dispatch carries: a row of this rank behind
 * what each peer gets, and the rows of all into the layer's window (balance_job.h). One struct by
 * value; pointers are the device's. */
#ifndef SLC_CARRY_JOB_H
#define SLC_CARRY_JOB_H

#include "move_job.h"

struct slc_carried {
    const struct slc_found *found;
    const int32_t *totals, *wanted; /* as in slc_move */
    const int32_t *start, *copies;  /* of living copies: [E+2], [P+1]; by_copy: not read */
    int32_t *row;                   /* [entries + 1] this rank's */
    char *out;                      /* of peer p at p * out_stride; so in `in`, but for its own */
    const char *in;
    int64_t out_stride, in_stride;
    int32_t *window; /* [steps][peers][entries + 1], the oldest at *next */
    int64_t *sums;   /* [peers][entries + 1] over the window */
    int64_t *step;   /* how often counts came */
    int32_t *next, *stale;
    int32_t entries, steps, by_copy;
    int32_t slots, local, shared, ranks; /* N, L, F as slots, W */
    int32_t peers, own;
};

enum { SLC_CARRY_WARPS = 8 };

#endif
