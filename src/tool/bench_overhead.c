#include <stdlib.h>

#include "bench.h"
#include "tool_file.h"

enum { HIDDEN = 16, PARAMS = 3, ROUNDS = 401, CALLS = 8 };

/* What a call costs when there is nothing to do: no tokens, one rank. */
struct idle {
    struct sl_bench *bench;
    sluice_context *context;
    sluice_handle handle;
    int64_t row_count;
    float *memory;
    struct sl_bench_tensor logits, bias, ids, weights, slots, slot_weights, recorder, x, rows, out;
    struct sl_bench_tensor param_t[PARAMS];
    sluice_param param[PARAMS];
    sluice_param *params[PARAMS];
    sluice_topk_args topk;
    sluice_remap_args remap;
    sluice_record_args record;
    sluice_route_args route;
    sluice_weights_args view;
    const sluice_tensor *payload_list[1], *rows_list[1];
    sluice_dispatch_args count, send, fixed;
    sluice_combine_args combine;
};

static int call_topk(struct idle *idle)
{
    return idle->bench->plugin.api->topk(idle->context, &idle->topk);
}
static int call_remap(struct idle *idle)
{
    return idle->bench->plugin.api->remap(idle->context, &idle->remap);
}
static int call_record(struct idle *idle)
{
    return idle->bench->plugin.api->record(idle->context, &idle->record);
}
static int call_route(struct idle *idle)
{
    return idle->bench->route->route(idle->context, &idle->route);
}
static int call_view(struct idle *idle)
{
    return idle->bench->plugin.api->get_moe_weights(idle->context, &idle->view);
}
static int call_exact(struct idle *idle)
{
    const sluice_api *api = idle->bench->plugin.api;
    return api->dispatch(idle->context, &idle->count) || api->dispatch(idle->context, &idle->send);
}
static int call_combine(struct idle *idle)
{
    return idle->bench->plugin.api->combine(idle->context, &idle->combine);
}
static int call_fixed(struct idle *idle)
{
    return idle->bench->plugin.api->dispatch(idle->context, &idle->fixed);
}

/* combine comes after an exact dispatch, whose handle it needs. */
static const struct {
    const char *name;
    int (*call)(struct idle *idle);
    double goal;
} calls[CALLS] = {
    {"topk", call_topk, 200},
    {"remap", call_remap, 200},
    {"record", call_record, 200},
    {"route", call_route, 200},
    {"get_moe_weights (3 views)", call_view, 200},
    {"dispatch (fixed)", call_fixed, 200},
    {"dispatch (count, send)", call_exact, 400},
    {"combine", call_combine, 200},
};

struct turn {
    struct idle *idle;
    int32_t call;
};

static int run_turn(void *user, int64_t times)
{
    struct turn *turn = user;
    int (*call)(struct idle *) = calls[turn->call].call;
    for (int64_t i = 0; i < times; i++)
        if (call(turn->idle))
            return sl_bench_failed(turn->idle->bench, turn->idle->context, calls[turn->call].name);
    return 0;
}

static int open_context(struct idle *idle, const struct sl_model *model)
{
    sluice_router router;
    sl_bench_router(model, &router);
    const sluice_layer layer = {.struct_size = sizeof layer, .router = &router};
    const sluice_layer *const layers[] = {&layer};
    const sluice_transport transport = {.struct_size = sizeof transport,
                                        .max_tokens = 1,
                                        .fixed_tokens = 1,
                                        .payload_row_bytes = (int64_t)HIDDEN * 2};
    const sluice_config config = {.struct_size = sizeof config,
                                  .layers = layers,
                                  .layer_count = 1,
                                  .transport = &transport,
                                  .uses = SLUICE_USE_EXACT | SLUICE_USE_FIXED};
    struct sl_bench *bench = idle->bench;
    char text[512] = "";
    if (bench->plugin.api->open(&config, &idle->context, text, sizeof text) == SLUICE_OK)
        return 0;
    return sl_tool_error(bench->error, sizeof bench->error, "open failed: %s", text);
}

static void make_tensors(struct idle *idle, const struct sl_model *model)
{
    float *memory = idle->memory;
    int64_t top_k = model->top_k, columns = top_k + model->shared;
    int64_t local = model->experts + model->shared;
    sl_bench_shape(&idle->logits, memory, SL_BENCH_F32, 0, model->experts);
    sl_bench_shape(&idle->bias, memory, SL_BENCH_F32, model->experts, 0);
    sl_bench_shape(&idle->ids, memory, SL_BENCH_I32, 0, top_k);
    sl_bench_shape(&idle->weights, memory, SL_BENCH_F32, 0, top_k);
    sl_bench_shape(&idle->slots, memory, SL_BENCH_I32, 0, columns);
    sl_bench_shape(&idle->slot_weights, memory, SL_BENCH_F32, 0, columns);
    sl_bench_shape(&idle->recorder, memory, SL_BENCH_I32, 0, top_k);
    sl_bench_shape(&idle->x, memory, SL_BENCH_BF16, 0, HIDDEN);
    sl_bench_shape(&idle->out, memory, SL_BENCH_BF16, 0, HIDDEN);
    sl_bench_shape(&idle->rows, memory, SL_BENCH_BF16, columns, HIDDEN);
    static const char *const names[PARAMS] = {"w13", "w2", "w2_scale"};
    for (int32_t i = 0; i < PARAMS; i++) {
        sl_bench_shape(&idle->param_t[i], memory, SL_BENCH_F32, local, 1);
        idle->param[i] = (sluice_param){.struct_size = sizeof idle->param[i],
                                        .name = names[i],
                                        .tensor = &idle->param_t[i].t,
                                        .role = SLUICE_ROLE_EXPERT};
        idle->params[i] = &idle->param[i];
    }
}

static void make_routing(struct idle *idle)
{
    idle->topk = (sluice_topk_args){.struct_size = sizeof idle->topk,
                                    .logits = &idle->logits.t,
                                    .bias = &idle->bias.t,
                                    .ids = &idle->ids.t,
                                    .weights = &idle->weights.t};
    idle->remap = (sluice_remap_args){.struct_size = sizeof idle->remap,
                                      .ids = &idle->ids.t,
                                      .weights = &idle->weights.t,
                                      .dispatch_ids = &idle->slots.t,
                                      .dispatch_weights = &idle->slot_weights.t,
                                      .recorder_ids = &idle->recorder.t};
    idle->record =
        (sluice_record_args){.struct_size = sizeof idle->record, .recorder_ids = &idle->recorder.t};
    idle->route = (sluice_route_args){.struct_size = sizeof idle->route,
                                      .logits = &idle->logits.t,
                                      .bias = &idle->bias.t,
                                      .dispatch_ids = &idle->slots.t,
                                      .dispatch_weights = &idle->slot_weights.t,
                                      .recorder_ids = &idle->recorder.t};
    idle->view = (sluice_weights_args){
        .struct_size = sizeof idle->view, .params = idle->params, .param_count = PARAMS};
}

static void make_exchange(struct idle *idle)
{
    idle->payload_list[0] = &idle->x.t;
    idle->rows_list[0] = &idle->rows.t;
    idle->count = (sluice_dispatch_args){.struct_size = sizeof idle->count,
                                         .phase = SLUICE_DISPATCH_COUNT,
                                         .handle = &idle->handle,
                                         .dispatch_ids = &idle->slots.t,
                                         .row_count = &idle->row_count};
    idle->send = (sluice_dispatch_args){.struct_size = sizeof idle->send,
                                        .phase = SLUICE_DISPATCH_SEND,
                                        .handle = &idle->handle,
                                        .dispatch_ids = &idle->slots.t,
                                        .dispatch_weights = &idle->slot_weights.t,
                                        .payload_count = 1,
                                        .payloads = idle->payload_list,
                                        .rows = idle->rows_list};
    idle->fixed = idle->send;
    idle->fixed.phase = SLUICE_DISPATCH_FIXED;
    idle->combine = (sluice_combine_args){.struct_size = sizeof idle->combine,
                                          .handle = &idle->handle,
                                          .rows = &idle->rows.t,
                                          .out = &idle->out.t};
}

static int measure(struct idle *idle)
{
    struct sl_bench *bench = idle->bench;
    struct sl_bench_item items[CALLS] = {0};
    struct turn turns[CALLS];
    for (int32_t i = 0; i < CALLS; i++) {
        turns[i] = (struct turn){idle, i};
        items[i] = (struct sl_bench_item){.run = run_turn, .user = &turns[i]};
    }
    if (sl_bench_race(items, CALLS, ROUNDS, bench->turn_ns / 100))
        return -1;
    for (int32_t i = 0; i < CALLS; i++)
        sl_bench_add(bench, &(struct sl_bench_row){.part = "overhead",
                                                   .item = "T = 0",
                                                   .call = calls[i].name,
                                                   .unit = "ns/call",
                                                   .ranks = 1,
                                                   .fastest = items[i].fastest,
                                                   .median = items[i].median,
                                                   .goal = calls[i].goal});
    sl_progress_step(&bench->progress, ++bench->done, sl_progress_now());
    return 0;
}

int sl_bench_run_overhead(struct sl_bench *bench)
{
    const struct sl_model *model = sl_model_find(sl_bench_shapes[0]);
    struct idle idle = {.bench = bench};
    idle.memory = calloc((size_t)model->experts * HIDDEN, sizeof *idle.memory);
    if (!idle.memory)
        return sl_bench_no_memory(bench);
    int bad = open_context(&idle, model);
    if (!bad) {
        make_tensors(&idle, model);
        make_routing(&idle);
        make_exchange(&idle);
        bad = measure(&idle);
    }
    bench->plugin.api->close(idle.context);
    free(idle.memory);
    return bad ? -1 : 0;
}
