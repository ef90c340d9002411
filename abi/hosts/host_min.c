/* SPDX-License-Identifier: Apache-2.0
 * The smallest whole engine: one rank, one DeepSeek-V3 layer with its shared expert as a slot, one
 * step through all six operations. Begin here; the other hosts add ranks, graphs and reloads.
 *     host_min PLUGIN */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../plugin.h"

enum { T = 16, E = 256, K = 8, F = 1, L = E + F, H = 64 };

static const sluice_api *api;
static sluice_context *context;

static void must(sluice_status status, const char *call)
{
    char text[512] = "";
    if (status == SLUICE_OK)
        return;
    (void)api->last_error(context, text, sizeof text);
    (void)fprintf(stderr, "host_min: %s: %s\n", call, text);
    exit(1);
}

/* A dense tensor on the host; columns 0: of one dimension. */
struct tensor {
    sluice_tensor t;
    int64_t shape[2];
};

static const sluice_tensor *tensor(struct tensor *to, void *data, uint8_t code, int64_t rows,
                                   int64_t columns)
{
    *to = (struct tensor){.t = {.data = data,
                                .device = {.type = SLUICE_CPU},
                                .ndim = columns ? 2 : 1,
                                .dtype = {code, 32, 1},
                                .shape = to->shape},
                          .shape = {rows, columns}};
    return &to->t;
}

static void load(const char *path)
{
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    union {
        void *found;
        const sluice_api *(*get)(uint32_t);
    } entry = {so ? dlsym(so, SLUICE_ENTRY) : NULL};
    api = entry.found ? entry.get(SLUICE_ABI_MAJOR) : NULL;
    if (!api) {
        (void)fprintf(stderr, "host_min: %s is no Sluice plugin of ABI %d\n", path,
                      SLUICE_ABI_MAJOR);
        exit(1);
    }
}

static void open_context(void)
{
    const sluice_router router = {.struct_size = sizeof router,
                                  .experts = E,
                                  .top_k = K,
                                  .score = SLUICE_SCORE_SIGMOID,
                                  .bias_use = SLUICE_BIAS_SCORE,
                                  .groups = 8,
                                  .keep_groups = 4,
                                  .group_value = SLUICE_GROUP_TOP2,
                                  .renorm = 1,
                                  .renorm_eps = 1e-20F,
                                  .scale = 2.5F,
                                  .shared = F};
    const sluice_layer layer = {.struct_size = sizeof layer, .router = &router};
    const sluice_layer *const layers[] = {&layer};
    const sluice_transport transport = {
        .struct_size = sizeof transport, .max_tokens = T, .payload_row_bytes = H * sizeof(float)};
    const sluice_config config = {.struct_size = sizeof config,
                                  .label = "target",
                                  .layers = layers,
                                  .layer_count = 1,
                                  .transport = &transport,
                                  .uses = SLUICE_USE_EXACT};
    char text[512] = "";
    if (api->open(&config, &context, text, sizeof text) != SLUICE_OK) {
        (void)fprintf(stderr, "host_min: open: %s\n", text);
        exit(1);
    }
}

static float logits[T][E], bias[E], x[T][H], out[T][H], weights[T][K], slot_weights[T][K + F];
static int32_t ids[T][K], slots[T][K + F], recorder[T][K], starts[L + 1], counts[L];
static struct tensor t_ids, t_weights, t_slots, t_slot_weights, t_recorder;

static void choose(void)
{
    struct tensor t_logits, t_bias;
    const sluice_topk_args topk = {.struct_size = sizeof topk,
                                   .logits = tensor(&t_logits, logits, SLUICE_FLOAT, T, E),
                                   .bias = tensor(&t_bias, bias, SLUICE_FLOAT, E, 0),
                                   .ids = tensor(&t_ids, ids, SLUICE_INT, T, K),
                                   .weights = tensor(&t_weights, weights, SLUICE_FLOAT, T, K)};
    const sluice_remap_args remap = {
        .struct_size = sizeof remap,
        .ids = &t_ids.t,
        .weights = &t_weights.t,
        .dispatch_ids = tensor(&t_slots, slots, SLUICE_INT, T, K + F),
        .dispatch_weights = tensor(&t_slot_weights, slot_weights, SLUICE_FLOAT, T, K + F),
        .recorder_ids = tensor(&t_recorder, recorder, SLUICE_INT, T, K)};
    const sluice_record_args record = {.struct_size = sizeof record, .recorder_ids = &t_recorder.t};
    must(api->topk(context, &topk), "topk");
    must(api->remap(context, &remap), "remap");
    must(api->record(context, &record), "record");
}

/* What a rebalance may write of the expert weights [L, H]: the routed rows, not the shared one. */
static void look_at_weights(void)
{
    static float w2[L][H];
    struct tensor t_w2;
    sluice_param param = {
        .struct_size = sizeof param, .name = "w2", .tensor = tensor(&t_w2, w2, SLUICE_FLOAT, L, H)};
    sluice_param *const params[] = {&param};
    const sluice_weights_args args = {
        .struct_size = sizeof args, .params = params, .param_count = 1};
    must(api->get_moe_weights(context, &args), "get_moe_weights");
    (void)printf("weights: %d rows, a rebalance may write %d\n", L, (int)param.view_shape[0]);
}

static void move(void)
{
    sluice_handle handle;
    int64_t count = 0;
    struct tensor t_starts, t_counts, t_x, t_rows, t_out;
    sluice_dispatch_args dispatch = {.struct_size = sizeof dispatch,
                                     .phase = SLUICE_DISPATCH_COUNT,
                                     .handle = &handle,
                                     .dispatch_ids = &t_slots.t,
                                     .dispatch_weights = &t_slot_weights.t,
                                     .slot_counts = tensor(&t_counts, counts, SLUICE_INT, L, 0),
                                     .slot_starts = tensor(&t_starts, starts, SLUICE_INT, L + 1, 0),
                                     .row_count = &count};
    must(api->dispatch(context, &dispatch), "dispatch COUNT");

    float(*rows)[H] = calloc((size_t)count + 1, sizeof *rows);
    if (!rows)
        exit(1);
    const sluice_tensor *const payloads[] = {tensor(&t_x, x, SLUICE_FLOAT, T, H)};
    const sluice_tensor *const outputs[] = {tensor(&t_rows, rows, SLUICE_FLOAT, count, H)};
    dispatch.phase = SLUICE_DISPATCH_SEND;
    dispatch.payload_count = 1;
    dispatch.payloads = payloads;
    dispatch.rows = outputs;
    must(api->dispatch(context, &dispatch), "dispatch SEND");

    /* The grouped GEMM: here the expert in slot s multiplies by s + 1. No weights: combine's. */
    for (int32_t s = 0; s < L; s++)
        for (int32_t r = starts[s]; r < starts[s] + counts[s]; r++)
            for (int32_t h = 0; h < H; h++)
                rows[r][h] *= (float)(s + 1);

    const sluice_combine_args combine = {.struct_size = sizeof combine,
                                         .handle = &handle,
                                         .rows = &t_rows.t,
                                         .out = tensor(&t_out, out, SLUICE_FLOAT, T, H)};
    must(api->combine(context, &combine), "combine");
    (void)printf("moved: %d tokens, %d rows\n", T, (int)count);
    free(rows);
}

int main(int argc, char **argv)
{
    load(argc > 1 ? argv[1] : "libsluice_cpu.so");
    open_context();
    for (int32_t t = 0; t < T; t++) {
        for (int32_t e = 0; e < E; e++)
            logits[t][e] = (float)((t * 7919 + e * 104729) % 1009) / 250.0F - 2.0F;
        for (int32_t h = 0; h < H; h++)
            x[t][h] = (float)((t * 31 + h * 17) % 64) / 64.0F;
    }
    choose();
    look_at_weights();
    move();
    int32_t wrong = 0;
    for (int32_t t = 0; t < T; t++)
        for (int32_t h = 0; h < H; h++) {
            float sum = 0;
            for (int32_t c = 0; c < K + F; c++)
                sum = fmaf(slot_weights[t][c], x[t][h] * (float)(slots[t][c] + 1), sum);
            wrong += sum != out[t][h];
        }
    api->close(context);
    (void)printf("host_min: %d of %d outputs differ from a plain loop\n", wrong, T * H);
    return wrong != 0;
}
