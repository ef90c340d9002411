/* SPDX-License-Identifier: Apache-2.0
 * Draft: not served yet; may change before its first release. */
#ifndef SLUICE_EXT_EPLB_H
#define SLUICE_EXT_EPLB_H

#include "migrate.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* sluice.eplb/1: one call a step that drives load, plan and migrate: window after window it sums
 * the counters, plans, and moves if that pays. An engine that calls `tick` needs none of the three.
 * Needs SLUICE_USE_SUMMED_LOAD and SLUICE_USE_MIGRATE, and registered weights. */
#define SLUICE_EXT_EPLB "sluice.eplb/1"

enum {
    SLUICE_EPLB_STOPPED = 0, /* not started, paused, or ended by an error; serving goes on */
    SLUICE_EPLB_RECORDING = 1,
    SLUICE_EPLB_SUMMING = 2,
    SLUICE_EPLB_PLANNING = 3,
    SLUICE_EPLB_MIGRATING = 4
};

/* Equal on all ranks. */
typedef struct sluice_eplb_config {
    size_t struct_size;
    int64_t window_steps; /* steps a window lasts; default 1024 */
    int64_t skip_steps;   /* first steps that are not counted: warm-up; default 0 */
    int32_t windows;      /* last windows that a plan looks at, the worst counts; default 1 */
    int32_t policy;       /* SLUICE_PLAN_LEVEL or _EPLB */
    double above;         /* plan only where balance (greatest / mean, as sluice.plan/1 has it) is
                           * above this; default 1.05 */
    double target;        /* and until it is this; default 1.01 */
    const sluice_plan_budget *budget; /* of one migration; optional, copied */
    const sluice_costs *costs;        /* a plan must pay by these; optional, copied */
    int64_t pay_steps;                /* within so many steps; default window_steps */
    int64_t plan_work;                /* units of planning in one tick; default 0: all in one */
    uint64_t staging_bytes;           /* as in sluice_migrate_begin */
    int64_t step_bytes;               /* as bytes in sluice_migrate_step */
    int64_t step_nanoseconds;         /* as nanoseconds there */
    int32_t ahead;                    /* as in sluice_migrate_begin */
    int32_t plan_only;                /* 1: the plan is kept for `plan`, nothing moves */
} sluice_eplb_config;
SLUICE_ASSERT_ENDS_WITH(sluice_eplb_config, plan_only);

typedef struct sluice_eplb_tick {
    size_t struct_size;
    void *stream;
    int64_t number;      /* of this forward pass, as in sluice_migrate_step; required */
    int32_t no_transfer; /* as there */
    int32_t reserved;
} sluice_eplb_tick;
SLUICE_ASSERT_ENDS_WITH(sluice_eplb_tick, reserved);

typedef struct sluice_eplb_status {
    size_t struct_size;
    int32_t state;         /* SLUICE_EPLB_* */
    int32_t last_status;   /* of the last plan or migration */
    int64_t window;        /* whole windows so far */
    int64_t plans;         /* made */
    int64_t migrations;    /* carried out to the end */
    double balance;        /* of the last window, mean over layers that saw tokens */
    double balance_worst;  /* of the worst layer */
    int64_t slots_written; /* since open */
    int64_t bytes_moved;   /* since open */
} sluice_eplb_status;
SLUICE_ASSERT_ENDS_WITH(sluice_eplb_status, bytes_moved);

typedef struct sluice_eplb_api {
    size_t struct_size;

    /* Starts, or goes on after a stop, with a new window. Between two steps, on every rank before
     * the same one. Errors: INVALID, UNSUPPORTED (uses at open), NOT_READY (no registered weights),
     * BUSY (a migration is under way). */
    sluice_status (*start)(sluice_context *context, const sluice_eplb_config *config);

    /* Once a forward pass, between two of them, on every rank: cheap in most steps. Sums and plans
     * travel point to point; waits only as `step` of sluice.migrate/1 does. An error stops the
     * driver and never the serving, unless it is FENCED. Errors: NOT_READY (not started), INVALID,
     * PEER_LOST, CANCELLED, MISMATCH, FENCED. */
    sluice_status (*tick)(sluice_context *context, const sluice_eplb_tick *args);

    /* Ends what is under way as `abort` does and plans no more until `start`. Not collective. */
    sluice_status (*pause)(sluice_context *context);

    /* [any thread] */
    sluice_status (*status)(sluice_context *context, sluice_eplb_status *status);

    /* The last plan, valid until the next tick; NULL: none yet. */
    const sluice_plan *(*plan)(sluice_context *context);
} sluice_eplb_api;
SLUICE_ASSERT_ENDS_WITH(sluice_eplb_api, plan);

#if defined(__cplusplus)
}
#endif
#endif
