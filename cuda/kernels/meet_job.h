/* SPDX-License-Identifier: Apache-2.0
 * One all-gather of rows, each with a head in front that says which call it belongs to. */
#ifndef SLC_MEET_JOB_H
#define SLC_MEET_JOB_H

#include "move_job.h"

/* told NULL: this rank is alone, and meets nobody. Other members as in slc_move. */
struct slc_meet {
    struct slc_exchange call;
    struct slc_found *found;
    struct slc_told *told;
    const int32_t *living;
    int32_t peers, own;
    char *mine;       /* this rank's row: head, then what is shared */
    const char *rows; /* [peers] rows */
    int64_t stride;   /* bytes of a row */
};

#endif
