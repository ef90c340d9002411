/* Expert counts that the parts `balance` and `plan` of `sluice bench` work on. */
#ifndef SL_BENCH_LOAD_H
#define SL_BENCH_LOAD_H

#include "bench.h"
#include "tool_counts.h"

enum { SL_LOAD_EXPERTS = 256, SL_LOAD_TOP_K = 8, SL_LOAD_LAYERS = 58 };

/* Two workloads of one model, layers that saw tokens in both. */
struct sl_bench_load {
    struct sl_counts planned, served;
};

/* From bench->counts, or generated. 0, or -1 with bench->error. Closed in either case. */
int sl_bench_load_open(struct sl_bench_load *load, struct sl_bench *bench);
void sl_bench_load_close(struct sl_bench_load *load);

/* The steps of one balance problem, of a few layers: a placement by EPLB for the first workload,
 * tokens drawn from the second, one shared expert. */
struct sl_bench_steps {
    struct sl_bench *bench;
    int32_t layers, ranks, slots, tokens; /* tokens: of each rank */
    int32_t objective;
    int32_t next; /* layer that is solved next */
    struct sl_placement placement;
    int64_t *counts; /* [layers][ranks][E] */
    int64_t *rows;   /* [ranks] */
    int64_t *routed, *shared;
    uint8_t *cut;
};

struct sl_bench_size {
    const char *item, *shape; /* shape: its name in --shape */
    int32_t ranks, redundant, tokens, few;
    double goal; /* us a layer, TOKENS with `tokens` a rank */
};
enum { SL_BENCH_BALANCES = 2 };
extern const struct sl_bench_size sl_bench_sizes[SL_BENCH_BALANCES];
const struct sl_bench_size *sl_bench_size_find(const char *shape); /* NULL: there is none */

/* 0, or -1 with bench->error. Closed in either case. */
int sl_bench_steps_open(struct sl_bench_steps *steps, struct sl_bench *bench,
                        const struct sl_bench_load *load, const struct sl_bench_size *size,
                        int32_t objective, int32_t layers);
int sl_bench_steps_solve(struct sl_bench_steps *steps, int64_t times);
void sl_bench_steps_close(struct sl_bench_steps *steps);

/* Has the plugin what `balance` needs? 0, or -1 with bench->error. */
int sl_bench_check_balance(struct sl_bench *bench);

/* bench_remap.c: remap of drawn ids under the policies of copies. */
int sl_bench_run_remap(struct sl_bench *bench, const struct sl_bench_load *load);

#endif
