/* Ranks as threads, each with a context of its own, serving a step through every operation. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../abi/ext/load.h"
#include "../../abi/ext/placement.h"
#include "../../abi/ext/route.h"
#include "../comm/comm_threads.h"
#include "replay.h"
#include "tool_file.h"

struct sl_world_rank {
    struct sl_world *world;
    int32_t number;
    sluice_context *context;
    sluice_status status;
    char error[600];
    float **weights; /* [layers] of [L][floats of an expert] */
    int32_t *holds;  /* [L] */
    /* of one layer's call */
    int32_t *ids, *slots, *recorder, *row_slot;
    float *route_weights, *shared_weights, *zero_weight, *slot_weights;
    char *in, *out;
    int64_t room; /* rows of in, out and row_slot */
    int32_t step;
    bool changes;
};

/* A tensor with room for its shape. */
struct tensor {
    sluice_tensor t;
    int64_t shape[2];
};

static const sluice_dtype F32 = {SLUICE_FLOAT, 32, 1}, I32 = {SLUICE_INT, 32, 1},
                          BF16 = {SLUICE_BFLOAT, 16, 1};

static const sluice_tensor *tensor(struct tensor *at, void *data, sluice_dtype dtype, int64_t rows,
                                   int64_t columns)
{
    at->shape[0] = rows;
    at->shape[1] = columns;
    at->t = (sluice_tensor){.data = data,
                            .device = {SLUICE_CPU, 0},
                            .ndim = columns ? 2 : 1,
                            .dtype = dtype,
                            .shape = at->shape};
    return &at->t;
}

static bool ok(struct sl_world_rank *rank, const char *what, int32_t layer, sluice_status status)
{
    if (status == SLUICE_OK)
        return true;
    char text[512] = "";
    if (rank->context)
        (void)rank->world->api->last_error(rank->context, text, sizeof text);
    rank->status = status;
    (void)snprintf(rank->error, sizeof rank->error, "rank %d, layer %d, %s: %s", rank->number,
                   layer, what, text);
    return false;
}

static int32_t slots_of(const struct sl_world *world)
{
    return world->plain ? world->replay->router.experts : world->replay->slots;
}

static struct sl_expert_shape expert_shape(const struct sl_replay_case *c)
{
    return (struct sl_expert_shape){c->options->hidden, c->options->width, c->options->bf16};
}

/* ------------------------------------------------------------------------------------ weights */

static const sluice_placement_api *placement_of(const struct sl_world *world)
{
    return world->api->extension(SLUICE_EXT_PLACEMENT);
}

/* Writes expert weights into the given local rows, by what the plugin says they hold. */
static bool load_rows(struct sl_world_rank *rank, int32_t layer, int32_t count, float *data)
{
    const struct sl_world *world = rank->world;
    const struct sl_replay_case *c = world->replay;
    int32_t local = slots_of(world) + c->fused;
    struct sl_expert_shape shape = expert_shape(c);
    if (!ok(rank, "placement rows", layer,
            placement_of(world)->rows(rank->context, layer, rank->number, rank->holds, local)))
        return false;
    for (int32_t row = 0; row < count; row++) {
        int32_t held = rank->holds[row];
        if (held == SLUICE_ROW_EMPTY)
            continue;
        int32_t expert = held >= 0 ? held : c->router.experts + SLUICE_ROW_SHARED(0) - held;
        sl_expert_draw(&shape, c->options->seed, layer, expert,
                       data + (size_t)row * sl_expert_floats(&shape));
    }
    return true;
}

/* Takes a new placement and rewrites weights only through the views: shared rows stay. */
static bool change_layer(struct sl_world_rank *rank, int32_t layer)
{
    struct sl_world *world = rank->world;
    const struct sl_replay_case *c = world->replay;
    struct sl_expert_shape shape = expert_shape(c);
    int32_t slots = slots_of(world), physical = slots * world->ranks;
    int64_t floats = (int64_t)sl_expert_floats(&shape);
    struct tensor whole;
    sluice_param param = {.struct_size = sizeof param,
                          .name = "experts",
                          .tensor =
                              tensor(&whole, rank->weights[layer], F32, slots + c->fused, floats),
                          .role = SLUICE_ROLE_EXPERT};
    sluice_param *params[] = {&param};
    sluice_weights_args args = {
        .struct_size = sizeof args, .layer = layer, .params = params, .param_count = 1};
    if (!ok(rank, "get_moe_weights", layer, world->api->get_moe_weights(rank->context, &args)) ||
        !ok(rank, "placement set", layer,
            placement_of(world)->set(rank->context, layer,
                                     c->maps[1] + (size_t)layer * (size_t)physical, physical, 0,
                                     NULL)))
        return false;
    return load_rows(rank, layer, (int32_t)param.view.shape[0], param.view.data);
}

/* --------------------------------------------------------------------------------- one layer */

struct slice {
    const struct sl_replay_case *c;
    const struct sl_replay_input *in;
    int64_t first, tokens; /* this rank's rows of the step */
    int32_t columns;       /* K + F */
};

static bool choose(struct sl_world_rank *rank, int32_t layer, const struct slice *s)
{
    struct tensor logits, bias, gates, ids, weights, shared, zero;
    const struct sl_replay_case *c = s->c;
    int32_t f = c->router.shared, k = c->router.top_k;
    sluice_topk_args args = {.struct_size = sizeof args,
                             .layer = layer,
                             .logits = tensor(&logits, s->in->logits + s->first * c->columns, F32,
                                              s->tokens, c->columns),
                             .ids = tensor(&ids, rank->ids, I32, s->tokens, k),
                             .weights = tensor(&weights, rank->route_weights, F32, s->tokens, k)};
    if (c->router.bias_use != SLUICE_BIAS_NONE)
        args.bias = tensor(&bias, c->bias, F32, c->columns, 0);
    if (s->in->shared_logits) {
        args.shared_logits = tensor(&gates, s->in->shared_logits + s->first * f, F32, s->tokens, f);
        args.shared_weights = tensor(&shared, rank->shared_weights, F32, s->tokens, f);
    }
    if (c->router.zero_experts)
        args.zero_weight = tensor(&zero, rank->zero_weight, F32, s->tokens, 0);
    return ok(rank, "topk", layer, rank->world->api->topk(rank->context, &args));
}

static bool map_and_record(struct sl_world_rank *rank, int32_t layer, const struct slice *s)
{
    struct tensor ids, weights, shared, slots, slot_weights, recorder;
    const sluice_api *api = rank->world->api;
    int32_t f = s->c->router.shared, k = s->c->router.top_k;
    sluice_remap_args args = {
        .struct_size = sizeof args,
        .layer = layer,
        .ids = tensor(&ids, rank->ids, I32, s->tokens, k),
        .weights = tensor(&weights, rank->route_weights, F32, s->tokens, k),
        .dispatch_ids = tensor(&slots, rank->slots, I32, s->tokens, s->columns),
        .dispatch_weights = tensor(&slot_weights, rank->slot_weights, F32, s->tokens, s->columns),
        .recorder_ids = tensor(&recorder, rank->recorder, I32, s->tokens, k)};
    if (s->in->shared_logits && s->c->fused)
        args.shared_weights = tensor(&shared, rank->shared_weights, F32, s->tokens, f);
    sluice_record_args record = {
        .struct_size = sizeof record, .layer = layer, .recorder_ids = args.recorder_ids};
    return ok(rank, "remap", layer, api->remap(rank->context, &args)) &&
           ok(rank, "record", layer, api->record(rank->context, &record));
}

static bool route_fused(struct sl_world_rank *rank, int32_t layer, const struct slice *s)
{
    struct tensor logits, bias, gates, slots, slot_weights, zero;
    const struct sl_replay_case *c = s->c;
    const sluice_route_api *route = rank->world->api->extension(SLUICE_EXT_ROUTE);
    sluice_route_args args = {
        .struct_size = sizeof args,
        .layer = layer,
        .logits =
            tensor(&logits, s->in->logits + s->first * c->columns, F32, s->tokens, c->columns),
        .dispatch_ids = tensor(&slots, rank->slots, I32, s->tokens, s->columns),
        .dispatch_weights = tensor(&slot_weights, rank->slot_weights, F32, s->tokens, s->columns)};
    if (c->router.bias_use != SLUICE_BIAS_NONE)
        args.bias = tensor(&bias, c->bias, F32, c->columns, 0);
    if (s->in->shared_logits)
        args.shared_logits = tensor(&gates, s->in->shared_logits + s->first * c->router.shared, F32,
                                    s->tokens, c->router.shared);
    if (c->router.zero_experts)
        args.zero_weight = tensor(&zero, rank->zero_weight, F32, s->tokens, 0);
    return ok(rank, "route", layer, route->route(rank->context, &args));
}

static bool route(struct sl_world_rank *rank, int32_t layer, const struct slice *s)
{
    const struct sl_replay_options *o = s->c->options;
    int64_t k = s->c->router.top_k;
    if (!s->in->logits) {
        memcpy(rank->ids, s->in->ids + s->first * k, (size_t)(s->tokens * k) * sizeof(int32_t));
        memcpy(rank->route_weights, s->in->weights + s->first * k,
               (size_t)(s->tokens * k) * sizeof(float));
        return map_and_record(rank, layer, s);
    }
    bool fused = o->route == SL_ROUTE_FUSED || (o->route == SL_ROUTE_BOTH && layer % 2 == 0);
    if (fused && !rank->world->plain && rank->world->api->extension(SLUICE_EXT_ROUTE))
        return route_fused(rank, layer, s);
    return choose(rank, layer, s) && map_and_record(rank, layer, s);
}

static bool make_room(struct sl_world_rank *rank, int64_t rows, size_t row_bytes)
{
    if (rows <= rank->room)
        return true;
    row_bytes += 1; /* never nothing */
    free(rank->in);
    free(rank->out);
    free(rank->row_slot);
    rank->in = malloc((size_t)rows * row_bytes);
    rank->out = malloc((size_t)rows * row_bytes);
    rank->row_slot = malloc((size_t)rows * sizeof *rank->row_slot);
    rank->room = rank->in && rank->out && rank->row_slot ? rows : 0;
    return rank->room == rows;
}

static bool send(struct sl_world_rank *rank, int32_t layer, const struct slice *s,
                 sluice_handle *handle, int64_t *rows)
{
    const struct sl_replay_options *o = s->c->options;
    const sluice_api *api = rank->world->api;
    size_t row_bytes = (size_t)o->hidden * sl_element_bytes(o->bf16);
    struct tensor ids, weights, payload, out, slot;
    sluice_dtype dtype = o->bf16 ? BF16 : F32;
    char *x = (char *)s->c->x + ((size_t)layer * (size_t)s->c->rows + (size_t)s->first) * row_bytes;
    bool fixed = o->fixed && !rank->world->plain;
    const sluice_tensor *payloads[] = {tensor(&payload, x, dtype, s->tokens, o->hidden)};
    sluice_dispatch_args args = {
        .struct_size = sizeof args,
        .layer = layer,
        .phase = fixed ? SLUICE_DISPATCH_FIXED : SLUICE_DISPATCH_COUNT,
        .handle = handle,
        .dispatch_ids = tensor(&ids, rank->slots, I32, s->tokens, s->columns),
        .dispatch_weights = tensor(&weights, rank->slot_weights, F32, s->tokens, s->columns),
        .row_count = rows,
        .multiply = s->c->router.weight_on == SLUICE_WEIGHT_ON_INPUT};
    if (!fixed) {
        if (!ok(rank, "dispatch COUNT", layer, api->dispatch(rank->context, &args)))
            return false;
        args.phase = SLUICE_DISPATCH_SEND;
    } else {
        *rows = (int64_t)rank->world->ranks * s->tokens * s->columns;
    }
    if (!make_room(rank, *rows, row_bytes)) {
        (void)ok(rank, "out of memory", layer, SLUICE_NO_MEMORY);
        return false;
    }
    const sluice_tensor *outs[] = {tensor(&out, rank->in, dtype, *rows, o->hidden)};
    args.payload_count = 1;
    args.payloads = payloads;
    args.rows = outs;
    args.row_slot = tensor(&slot, rank->row_slot, I32, *rows, 0);
    return ok(rank, "dispatch", layer, api->dispatch(rank->context, &args));
}

static void compute(struct sl_world_rank *rank, int32_t layer, int64_t rows)
{
    struct sl_world *world = rank->world;
    struct sl_expert_shape shape = expert_shape(world->replay);
    size_t row_bytes = (size_t)shape.hidden * sl_element_bytes(shape.bf16);
    size_t floats = sl_expert_floats(&shape);
    int64_t *served = &world->served[(int64_t)layer * world->ranks + rank->number];
    for (int64_t row = 0; row < rows; row++) {
        int32_t slot = rank->row_slot[row];
        if (slot < 0)
            continue;
        sl_expert_run(&shape, rank->weights[layer] + (size_t)slot * floats,
                      rank->in + (size_t)row * row_bytes, rank->out + (size_t)row * row_bytes);
        ++*served;
    }
}

static bool bring_home(struct sl_world_rank *rank, int32_t layer, const struct slice *s,
                       const sluice_handle *handle, int64_t rows)
{
    const struct sl_replay_case *c = s->c;
    const struct sl_replay_options *o = c->options;
    size_t row_bytes = (size_t)o->hidden * sl_element_bytes(o->bf16);
    size_t at = ((size_t)layer * (size_t)c->rows + (size_t)s->first) * row_bytes;
    struct tensor in, out, x, zero;
    sluice_dtype dtype = o->bf16 ? BF16 : F32;
    sluice_combine_args args = {
        .struct_size = sizeof args,
        .layer = layer,
        .scale = c->router.scale_by == SLUICE_SCALE_BY_ENGINE,
        .handle = handle,
        .rows = tensor(&in, rank->out, dtype, rows, o->hidden),
        .out = tensor(&out, (char *)rank->world->out + at, dtype, s->tokens, o->hidden)};
    if (c->router.zero_experts) {
        args.zero_weight = tensor(&zero, rank->zero_weight, F32, s->tokens, 0);
        args.x = tensor(&x, (char *)c->x + at, dtype, s->tokens, o->hidden);
    }
    return ok(rank, "combine", layer, rank->world->api->combine(rank->context, &args));
}

/* What the plain world chose, for the literal sum. */
static void keep_choices(struct sl_world_rank *rank, int32_t layer, const struct slice *s)
{
    struct sl_world *world = rank->world;
    const struct sl_replay_case *c = s->c;
    size_t rows = (size_t)c->rows, at = (size_t)layer * rows;
    size_t k = (size_t)c->router.top_k, f = (size_t)c->router.shared;
    memcpy(world->ids + at * k, rank->ids, rows * k * sizeof(int32_t));
    memcpy(world->weights + at * k, rank->route_weights, rows * k * sizeof(float));
    memcpy(world->shared_weights + at * f, rank->shared_weights, rows * f * sizeof(float));
    memcpy(world->zero_weight + at, rank->zero_weight, rows * sizeof(float));
}

static bool serve_layer(struct sl_world_rank *rank, int32_t layer)
{
    const struct sl_replay_case *c = rank->world->replay;
    struct slice s = {.c = c,
                      .in = &c->inputs[layer],
                      .first = rank->number * rank->world->tokens,
                      .tokens = rank->world->tokens,
                      .columns = c->router.top_k + c->fused};
    sluice_handle handle;
    int64_t rows = 0;
    if ((rank->changes && !change_layer(rank, layer)) || !route(rank, layer, &s))
        return false;
    if (rank->world->plain)
        keep_choices(rank, layer, &s);
    if (!send(rank, layer, &s, &handle, &rows))
        return false;
    compute(rank, layer, rows);
    return bring_home(rank, layer, &s, &handle, rows);
}

static void *serve(void *argument)
{
    struct sl_world_rank *rank = argument;
    for (int32_t layer = 0; layer < rank->world->replay->layers; layer++)
        if (!serve_layer(rank, layer))
            break;
    return NULL;
}

/* ----------------------------------------------------------------------------- open and close */

static sluice_config config_of(const struct sl_world *world, const sluice_comm *comm,
                               const sluice_layer *const *layers, const sluice_transport *transport,
                               const sluice_host *host)
{
    const struct sl_replay_options *o = world->replay->options;
    sluice_config config = {.struct_size = sizeof config,
                            .label = world->plain ? "plain" : NULL,
                            .host = host,
                            .comm = comm,
                            .layers = layers,
                            .transport = transport,
                            .layer_count = world->replay->layers,
                            .uses = SLUICE_USE_EXACT,
                            .shared_policy = o->shared_policy == SLUICE_SHARED_NOT_FUSED
                                                 ? SLUICE_SHARED_NOT_FUSED
                                                 : SLUICE_SHARED_AT_HOME,
                            .seed = o->seed};
    if (world->plain)
        return config;
    config.copy_policy = o->copy_policy;
    config.shared_policy = o->shared_policy;
    if (o->fixed)
        config.uses = SLUICE_USE_FIXED;
    if (o->shared_policy == SLUICE_SHARED_WATERFILL_DYNAMIC)
        config.uses |= SLUICE_USE_BALANCE_NOW;
    return config;
}

static bool open_context(struct sl_world_rank *rank)
{
    struct sl_world *world = rank->world;
    const struct sl_replay_case *c = world->replay;
    const struct sl_replay_options *o = c->options;
    int64_t row = o->hidden * (int64_t)sl_element_bytes(o->bf16);
    sluice_layer layer = {
        .struct_size = sizeof layer, .router = &c->router, .slots_per_rank = slots_of(world)};
    sluice_transport transport = {.struct_size = sizeof transport,
                                  .max_tokens = world->tokens,
                                  .fixed_tokens = world->tokens,
                                  .payload_row_bytes = row,
                                  .combine_order =
                                      world->plain ? SLUICE_COMBINE_EXACT : o->combine_order};
    sluice_host host = {.struct_size = sizeof host, .threads = o->threads};
    sluice_comm comm;
    sluice_comm_threads_get(world->group, rank->number, &comm);
    const sluice_layer **layers = malloc((size_t)c->layers * sizeof *layers);
    if (!layers)
        return ok(rank, "out of memory", 0, SLUICE_NO_MEMORY);
    for (int32_t l = 0; l < c->layers; l++)
        layers[l] = &layer;
    sluice_config config = config_of(world, &comm, layers, &transport, &host);
    char text[512] = "";
    rank->status = world->api->open(&config, &rank->context, text, sizeof text);
    free(layers);
    if (rank->status)
        (void)snprintf(rank->error, sizeof rank->error, "rank %d, open: %s", rank->number, text);
    return rank->status == SLUICE_OK;
}

static bool open_buffers(struct sl_world_rank *rank)
{
    const struct sl_world *world = rank->world;
    const struct sl_replay_case *c = world->replay;
    size_t tokens = (size_t)world->tokens, k = (size_t)c->router.top_k;
    size_t f = (size_t)c->router.shared, columns = k + (size_t)c->fused;
    struct sl_expert_shape shape = expert_shape(c);
    size_t local = (size_t)slots_of(world) + (size_t)c->fused;
    rank->ids = malloc(tokens * k * sizeof(int32_t));
    rank->recorder = malloc(tokens * k * sizeof(int32_t));
    rank->slots = malloc(tokens * columns * sizeof(int32_t));
    rank->route_weights = malloc(tokens * k * sizeof(float));
    rank->slot_weights = malloc(tokens * columns * sizeof(float));
    rank->shared_weights = calloc(tokens * f + 1, sizeof(float));
    rank->zero_weight = calloc(tokens + 1, sizeof(float));
    rank->holds = malloc(local * sizeof(int32_t));
    rank->weights = calloc((size_t)c->layers, sizeof *rank->weights);
    bool all = rank->ids && rank->recorder && rank->slots && rank->route_weights &&
               rank->slot_weights && rank->shared_weights && rank->zero_weight && rank->holds &&
               rank->weights;
    for (int32_t l = 0; all && l < c->layers; l++) {
        rank->weights[l] = calloc(local * sl_expert_floats(&shape), sizeof(float));
        all = rank->weights[l] != NULL;
    }
    return all ? true : ok(rank, "out of memory", 0, SLUICE_NO_MEMORY);
}

/* Opens a rank, puts the first placement in force and loads all its weights, shared ones too. */
static void *start(void *argument)
{
    struct sl_world_rank *rank = argument;
    const struct sl_world *world = rank->world;
    const struct sl_replay_case *c = world->replay;
    int32_t slots = slots_of(world), physical = slots * world->ranks;
    if (!open_context(rank) || !open_buffers(rank))
        return NULL;
    const sluice_stats_api *stats = world->api->extension(SLUICE_EXT_STATS);
    if (stats)
        (void)stats->set_timing(rank->context, 1);
    for (int32_t l = 0; l < c->layers; l++) {
        const int32_t *map = c->maps[0] + (size_t)l * (size_t)physical;
        if (!world->plain &&
            !ok(rank, "placement set", l,
                placement_of(world)->set(rank->context, l, map, physical, 0, NULL)))
            return NULL;
        if (!load_rows(rank, l, slots + c->fused, rank->weights[l]))
            return NULL;
    }
    return NULL;
}

static bool run_all(struct sl_world *world, void *(*run)(void *))
{
    pthread_t threads[1024];
    int32_t started = 0;
    for (; started < world->ranks; started++)
        if (pthread_create(&threads[started], NULL, run, &world->all[started]) != 0)
            break;
    for (int32_t r = 0; r < started; r++)
        pthread_join(threads[r], NULL);
    if (started < world->ranks)
        (void)snprintf(world->error, sizeof world->error, "could not start %d threads",
                       world->ranks);
    for (int32_t r = 0; r < world->ranks && !world->error[0]; r++)
        if (world->all[r].status && world->all[r].status != SLUICE_PEER_LOST)
            (void)snprintf(world->error, sizeof world->error, "%s", world->all[r].error);
    for (int32_t r = 0; r < world->ranks && !world->error[0]; r++)
        if (world->all[r].status)
            (void)snprintf(world->error, sizeof world->error, "%s", world->all[r].error);
    return world->error[0] == 0;
}

int sl_world_open(struct sl_world *world, char *err, size_t n)
{
    const struct sl_replay_case *c = world->replay;
    const struct sl_replay_options *o = c->options;
    size_t cells = (size_t)c->layers * (size_t)c->rows, k = (size_t)c->router.top_k;
    if (!placement_of(world) || !world->api->extension(SLUICE_EXT_LOAD))
        return sl_tool_error(err, n, "the plugin has no sluice.placement/1 or sluice.load/1");
    world->tokens = world->plain ? c->rows : o->tokens;
    world->out = malloc(cells * (size_t)o->hidden * sl_element_bytes(o->bf16));
    world->served = calloc((size_t)c->layers * (size_t)world->ranks, sizeof *world->served);
    world->counted = calloc((size_t)c->layers * (size_t)c->router.experts, sizeof *world->counted);
    world->all = calloc((size_t)world->ranks, sizeof *world->all);
    world->group = sluice_comm_threads_create(world->ranks, NULL);
    if (world->plain) {
        world->ids = malloc(cells * k * sizeof(int32_t));
        world->weights = malloc(cells * k * sizeof(float));
        world->shared_weights = malloc((cells * (size_t)c->router.shared + 1) * sizeof(float));
        world->zero_weight = malloc(cells * sizeof(float));
    }
    if (!world->out || !world->served || !world->counted || !world->all || !world->group ||
        (world->plain &&
         (!world->ids || !world->weights || !world->shared_weights || !world->zero_weight)))
        return sl_tool_error(err, n, "out of memory");
    for (int32_t r = 0; r < world->ranks; r++) {
        world->all[r].world = world;
        world->all[r].number = r;
    }
    return run_all(world, start) ? 0 : sl_tool_error(err, n, "%s", world->error);
}

/* Adds the layer's counters by logical expert and starts them again. */
static void collect(struct sl_world *world)
{
    const struct sl_replay_case *c = world->replay;
    const sluice_load_api *load = world->api->extension(SLUICE_EXT_LOAD);
    int32_t experts = c->router.experts;
    int64_t *counts = calloc((size_t)experts, sizeof *counts);
    for (int32_t r = 0; counts && r < world->ranks; r++)
        for (int32_t l = 0; l < c->layers; l++) {
            sluice_context *context = world->all[r].context;
            if (load->read_logical(context, l, counts, experts, NULL) ||
                load->reset(context, l, NULL))
                continue;
            for (int32_t e = 0; e < experts; e++)
                world->counted[(size_t)l * (size_t)experts + (size_t)e] += counts[e];
        }
    free(counts);
}

int sl_world_step(struct sl_world *world, int32_t step, bool changes)
{
    if (changes)
        collect(world); /* counts are read through the map they were made under */
    for (int32_t r = 0; r < world->ranks; r++) {
        world->all[r].step = step;
        world->all[r].changes = changes && !world->plain;
    }
    return run_all(world, serve) ? 0 : -1;
}

static void add_stats(sluice_stats *sum, const sluice_stats *one)
{
    for (int32_t op = 0; op < SLUICE_OP_COUNT; op++) {
        sum->calls[op] += one->calls[op];
        sum->rejected[op] += one->rejected[op];
        sum->nanoseconds[op] += one->nanoseconds[op];
    }
    sum->dead += one->dead;
    sum->overflows += one->overflows;
    sum->dispatch_useful += one->dispatch_useful;
    sum->dispatch_moved += one->dispatch_moved;
    sum->combine_useful += one->combine_useful;
    sum->combine_moved += one->combine_moved;
}

/* Shared rows must still be what was loaded at the start. */
static void check_shared(struct sl_world *world, const struct sl_world_rank *rank)
{
    const struct sl_replay_case *c = world->replay;
    struct sl_expert_shape shape = expert_shape(c);
    size_t floats = sl_expert_floats(&shape);
    float *fresh = malloc(floats * sizeof *fresh);
    for (int32_t l = 0; fresh && l < c->layers; l++)
        for (int32_t j = 0; j < c->fused; j++) {
            sl_expert_draw(&shape, c->options->seed, l, c->router.experts + j, fresh);
            size_t row = (size_t)slots_of(world) + (size_t)j;
            if (memcmp(fresh, rank->weights[l] + row * floats, floats * sizeof *fresh) != 0)
                world->shared_changed++;
        }
    free(fresh);
}

void sl_world_finish(struct sl_world *world)
{
    const sluice_stats_api *stats = world->api->extension(SLUICE_EXT_STATS);
    collect(world);
    for (int32_t r = 0; r < world->ranks; r++) {
        sluice_stats one = {.struct_size = sizeof one};
        if (stats && stats->read(world->all[r].context, &one) == SLUICE_OK)
            add_stats(&world->stats, &one);
        check_shared(world, &world->all[r]);
    }
}

void sl_world_close(struct sl_world *world)
{
    for (int32_t r = 0; world->all && r < world->ranks; r++) {
        struct sl_world_rank *rank = &world->all[r];
        world->api->close(rank->context);
        for (int32_t l = 0; rank->weights && l < world->replay->layers; l++)
            free(rank->weights[l]);
        free(rank->weights);
        free(rank->holds);
        free(rank->ids);
        free(rank->recorder);
        free(rank->slots);
        free(rank->route_weights);
        free(rank->slot_weights);
        free(rank->shared_weights);
        free(rank->zero_weight);
        free(rank->in);
        free(rank->out);
        free(rank->row_slot);
    }
    sluice_comm_threads_destroy(world->group);
    free(world->all);
    free(world->out);
    free(world->served);
    free(world->counted);
    free(world->ids);
    free(world->weights);
    free(world->shared_weights);
    free(world->zero_weight);
}
