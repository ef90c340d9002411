#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "tool_file.h"
#include "tool_generate.h"
#include "tool_random.h"

enum { REDUNDANT = 32 };

/* 288 slots for 256 experts, as DeepSeek-V3 is served; the others have no copies. */
static int32_t physical_experts(const struct sl_model *model)
{
    return model->experts + (model->bias_use ? REDUNDANT : 0);
}

static int make_inputs(struct sl_bench_case *c)
{
    const struct sl_model *model = c->model;
    size_t experts = (size_t)model->experts;
    struct sl_generator generator;
    c->logits = sl_bench_alloc(SL_BENCH_LOGIT_ROWS * experts * sizeof *c->logits);
    c->bias = sl_bench_alloc(experts * sizeof *c->bias);
    if (!c->logits || !c->bias)
        return sl_bench_no_memory(c->bench);
    if (sl_generator_open(&generator, 1, model->experts, model->top_k, 1, c->bench->error,
                          sizeof c->bench->error))
        return -1;
    sl_generator_logits(&generator, 0, 0, SL_BENCH_LOGIT_ROWS, c->logits);
    sl_generator_close(&generator);
    for (uint32_t e = 0; e < experts; e++) {
        double uniform = sl_tool_uniform(sl_tool_random(2, e, 0, 0).word[0]);
        c->bias[e] = (float)(0.02 * sl_tool_normal_quantile(uniform));
    }
    return 0;
}

static int make_outputs(struct sl_bench_case *c)
{
    const struct sl_model *model = c->model;
    int64_t rows = SL_BENCH_LOGIT_ROWS, columns = model->top_k + model->shared;
    size_t bytes = (size_t)(rows * columns) * 4;
    struct sl_bench_tensor *outputs[] = {&c->dispatch_t, &c->out_weights_t, &c->recorder_t,
                                         &c->ids_t, &c->weights_t};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        outputs[i]->t.data = sl_bench_alloc(bytes);
        if (!outputs[i]->t.data)
            return sl_bench_no_memory(c->bench);
        memset(outputs[i]->t.data, 0, bytes);
    }
    c->slot = calloc((size_t)model->experts, sizeof *c->slot);
    c->physical = calloc((size_t)model->experts, sizeof *c->physical);
    c->reference.counts = calloc((size_t)physical_experts(model), sizeof *c->reference.counts);
    return c->slot && c->physical && c->reference.counts ? 0 : sl_bench_no_memory(c->bench);
}

static void make_args(struct sl_bench_case *c)
{
    const sluice_tensor *bias = c->model->bias_use ? &c->bias_t.t : NULL;
    sl_bench_shape(&c->bias_t, c->bias, SL_BENCH_F32, c->model->experts, 0);
    c->topk = (sluice_topk_args){.struct_size = sizeof c->topk,
                                 .logits = &c->logits_t.t,
                                 .bias = bias,
                                 .ids = &c->ids_t.t,
                                 .weights = &c->weights_t.t};
    c->remap = (sluice_remap_args){.struct_size = sizeof c->remap,
                                   .ids = &c->ids_t.t,
                                   .weights = &c->weights_t.t,
                                   .dispatch_ids = &c->dispatch_t.t,
                                   .dispatch_weights = &c->out_weights_t.t,
                                   .recorder_ids = &c->recorder_t.t};
    c->record =
        (sluice_record_args){.struct_size = sizeof c->record, .recorder_ids = &c->recorder_t.t};
    c->route = (sluice_route_args){.struct_size = sizeof c->route,
                                   .logits = &c->logits_t.t,
                                   .bias = bias,
                                   .dispatch_ids = &c->dispatch_t.t,
                                   .dispatch_weights = &c->out_weights_t.t,
                                   .recorder_ids = &c->recorder_t.t};
}

static int open_context(struct sl_bench_case *c, sluice_context **context)
{
    const sluice_layer layer = {.struct_size = sizeof layer,
                                .router = &c->router,
                                .slots_per_rank = physical_experts(c->model) / SL_BENCH_RANKS};
    const sluice_layer *const layers[] = {&layer};
    const sluice_comm comm = {.struct_size = sizeof comm, .rank = 0, .size = SL_BENCH_RANKS};
    const sluice_config config = {
        .struct_size = sizeof config, .comm = &comm, .layers = layers, .layer_count = 1, .seed = 1};
    char text[512] = "";
    if (c->bench->plugin.api->open(&config, context, text, sizeof text) == SLUICE_OK)
        return 0;
    return sl_tool_error(c->bench->error, sizeof c->bench->error, "open failed: %s", text);
}

/* The reference maps by a table; what stands in it is asked of the plugin. */
static int read_table(struct sl_bench_case *c)
{
    int32_t experts = c->model->experts, top_k = c->model->top_k;
    int32_t columns = top_k + c->model->shared;
    const int32_t *dispatch = c->dispatch_t.t.data, *recorder = c->recorder_t.t.data;
    int32_t *ids = c->ids_t.t.data;
    sl_bench_case_tokens(c, experts / top_k);
    for (int32_t e = 0; e < experts; e++)
        ids[e] = e;
    if (c->bench->plugin.api->remap(c->context[0], &c->remap) != SLUICE_OK)
        return sl_bench_failed(c->bench, c->context[0], "remap");
    for (int32_t e = 0; e < experts; e++) {
        c->slot[e] = dispatch[e / top_k * columns + e % top_k];
        c->physical[e] = recorder[e];
    }
    c->reference.model = c->model;
    c->reference.bias = c->model->bias_use ? c->bias : NULL;
    c->reference.slot = c->slot;
    c->reference.physical = c->physical;
    c->reference.home_slot = physical_experts(c->model) / SL_BENCH_RANKS;
    return 0;
}

int sl_bench_case_open(struct sl_bench_case *c, struct sl_bench *bench, const char *shape,
                       const char *const *paths, int32_t path_count)
{
    *c = (struct sl_bench_case){.bench = bench, .model = sl_model_find(shape)};
    if (!c->model)
        return sl_tool_error(bench->error, sizeof bench->error, "no model is called %s", shape);
    sl_bench_router(c->model, &c->router);
    if (make_inputs(c) || make_outputs(c))
        return -1;
    make_args(c);
    for (int32_t i = 0; i < path_count; i++)
        if (sl_bench_use_path(bench, paths[i]) || open_context(c, &c->context[i]))
            return -1;
    return sl_bench_use_path(bench, NULL) ? -1 : read_table(c);
}

void sl_bench_case_tokens(struct sl_bench_case *c, int64_t tokens)
{
    int64_t top_k = c->model->top_k, columns = top_k + c->model->shared;
    c->tokens = tokens;
    c->window = 0;
    c->windows = SL_BENCH_LOGIT_ROWS / tokens;
    sl_bench_shape(&c->logits_t, c->logits, SL_BENCH_F32, tokens, c->model->experts);
    sl_bench_shape(&c->dispatch_t, c->dispatch_t.t.data, SL_BENCH_I32, tokens, columns);
    sl_bench_shape(&c->out_weights_t, c->out_weights_t.t.data, SL_BENCH_F32, tokens, columns);
    sl_bench_shape(&c->recorder_t, c->recorder_t.t.data, SL_BENCH_I32, tokens, top_k);
    sl_bench_shape(&c->ids_t, c->ids_t.t.data, SL_BENCH_I32, tokens, top_k);
    sl_bench_shape(&c->weights_t, c->weights_t.t.data, SL_BENCH_F32, tokens, top_k);
}

static void next_window(struct sl_bench_case *c)
{
    c->logits_t.t.data = c->logits + c->window * c->tokens * c->model->experts;
    c->window = c->window + 1 < c->windows ? c->window + 1 : 0;
}

int sl_bench_case_route(struct sl_bench_case *c, int32_t path, int64_t times)
{
    sluice_context *context = c->context[path];
    for (int64_t i = 0; i < times; i++) {
        next_window(c);
        if (c->bench->route->route(context, &c->route) != SLUICE_OK)
            return sl_bench_failed(c->bench, context, "route");
    }
    return 0;
}

int sl_bench_case_split(struct sl_bench_case *c, int32_t path, int64_t times)
{
    sluice_context *context = c->context[path];
    const sluice_api *api = c->bench->plugin.api;
    for (int64_t i = 0; i < times; i++) {
        next_window(c);
        if (api->topk(context, &c->topk) != SLUICE_OK)
            return sl_bench_failed(c->bench, context, "topk");
        if (api->remap(context, &c->remap) != SLUICE_OK)
            return sl_bench_failed(c->bench, context, "remap");
        if (api->record(context, &c->record) != SLUICE_OK)
            return sl_bench_failed(c->bench, context, "record");
    }
    return 0;
}

int sl_bench_case_reference(struct sl_bench_case *c, int64_t times)
{
    for (int64_t i = 0; i < times; i++) {
        next_window(c);
        sl_bench_reference_route(&c->reference, c->logits_t.t.data, c->tokens, c->dispatch_t.t.data,
                                 c->out_weights_t.t.data, c->recorder_t.t.data);
    }
    return 0;
}

/* libm's expf and the plugin's may round differently, so a near tie may fall the other way. */
int sl_bench_case_check(struct sl_bench_case *c)
{
    int64_t rows = SL_BENCH_LOGIT_ROWS, columns = c->model->top_k + c->model->shared, differ = 0;
    const size_t row_bytes = (size_t)columns * sizeof(int32_t);
    char *kept = malloc((size_t)rows * row_bytes);
    if (!kept)
        return sl_bench_no_memory(c->bench);
    sl_bench_case_tokens(c, rows);
    int bad = sl_bench_case_route(c, 0, 1);
    memcpy(kept, c->dispatch_t.t.data, (size_t)rows * row_bytes);
    (void)sl_bench_case_reference(c, 1);
    const char *mine = c->dispatch_t.t.data;
    for (size_t t = 0; t < (size_t)rows; t++)
        differ += memcmp(kept + t * row_bytes, mine + t * row_bytes, row_bytes) != 0;
    free(kept);
    if (!bad && differ > rows / 100)
        return sl_tool_error(c->bench->error, sizeof c->bench->error,
                             "%s: plugin and reference route %lld of %lld rows differently",
                             c->model->name, (long long)differ, (long long)rows);
    return bad;
}

void sl_bench_case_close(struct sl_bench_case *c)
{
    for (int32_t i = 0; i < SL_BENCH_PATHS; i++)
        c->bench->plugin.api->close(c->context[i]);
    struct sl_bench_tensor *outputs[] = {&c->dispatch_t, &c->out_weights_t, &c->recorder_t,
                                         &c->ids_t, &c->weights_t};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++)
        free(outputs[i]->t.data);
    free(c->logits);
    free(c->bias);
    free(c->slot);
    free(c->physical);
    free(c->reference.counts);
}
