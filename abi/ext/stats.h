/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLUICE_EXT_STATS_H
#define SLUICE_EXT_STATS_H

#include "../../plugin.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* sluice.stats/1: what the context has done, and what it refused. */
#define SLUICE_EXT_STATS "sluice.stats/1"

enum {
    SLUICE_OP_TOPK = 0,
    SLUICE_OP_REMAP = 1,
    SLUICE_OP_RECORD = 2,
    SLUICE_OP_WEIGHTS = 3,
    SLUICE_OP_DISPATCH = 4, /* FIXED, and COUNT + SEND as one */
    SLUICE_OP_COMBINE = 5,
    SLUICE_OP_ROUTE = 6, /* counts as itself, not as the three */
    SLUICE_OP_COUNT = 8
};

typedef struct sluice_stats {
    size_t struct_size;
    uint64_t calls[SLUICE_OP_COUNT];       /* that returned OK or OVERFLOW */
    uint64_t rejected[SLUICE_OP_COUNT];    /* ids out of range, by the operation that met them */
    uint64_t nanoseconds[SLUICE_OP_COUNT]; /* of the host; counted while timing is on */
    uint64_t dead;                         /* choices whose expert has no living copy */
    uint64_t overflows;                    /* fixed dispatches that dropped something */
    uint64_t dispatch_useful;              /* payload bytes that went to other ranks */
    uint64_t dispatch_moved;               /* all bytes that went to other ranks for them */
    uint64_t combine_useful;
    uint64_t combine_moved;
} sluice_stats;
SLUICE_ASSERT_ENDS_WITH(sluice_stats, combine_moved);

typedef struct sluice_stats_api {
    size_t struct_size;
    /* Copies the numbers; struct_size says how many the caller knows. [waits]: not in every step.
     * [any thread] */
    sluice_status (*read)(sluice_context *context, sluice_stats *stats);
    sluice_status (*reset)(sluice_context *context);
    /* Time is off at open: the hot path then never reads the clock. */
    sluice_status (*set_timing)(sluice_context *context, int32_t on);
} sluice_stats_api;
SLUICE_ASSERT_ENDS_WITH(sluice_stats_api, set_timing);

#if defined(__cplusplus)
}
#endif
#endif
