/* SPDX-License-Identifier: Apache-2.0
 * An engine compiled against tomorrow's header, with today's plugin: every struct has two members
 * more. While they are zero, nothing new is asked and all is well; a plugin that does not know what
 * is asked must say so and must not go on without it. And an engine whose struct is too short, or
 * whose size is wild. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../ext/load.h"
#include "../ext/placement.h"
#include "../ext/ranks.h"
#include "../ext/route.h"
#include "../ext/stats.h"
#include "host_kit.h"

enum { EXPERTS = 8, TOP_K = 2, SHARED = 1, TOKENS = 3, HIDDEN = 4, COLUMNS = TOP_K + SHARED };
enum { LOCAL = EXPERTS + SHARED };

/* Tomorrow's struct: today's and what was appended. */
#define TOMORROW(type)                                                                             \
    struct {                                                                                       \
        type now;                                                                                  \
        uint64_t later, last;                                                                      \
    }

static const sluice_api *api;

static struct {
    TOMORROW(sluice_router) router;
    TOMORROW(sluice_layer) layer;
    TOMORROW(sluice_comm) comm;
    TOMORROW(sluice_host) host;
    TOMORROW(sluice_transport) transport;
    TOMORROW(sluice_needs) needs;
    TOMORROW(sluice_config) config;
    TOMORROW(sluice_topk_args) topk;
    TOMORROW(sluice_remap_args) remap;
    TOMORROW(sluice_record_args) record;
    TOMORROW(sluice_param) param;
    TOMORROW(sluice_weights_args) weights;
    TOMORROW(sluice_dispatch_args) dispatch;
    TOMORROW(sluice_combine_args) combine;
    TOMORROW(sluice_route_args) route;
    TOMORROW(sluice_load_slots) slots;
    TOMORROW(sluice_placement_shape) shape;
    TOMORROW(sluice_ranks) ranks;
    TOMORROW(sluice_fault) fault;
    TOMORROW(sluice_stats) stats;
} t;

static struct {
    struct kit_tensor logits, ids, weights, slot_ids, slot_weights, recorder, x, rows, out, w,
        counts;
    float logit[TOKENS][EXPERTS], weight[TOKENS][TOP_K], slot_weight[TOKENS][COLUMNS];
    int32_t id[TOKENS][TOP_K], slot[TOKENS][COLUMNS], physical[TOKENS][TOP_K], count[LOCAL];
    float hidden[TOKENS][HIDDEN], result[TOKENS][HIDDEN], row[TOKENS * COLUMNS][HIDDEN];
    float expert[LOCAL][HIDDEN];
} b;

static sluice_context *context;
static sluice_handle handle;
static const sluice_layer *layers[1];
static const sluice_tensor *payloads[1], *received[1];
static sluice_param *params[1];
static int64_t row_count;
static uint8_t alive[1] = {1};

/* ------------------------------------------------------------------------------------- calls */

static sluice_status call_open(void)
{
    char text[512];
    api->close(context);
    context = NULL;
    return api->open(&t.config.now, &context, text, sizeof text);
}

static sluice_status call_topk(void)
{
    return api->topk(context, &t.topk.now);
}

static sluice_status call_remap(void)
{
    return api->remap(context, &t.remap.now);
}

static sluice_status call_record(void)
{
    return api->record(context, &t.record.now);
}

static sluice_status call_weights(void)
{
    return api->get_moe_weights(context, &t.weights.now);
}

/* One whole dispatch, so that each trial begins with an idle lane. */
static sluice_status call_dispatch(void)
{
    t.dispatch.now.phase = SLUICE_DISPATCH_COUNT;
    sluice_status status = api->dispatch(context, &t.dispatch.now);
    t.dispatch.now.phase = SLUICE_DISPATCH_SEND;
    return status ? status : api->dispatch(context, &t.dispatch.now);
}

static sluice_status call_combine(void)
{
    return api->combine(context, &t.combine.now);
}

static sluice_status call_route(void)
{
    const sluice_route_api *route = kit_extension(api, SLUICE_EXT_ROUTE);
    return route->route(context, &t.route.now);
}

static sluice_status call_slots(void)
{
    const sluice_load_api *load = kit_extension(api, SLUICE_EXT_LOAD);
    return load->add_slots(context, &t.slots.now);
}

static sluice_status call_shape(void)
{
    const sluice_placement_api *placement = kit_extension(api, SLUICE_EXT_PLACEMENT);
    return placement->shape(context, 0, &t.shape.now);
}

static sluice_status call_ranks(void)
{
    const sluice_ranks_api *ranks = kit_extension(api, SLUICE_EXT_RANKS);
    t.ranks.now.generation++;
    return ranks->set(context, &t.ranks.now, NULL);
}

static sluice_status call_fault(void)
{
    const sluice_ranks_api *ranks = kit_extension(api, SLUICE_EXT_RANKS);
    return ranks->poll(context, &t.fault.now);
}

static sluice_status call_stats(void)
{
    const sluice_stats_api *stats = kit_extension(api, SLUICE_EXT_STATS);
    return stats->read(context, &t.stats.now);
}

/* ------------------------------------------------------------------------------------ trials */

#define TRIAL(member, call)                                                                        \
    {                                                                                              \
#member, &t.member, sizeof t.member.now, sizeof t.member, call                             \
    }

static const struct trial {
    const char *name;
    void *data; /* begins with struct_size */
    size_t now, tomorrow;
    sluice_status (*call)(void);
} trials[] = {
    TRIAL(router, call_open),       TRIAL(layer, call_open),      TRIAL(comm, call_open),
    TRIAL(host, call_open),         TRIAL(transport, call_open),  TRIAL(needs, call_open),
    TRIAL(config, call_open),       TRIAL(topk, call_topk),       TRIAL(remap, call_remap),
    TRIAL(record, call_record),     TRIAL(param, call_weights),   TRIAL(weights, call_weights),
    TRIAL(dispatch, call_dispatch), TRIAL(combine, call_combine), TRIAL(route, call_route),
    TRIAL(slots, call_slots),       TRIAL(shape, call_shape),     TRIAL(ranks, call_ranks),
    TRIAL(fault, call_fault),       TRIAL(stats, call_stats),
};

static void set_size(const struct trial *trial, size_t size)
{
    memcpy(trial->data, &size, sizeof size);
}

static void expect(const struct trial *trial, sluice_status want, const char *what)
{
    char line[128];
    (void)snprintf(line, sizeof line, "%s, %s", trial->name, what);
    kit_status(api, context, trial->call(), want, line);
}

static void run(const struct trial *trial)
{
    /* Frames of today's size, tomorrow's with nothing asked, tomorrow's with something asked. */
    unsigned char *tail = (unsigned char *)trial->data + trial->now;
    size_t length = trial->tomorrow - trial->now;
    set_size(trial, trial->now);
    memset(tail, 0xff, length); /* beyond the size: not the plugin's to read */
    expect(trial, SLUICE_OK, "today's size");
    memset(tail, 0, length);
    set_size(trial, trial->tomorrow);
    expect(trial, SLUICE_OK, "tomorrow's size, zero");
    for (size_t i = 0; i < length; i++)
        if (tail[i])
            kit_check(false, "the plugin wrote into a member it does not know", 0);
    tail[length - 1] = 1;
    expect(trial, SLUICE_UNSUPPORTED, "tomorrow's size, last byte set");
    memset(tail, 0, length);
    tail[0] = 1;
    expect(trial, SLUICE_UNSUPPORTED, "tomorrow's size, first byte set");
    memset(tail, 0, length);
    set_size(trial, trial->now - 8);
    expect(trial, SLUICE_INVALID, "a member short");
    set_size(trial, 1u << 20);
    expect(trial, SLUICE_INVALID, "a wild size");
    set_size(trial, 0);
    expect(trial, SLUICE_INVALID, "no size");
    set_size(trial, trial->now);
    expect(trial, SLUICE_OK, "today's size again");
    if (trial->call == call_dispatch) /* the last trial's lane is used by combine */
        call_dispatch();
}

/* -------------------------------------------------------------------------------- arguments */

static void fill_config(void)
{
    t.router.now = (sluice_router){
        .struct_size = sizeof(sluice_router), .experts = EXPERTS, .top_k = TOP_K, .shared = SHARED};
    t.layer.now = (sluice_layer){.struct_size = sizeof(sluice_layer), .router = &t.router.now};
    t.comm.now = (sluice_comm){.struct_size = sizeof(sluice_comm), .size = 1};
    t.host.now.struct_size = sizeof(sluice_host);
    t.transport.now = (sluice_transport){.struct_size = sizeof(sluice_transport),
                                         .max_tokens = TOKENS,
                                         .payload_row_bytes = HIDDEN * sizeof(float)};
    t.needs.now.struct_size = sizeof(sluice_needs);
    layers[0] = &t.layer.now;
    t.config.now = (sluice_config){.struct_size = sizeof(sluice_config),
                                   .host = &t.host.now,
                                   .comm = &t.comm.now,
                                   .layers = layers,
                                   .transport = &t.transport.now,
                                   .needs = &t.needs.now,
                                   .layer_count = 1,
                                   .uses = SLUICE_USE_EXACT};
}

static void fill_choice(void)
{
    for (int32_t i = 0; i < TOKENS * EXPERTS; i++)
        b.logit[i / EXPERTS][i % EXPERTS] = kit_noise(1, (uint64_t)i);
    const sluice_tensor *logits = kit_f32(&b.logits, b.logit, TOKENS, EXPERTS);
    const sluice_tensor *ids = kit_i32(&b.ids, b.id, TOKENS, TOP_K);
    const sluice_tensor *weights = kit_f32(&b.weights, b.weight, TOKENS, TOP_K);
    const sluice_tensor *slots = kit_i32(&b.slot_ids, b.slot, TOKENS, COLUMNS);
    const sluice_tensor *slot_weights = kit_f32(&b.slot_weights, b.slot_weight, TOKENS, COLUMNS);
    const sluice_tensor *recorder = kit_i32(&b.recorder, b.physical, TOKENS, TOP_K);
    t.topk.now = (sluice_topk_args){
        .struct_size = sizeof t.topk.now, .logits = logits, .ids = ids, .weights = weights};
    t.remap.now = (sluice_remap_args){.struct_size = sizeof t.remap.now,
                                      .ids = ids,
                                      .weights = weights,
                                      .dispatch_ids = slots,
                                      .dispatch_weights = slot_weights,
                                      .recorder_ids = recorder};
    t.record.now =
        (sluice_record_args){.struct_size = sizeof t.record.now, .recorder_ids = recorder};
    t.route.now = (sluice_route_args){.struct_size = sizeof t.route.now,
                                      .logits = logits,
                                      .dispatch_ids = slots,
                                      .dispatch_weights = slot_weights};
}

static void fill_rest(void)
{
    payloads[0] = kit_f32(&b.x, b.hidden, TOKENS, HIDDEN);
    received[0] = kit_f32(&b.rows, b.row, TOKENS * COLUMNS, HIDDEN);
    t.dispatch.now = (sluice_dispatch_args){.struct_size = sizeof t.dispatch.now,
                                            .handle = &handle,
                                            .payload_count = 1,
                                            .payloads = payloads,
                                            .dispatch_ids = &b.slot_ids.tensor,
                                            .dispatch_weights = &b.slot_weights.tensor,
                                            .rows = received,
                                            .row_count = &row_count};
    t.combine.now = (sluice_combine_args){.struct_size = sizeof t.combine.now,
                                          .handle = &handle,
                                          .rows = received[0],
                                          .out = kit_f32(&b.out, b.result, TOKENS, HIDDEN)};
    t.param.now = (sluice_param){.struct_size = sizeof t.param.now,
                                 .name = "w",
                                 .tensor = kit_f32(&b.w, b.expert, LOCAL, HIDDEN)};
    params[0] = &t.param.now;
    t.weights.now = (sluice_weights_args){
        .struct_size = sizeof t.weights.now, .params = params, .param_count = 1};
    t.slots.now = (sluice_load_slots){.struct_size = sizeof t.slots.now,
                                      .slot_counts = kit_i32(&b.counts, b.count, LOCAL, 0)};
    t.shape.now.struct_size = sizeof t.shape.now;
    t.ranks.now = (sluice_ranks){.struct_size = sizeof t.ranks.now, .alive = alive};
    t.fault.now.struct_size = sizeof t.fault.now;
    t.stats.now.struct_size = sizeof t.stats.now;
}

int main(int argc, char **argv)
{
    api = kit_plugin(argc, argv);
    fill_config();
    fill_choice();
    fill_rest();
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++)
        run(&trials[i]);
    kit_check(api->extension("sluice.tomorrow/1") == NULL, "an unknown extension is NULL", 0);
    kit_check(api->extension("sluice.route/2") == NULL, "an unknown revision is NULL", 0);
    api->close(context);
    return kit_verdict("host_future");
}
