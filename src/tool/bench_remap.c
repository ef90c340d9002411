#include <stdlib.h>

#include "bench_load.h"
#include "tool_file.h"
#include "tool_generate.h"

enum { RANKS = 32, SLOTS = 9, WAYS = 4, SIZES = 2, MOST = SL_BENCH_LOGIT_ROWS };
static const int32_t sizes[SIZES] = {64, MOST};

static const struct {
    const char *call;
    int32_t copy, shared, mode;
} ways[WAYS] = {
    {"remap, static", SLUICE_COPY_STATIC, SLUICE_SHARED_AT_HOME, -1},
    {"remap, random", SLUICE_COPY_RANDOM, SLUICE_SHARED_AT_HOME, -1},
    {"remap, balanced (local)", SLUICE_COPY_BALANCED, SLUICE_SHARED_LEVEL, SLUICE_BALANCE_LOCAL},
    {"remap, balanced (stale)", SLUICE_COPY_BALANCED, SLUICE_SHARED_LEVEL, SLUICE_BALANCE_STALE},
};

/* One rank of 32, that is told what the others counted. */
struct remap {
    struct sl_bench *bench;
    sluice_context *context[WAYS];
    int32_t *ids, *slots, *recorder, *counts;
    float *weights, *out_weights;
    struct sl_bench_tensor ids_t, weights_t, slots_t, out_weights_t, recorder_t, counts_t;
    sluice_remap_args args;
};

struct turn {
    struct remap *remap;
    int32_t way;
};

static int run_turn(void *user, int64_t times)
{
    const struct turn *turn = user;
    struct remap *remap = turn->remap;
    sluice_context *context = remap->context[turn->way];
    for (int64_t i = 0; i < times; i++)
        if (remap->bench->plugin.api->remap(context, &remap->args) != SLUICE_OK)
            return sl_bench_failed(remap->bench, context, ways[turn->way].call);
    return 0;
}

static int make_memory(struct remap *remap, const struct sl_bench_load *load)
{
    struct sl_bench *bench = remap->bench;
    struct sl_draw draw;
    size_t choices = (size_t)MOST * SL_LOAD_TOP_K, columns = (size_t)MOST * (SL_LOAD_TOP_K + 1);
    remap->ids = calloc(choices, sizeof *remap->ids);
    remap->weights = calloc(choices, sizeof *remap->weights);
    remap->recorder = calloc(choices, sizeof *remap->recorder);
    remap->slots = calloc(columns, sizeof *remap->slots);
    remap->out_weights = calloc(columns, sizeof *remap->out_weights);
    remap->counts = calloc((size_t)RANKS * SL_LOAD_EXPERTS, sizeof *remap->counts);
    if (!remap->ids || !remap->weights || !remap->recorder || !remap->slots ||
        !remap->out_weights || !remap->counts)
        return sl_bench_no_memory(bench);
    if (sl_draw_open(&draw, sl_counts_row(&load->served, 0, 0), SL_LOAD_EXPERTS, SL_LOAD_TOP_K, 1,
                     bench->error, sizeof bench->error))
        return -1;
    for (uint64_t r = 0; r < RANKS; r++) {
        sl_draw_tokens(&draw, r * MOST, MOST, remap->ids, remap->weights);
        for (size_t i = 0; i < choices; i++)
            remap->counts[r * SL_LOAD_EXPERTS + (size_t)remap->ids[i]]++;
    }
    sl_draw_close(&draw);
    return 0;
}

static void make_args(struct remap *remap, int32_t tokens)
{
    int32_t columns = SL_LOAD_TOP_K + 1;
    sl_bench_shape(&remap->ids_t, remap->ids, SL_BENCH_I32, tokens, SL_LOAD_TOP_K);
    sl_bench_shape(&remap->weights_t, remap->weights, SL_BENCH_F32, tokens, SL_LOAD_TOP_K);
    sl_bench_shape(&remap->recorder_t, remap->recorder, SL_BENCH_I32, tokens, SL_LOAD_TOP_K);
    sl_bench_shape(&remap->slots_t, remap->slots, SL_BENCH_I32, tokens, columns);
    sl_bench_shape(&remap->out_weights_t, remap->out_weights, SL_BENCH_F32, tokens, columns);
    sl_bench_shape(&remap->counts_t, remap->counts, SL_BENCH_I32, RANKS, SL_LOAD_EXPERTS);
    remap->args = (sluice_remap_args){.struct_size = sizeof remap->args,
                                      .ids = &remap->ids_t.t,
                                      .weights = &remap->weights_t.t,
                                      .dispatch_ids = &remap->slots_t.t,
                                      .dispatch_weights = &remap->out_weights_t.t,
                                      .recorder_ids = &remap->recorder_t.t};
}

static int configure(struct remap *remap, int32_t way)
{
    struct sl_bench *bench = remap->bench;
    sluice_context *context = remap->context[way];
    const sluice_balance_config balance = {.struct_size = sizeof balance, .mode = ways[way].mode};
    const sluice_balance_counts counts = {.struct_size = sizeof counts,
                                          .counts = &remap->counts_t.t};
    if (ways[way].mode >= 0 && bench->balance->configure(context, -1, &balance) != SLUICE_OK)
        return sl_bench_failed(bench, context, "configure");
    if (ways[way].mode == SLUICE_BALANCE_STALE &&
        bench->balance->add_counts(context, &counts) != SLUICE_OK)
        return sl_bench_failed(bench, context, "add_counts");
    return 0;
}

static int open_contexts(struct remap *remap)
{
    struct sl_bench *bench = remap->bench;
    sluice_router router;
    sl_bench_router(sl_model_find(sl_bench_shapes[0]), &router);
    const sluice_layer layer = {
        .struct_size = sizeof layer, .router = &router, .slots_per_rank = SLOTS};
    const sluice_layer *const layers[] = {&layer};
    const sluice_comm comm = {.struct_size = sizeof comm, .rank = 0, .size = RANKS};
    for (int32_t way = 0; way < WAYS; way++) {
        const sluice_config config = {.struct_size = sizeof config,
                                      .comm = &comm,
                                      .layers = layers,
                                      .layer_count = 1,
                                      .copy_policy = ways[way].copy,
                                      .shared_policy = ways[way].shared,
                                      .seed = 1};
        char text[512] = "";
        if (bench->plugin.api->open(&config, &remap->context[way], text, sizeof text) != SLUICE_OK)
            return sl_tool_error(bench->error, sizeof bench->error, "open failed: %s", text);
        if (configure(remap, way))
            return -1;
    }
    return 0;
}

static int race(struct remap *remap, int32_t tokens)
{
    struct sl_bench *bench = remap->bench;
    struct sl_bench_item items[WAYS];
    struct turn turns[WAYS];
    make_args(remap, tokens);
    for (int32_t way = 0; way < WAYS; way++) {
        turns[way] = (struct turn){remap, way};
        items[way] = (struct sl_bench_item){.run = run_turn, .user = &turns[way]};
    }
    if (sl_bench_race(items, WAYS, bench->rounds, bench->turn_ns))
        return -1;
    for (int32_t way = 0; way < WAYS; way++)
        sl_bench_add(bench, &(struct sl_bench_row){.part = "balance",
                                                   .item = "W 32, R 32",
                                                   .call = ways[way].call,
                                                   .unit = "ns/token",
                                                   .tokens = tokens,
                                                   .ranks = 1,
                                                   .fastest = items[way].fastest / tokens,
                                                   .median = items[way].median / tokens});
    sl_progress_step(&bench->progress, ++bench->done, sl_progress_now());
    return 0;
}

int sl_bench_run_remap(struct sl_bench *bench, const struct sl_bench_load *load)
{
    struct remap remap = {.bench = bench};
    int bad = make_memory(&remap, load);
    make_args(&remap, MOST);
    bad = bad || open_contexts(&remap);
    for (int32_t i = 0; i < SIZES && !bad; i++)
        bad = race(&remap, sizes[i]);
    for (int32_t way = 0; way < WAYS; way++)
        bench->plugin.api->close(remap.context[way]);
    free(remap.ids);
    free(remap.slots);
    free(remap.recorder);
    free(remap.counts);
    free(remap.weights);
    free(remap.out_weights);
    return bad ? -1 : 0;
}
