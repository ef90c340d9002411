#include <stdlib.h>
#include <string.h>

#include "bench_team.h"
#include "tool_file.h"
#include "tool_random.h"

static const size_t row_bytes = (size_t)SL_TEAM_HIDDEN * 2;
static const int64_t timeout_ns = 20000000000;

static int fail(struct sl_team_rank *rank, const char *call)
{
    char text[512] = "";
    (void)rank->team->bench->plugin.api->last_error(rank->context, text, sizeof text);
    return sl_tool_error(rank->error, sizeof rank->error, "%s failed: %s", call, text);
}

/* Random rows, and for each token the first experts of a random order, with weights that add up
 * to 1: as the rows come back unchanged, combine must then give x. */
static int make_inputs(struct sl_team_rank *rank)
{
    size_t count = (size_t)SL_TEAM_TOKENS * SL_TEAM_HIDDEN;
    size_t choices = (size_t)SL_TEAM_TOKENS * SL_TEAM_TOP_K;
    uint16_t *x = rank->x = sl_bench_alloc(count * sizeof *x);
    int32_t *ids = rank->ids_t.t.data = sl_bench_alloc(choices * sizeof *ids);
    float *weights = rank->weights_t.t.data = sl_bench_alloc(choices * sizeof *weights);
    rank->out = sl_bench_alloc(count * sizeof *x);
    if (!x || !ids || !weights || !rank->out)
        return sl_tool_error(rank->error, sizeof rank->error, "no memory");
    for (size_t i = 0; i < count; i++) /* sign, and an exponent near that of 1 */
        x[i] =
            (uint16_t)(0x3F00 | (sl_tool_random(3, i, (uint32_t)rank->rank, 0).word[0] & 0x80FF));
    for (uint32_t t = 0; t < SL_TEAM_TOKENS; t++) {
        int32_t order[SL_TEAM_EXPERTS];
        sl_tool_shuffle(4, t, (uint32_t)rank->rank, order, SL_TEAM_EXPERTS);
        memcpy(ids + (size_t)t * SL_TEAM_TOP_K, order, SL_TEAM_TOP_K * sizeof *ids);
    }
    for (size_t i = 0; i < choices; i++)
        weights[i] = 1.0F / SL_TEAM_TOP_K;
    sl_bench_shape(&rank->x_t, x, SL_BENCH_BF16, SL_TEAM_TOKENS, SL_TEAM_HIDDEN);
    sl_bench_shape(&rank->out_t, rank->out, SL_BENCH_BF16, SL_TEAM_TOKENS, SL_TEAM_HIDDEN);
    sl_bench_shape(&rank->ids_t, ids, SL_BENCH_I32, SL_TEAM_TOKENS, SL_TEAM_TOP_K);
    sl_bench_shape(&rank->weights_t, weights, SL_BENCH_F32, SL_TEAM_TOKENS, SL_TEAM_TOP_K);
    return 0;
}

static int open_context(struct sl_team_rank *rank)
{
    int32_t ranks = rank->team->ranks;
    const sluice_router router = {
        .struct_size = sizeof router, .experts = SL_TEAM_EXPERTS, .top_k = SL_TEAM_TOP_K};
    const sluice_layer layer = {.struct_size = sizeof layer, .router = &router};
    const sluice_layer *const layers[] = {&layer};
    /* Choices spread evenly, so that twice a rank's fair share is room enough. */
    const sluice_transport transport = {.struct_size = sizeof transport,
                                        .max_tokens = SL_TEAM_TOKENS,
                                        .fixed_tokens = SL_TEAM_TOKENS,
                                        .payload_row_bytes = (int64_t)row_bytes,
                                        .capacity_rows =
                                            ranks > 1 ? 2 * SL_TEAM_TOKENS * SL_TEAM_TOP_K : 0};
    sluice_needs needs = {.struct_size = sizeof needs};
    const sluice_config config = {.struct_size = sizeof config,
                                  .comm = ranks > 1 ? &rank->comm : NULL,
                                  .layers = layers,
                                  .layer_count = 1,
                                  .transport = &transport,
                                  .needs = &needs,
                                  .uses = SLUICE_USE_EXACT | SLUICE_USE_FIXED,
                                  .timeout_ns = timeout_ns};
    char text[512] = "";
    if (rank->team->bench->plugin.api->open(&config, &rank->context, text, sizeof text))
        return sl_tool_error(rank->error, sizeof rank->error, "open failed: %s", text);
    rank->fixed_rows = needs.fixed_rows;
    return make_inputs(rank);
}

static int dispatch(struct sl_team_rank *rank, int32_t phase)
{
    const sluice_tensor *payloads[] = {&rank->x_t.t};
    const sluice_tensor *rows[] = {phase == SLUICE_DISPATCH_FIXED ? &rank->fixed_t.t
                                                                  : &rank->exact_t.t};
    int32_t count = phase == SLUICE_DISPATCH_COUNT;
    sluice_dispatch_args args = {.struct_size = sizeof args,
                                 .phase = phase,
                                 .handle = &rank->handle,
                                 .dispatch_ids = &rank->ids_t.t};
    if (count) {
        args.row_count = &rank->exact_rows;
    } else {
        args.payload_count = 1;
        args.payloads = payloads;
        args.dispatch_weights = &rank->weights_t.t;
        args.rows = rows;
    }
    return rank->team->bench->plugin.api->dispatch(rank->context, &args) ? fail(rank, "dispatch")
                                                                         : 0;
}

static int combine(struct sl_team_rank *rank, const struct sl_bench_tensor *rows)
{
    const sluice_combine_args args = {.struct_size = sizeof args,
                                      .handle = &rank->handle,
                                      .rows = &rows->t,
                                      .out = &rank->out_t.t};
    return rank->team->bench->plugin.api->combine(rank->context, &args) ? fail(rank, "combine") : 0;
}

static int dispatch_exact(struct sl_team_rank *rank)
{
    return dispatch(rank, SLUICE_DISPATCH_COUNT) || dispatch(rank, SLUICE_DISPATCH_SEND);
}

static int round_trip(struct sl_team_rank *rank, enum sl_team_job job)
{
    if (job == SL_TEAM_FIXED)
        return dispatch(rank, SLUICE_DISPATCH_FIXED) || combine(rank, &rank->fixed_t);
    return dispatch_exact(rank) || combine(rank, &rank->exact_t);
}

/* Makes the rows, and sees whether both ways bring home what went out. */
static int prepare(struct sl_team_rank *rank)
{
    if (dispatch(rank, SLUICE_DISPATCH_COUNT))
        return -1;
    int64_t most = rank->exact_rows > rank->fixed_rows ? rank->exact_rows : rank->fixed_rows;
    rank->rows = sl_bench_alloc((size_t)most * row_bytes);
    rank->copy = sl_bench_alloc((size_t)rank->exact_rows * row_bytes);
    if (!rank->rows || !rank->copy)
        return sl_tool_error(rank->error, sizeof rank->error, "no memory");
    sl_bench_shape(&rank->exact_t, rank->rows, SL_BENCH_BF16, rank->exact_rows, SL_TEAM_HIDDEN);
    sl_bench_shape(&rank->fixed_t, rank->rows, SL_BENCH_BF16, rank->fixed_rows, SL_TEAM_HIDDEN);
    for (int32_t job = SL_TEAM_EXACT; job <= SL_TEAM_FIXED; job++) {
        memset(rank->out, 0, SL_TEAM_TOKENS * row_bytes);
        if (round_trip(rank, (enum sl_team_job)job))
            return -1;
        if (memcmp(rank->out, rank->x, SL_TEAM_TOKENS * row_bytes) != 0)
            return sl_tool_error(rank->error, sizeof rank->error,
                                 "dispatch and combine did not bring x home");
    }
    return 0;
}

static int once(struct sl_team_rank *rank, enum sl_team_job job)
{
    size_t bytes = (size_t)rank->exact_rows * row_bytes;
    switch (job) {
    case SL_TEAM_OPEN:
        return open_context(rank);
    case SL_TEAM_PREPARE:
        return prepare(rank);
    case SL_TEAM_EXACT:
    case SL_TEAM_FIXED:
        return round_trip(rank, job);
    case SL_TEAM_DISPATCH:
        return dispatch_exact(rank);
    case SL_TEAM_COMBINE:
        return combine(rank, &rank->exact_t);
    case SL_TEAM_MEMCPY: /* as many bytes as dispatch writes, and as combine reads */
        memcpy(rank->copy, rank->rows, bytes);
        memcpy(rank->rows, rank->copy, bytes);
        return 0;
    case SL_TEAM_STOP:
        break;
    }
    return 0;
}

void sl_team_rank_do(struct sl_team_rank *rank, enum sl_team_job job, int64_t times)
{
    int bad = 0;
    for (int64_t i = 0; i < times && !bad; i++)
        bad = once(rank, job);
}

void sl_team_rank_free(struct sl_team_rank *rank)
{
    rank->team->bench->plugin.api->close(rank->context);
    free(rank->x);
    free(rank->rows);
    free(rank->out);
    free(rank->copy);
    free(rank->ids_t.t.data);
    free(rank->weights_t.t.data);
}
