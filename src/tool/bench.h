/* What the parts of `sluice bench` share: the clockwork, the routing cases, and the table. */
#ifndef SL_BENCH_H
#define SL_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../abi/ext/balance.h"
#include "../../abi/ext/device.h"
#include "../../abi/ext/plan.h"
#include "../../abi/ext/route.h"
#include "../host/sluice_host.h"
#include "tool_models.h"
#include "tool_progress.h"

enum { SL_BENCH_ROWS = 256, SL_BENCH_PATHS = 4, SL_BENCH_ERROR = 700 };

/* One line of the table. A 0 in a goal or ratio: there is none. */
struct sl_bench_row {
    const char *part; /* "route", "exchange", "balance", "plan", "overhead" */
    const char *item; /* shape, size, policy, or way of dispatch */
    const char *call;
    const char *unit;      /* of fastest and median */
    char path[16];         /* code path; "" where there is no choice */
    int32_t tokens, ranks; /* a call, a rank */
    double fastest, median;
    double goal;       /* at most; overhead: of the median, else: of the fastest */
    double ratio;      /* how many times as fast as the reference, or as memcpy */
    double ratio_goal; /* at least */
};

struct sl_bench {
    sluice_plugin plugin;
    const sluice_device_api *device; /* only if paths and use_path are there; else NULL */
    const sluice_route_api *route;
    const sluice_balance_api *balance; /* NULL: the plugin has none; and the next */
    const sluice_plan_api *plan;
    const char *counts[2]; /* files: a workload, another one that follows; NULL: generated */
    const char *paths[SL_BENCH_PATHS]; /* slowest first */
    int32_t path_count;
    int32_t rounds;
    double turn_ns; /* how long an item runs before the next has its turn */
    struct sl_progress progress;
    int64_t done;
    struct sl_bench_row rows[SL_BENCH_ROWS];
    int32_t row_count;
    char error[SL_BENCH_ERROR]; /* one line */
};

/* bench_race.c: things to be compared take turns, so that a change of the machine's speed hits all
 * of them alike. */
struct sl_bench_item {
    int (*run)(void *user, int64_t times); /* 0, or -1 */
    void *user;
    int64_t times;          /* calls in one turn; found by the race */
    double fastest, median; /* out: ns a call */
};
int64_t sl_bench_now(void);
int sl_bench_race(struct sl_bench_item *items, int32_t count, int32_t rounds, double turn_ns);

/* bench_setup.c */
struct sl_bench_tensor {
    sluice_tensor t;
    int64_t shape[2];
};
enum { SL_BENCH_F32, SL_BENCH_BF16, SL_BENCH_I32 };
/* columns 0: one dimension. */
void sl_bench_shape(struct sl_bench_tensor *tensor, void *data, int32_t type, int64_t rows,
                    int64_t columns);
void *sl_bench_alloc(size_t bytes); /* 64-byte aligned; freed with free */
void sl_bench_router(const struct sl_model *model, sluice_router *router);
/* Each writes bench->error and returns -1. */
int sl_bench_no_memory(struct sl_bench *bench);
int sl_bench_failed(struct sl_bench *bench, sluice_context *context, const char *call);
int sl_bench_use_path(struct sl_bench *bench, const char *path); /* NULL: the best */
void sl_bench_add(struct sl_bench *bench, const struct sl_bench_row *row);

/* bench_reference.c: a router as one writes it without thinking of speed. */
struct sl_bench_reference {
    const struct sl_model *model;
    const float *bias;              /* [E] or NULL */
    const int32_t *slot, *physical; /* [E] what remap makes of an expert */
    int32_t home_slot;              /* of the first shared expert */
    int64_t *counts;                /* [P] */
};
void sl_bench_reference_route(const struct sl_bench_reference *reference, const float *logits,
                              int64_t tokens, int32_t *dispatch_ids, float *weights,
                              int32_t *recorder_ids);

/* bench_case.c: one shape with its inputs, outputs and a context for each code path. */
struct sl_bench_case {
    struct sl_bench *bench;
    const struct sl_model *model;
    sluice_context *context[SL_BENCH_PATHS];
    sluice_router router;
    float *logits, *bias;
    int64_t tokens, windows,
        window; /* calls walk over the logits, so that none is learnt by heart */
    struct sl_bench_tensor logits_t, bias_t, dispatch_t, out_weights_t, recorder_t, ids_t,
        weights_t;
    sluice_topk_args topk;
    sluice_remap_args remap;
    sluice_record_args record;
    sluice_route_args route;
    struct sl_bench_reference reference;
    int32_t *slot, *physical;
};
enum { SL_BENCH_LOGIT_ROWS = 4096, SL_BENCH_RANKS = 8 };
/* `paths` names, one context each. */
int sl_bench_case_open(struct sl_bench_case *c, struct sl_bench *bench, const char *shape,
                       const char *const *paths, int32_t path_count);
void sl_bench_case_tokens(struct sl_bench_case *c, int64_t tokens);
int sl_bench_case_route(struct sl_bench_case *c, int32_t path, int64_t times);
int sl_bench_case_split(struct sl_bench_case *c, int32_t path, int64_t times);
int sl_bench_case_reference(struct sl_bench_case *c, int64_t times);
/* Do plugin and reference choose alike? Nearly all rows must be the same. */
int sl_bench_case_check(struct sl_bench_case *c);
void sl_bench_case_close(struct sl_bench_case *c);

/* The parts. 0, or -1 with bench->error. */
extern const char *const sl_bench_shapes[3];
int sl_bench_run_route(struct sl_bench *bench);
int sl_bench_run_exchange(struct sl_bench *bench);
int sl_bench_run_balance(struct sl_bench *bench);
int sl_bench_run_plan(struct sl_bench *bench);
int sl_bench_run_overhead(struct sl_bench *bench);

/* bench_report.c */
void sl_bench_print(const struct sl_bench *bench, const char *plugin_line);
int sl_bench_write(const struct sl_bench *bench, const char *path, const char *plugin_line);

#endif
