/* SPDX-License-Identifier: Apache-2.0
 * Rows that every rank sends to every other, each with a head in front that says which call it
 * belongs to. */
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
    char *mine;     /* this rank's row: head, then what is shared */
    char *rows;     /* [peers] rows; this rank's own comes there at the end */
    int64_t stride; /* bytes of a row, a multiple of 8 */
};

#endif
