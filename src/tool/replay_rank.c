/* One layer on one rank, through every operation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../abi/ext/route.h"
#include "replay_rank.h"
#include "tool_status.h"

/* A tensor with room for its shape. */
struct tensor {
    sluice_tensor t;
    int64_t shape[2];
};

static const sluice_dtype F32 = {SLUICE_FLOAT, 32, 1}, I32 = {SLUICE_INT, 32, 1},
                          BF16 = {SLUICE_BFLOAT, 16, 1};

static const sluice_tensor *host_tensor(struct tensor *at, void *data, sluice_dtype dtype,
                                        int64_t rows, int64_t columns)
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

/* The same where the plugin works; what a call writes comes back with `home`. */
static const sluice_tensor *in(struct sl_world_rank *rank, struct tensor *at, void *data,
                               sluice_dtype dtype, int64_t rows, int64_t columns)
{
    (void)host_tensor(at, data, dtype, rows, columns);
    sl_mirror_put(&rank->mirror, &at->t, false);
    return &at->t;
}

static const sluice_tensor *out(struct sl_world_rank *rank, struct tensor *at, void *data,
                                sluice_dtype dtype, int64_t rows, int64_t columns)
{
    (void)host_tensor(at, data, dtype, rows, columns);
    sl_mirror_put(&rank->mirror, &at->t, true);
    return &at->t;
}

bool sl_rank_ok(struct sl_world_rank *rank, const char *what, int32_t layer, sluice_status status)
{
    if (status == SLUICE_OK)
        return true;
    char text[512] = "";
    if (rank->context)
        (void)rank->world->api->last_error(rank->context, text, sizeof text);
    rank->status = status;
    (void)snprintf(rank->error, sizeof rank->error, "rank %d, layer %d, %s: %s", rank->number,
                   layer, what, sl_status_text(text, status));
    return false;
}

static bool home(struct sl_world_rank *rank, int32_t layer)
{
    return sl_rank_ok(rank, "moving tensors between host and device", layer,
                      sl_mirror_home(&rank->mirror));
}

int32_t sl_world_slots(const struct sl_world *world)
{
    return world->plain ? world->replay->router.experts : world->replay->slots;
}

struct sl_expert_shape sl_world_expert(const struct sl_replay_case *c)
{
    return (struct sl_expert_shape){c->options->hidden, c->options->width, c->options->bf16};
}

/* ------------------------------------------------------------------------------------ weights */

const sluice_placement_api *sl_world_placement(const struct sl_world *world)
{
    return world->api->extension(SLUICE_EXT_PLACEMENT);
}

bool sl_rank_load(struct sl_world_rank *rank, int32_t layer, int32_t count, float *data)
{
    const struct sl_world *world = rank->world;
    const struct sl_replay_case *c = world->replay;
    int32_t local = sl_world_slots(world) + c->fused;
    struct sl_expert_shape shape = sl_world_expert(c);
    if (!sl_rank_ok(rank, "placement rows", layer,
                    sl_world_placement(world)->rows(rank->context, layer, rank->number, rank->holds,
                                                    local)))
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
    struct sl_expert_shape shape = sl_world_expert(c);
    int32_t slots = sl_world_slots(world), physical = slots * world->ranks;
    int64_t floats = (int64_t)sl_expert_floats(&shape);
    struct tensor whole;
    sluice_param param = {
        .struct_size = sizeof param,
        .name = "experts",
        .tensor = host_tensor(&whole, rank->weights[layer], F32, slots + c->fused, floats),
        .role = SLUICE_ROLE_EXPERT};
    sluice_param *params[] = {&param};
    sluice_weights_args args = {
        .struct_size = sizeof args, .layer = layer, .params = params, .param_count = 1};
    if (!sl_rank_ok(rank, "get_moe_weights", layer,
                    world->api->get_moe_weights(rank->context, &args)) ||
        !sl_rank_ok(rank, "placement set", layer,
                    sl_world_placement(world)->set(rank->context, layer,
                                                   c->maps[1] + (size_t)layer * (size_t)physical,
                                                   physical, 0, NULL)))
        return false;
    if (c->options->no_experts)
        return true;
    return sl_rank_load(rank, layer, (int32_t)param.view.shape[0], param.view.data);
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
    sluice_topk_args args = {
        .struct_size = sizeof args,
        .layer = layer,
        .logits =
            in(rank, &logits, s->in->logits + s->first * c->columns, F32, s->tokens, c->columns),
        .ids = out(rank, &ids, rank->ids, I32, s->tokens, k),
        .weights = out(rank, &weights, rank->route_weights, F32, s->tokens, k)};
    if (c->router.bias_use != SLUICE_BIAS_NONE)
        args.bias = in(rank, &bias, c->bias, F32, c->columns, 0);
    if (s->in->shared_logits) {
        args.shared_logits =
            in(rank, &gates, s->in->shared_logits + s->first * f, F32, s->tokens, f);
        args.shared_weights = out(rank, &shared, rank->shared_weights, F32, s->tokens, f);
    }
    if (c->router.zero_experts)
        args.zero_weight = out(rank, &zero, rank->zero_weight, F32, s->tokens, 0);
    return sl_rank_ok(rank, "topk", layer, rank->world->api->topk(rank->context, &args)) &&
           home(rank, layer);
}

static bool map_and_record(struct sl_world_rank *rank, int32_t layer, const struct slice *s)
{
    struct tensor ids, weights, shared, slots, slot_weights, recorder;
    const sluice_api *api = rank->world->api;
    int32_t f = s->c->router.shared, k = s->c->router.top_k;
    sluice_remap_args args = {
        .struct_size = sizeof args,
        .layer = layer,
        .ids = in(rank, &ids, rank->ids, I32, s->tokens, k),
        .weights = in(rank, &weights, rank->route_weights, F32, s->tokens, k),
        .dispatch_ids = out(rank, &slots, rank->slots, I32, s->tokens, s->columns),
        .dispatch_weights =
            out(rank, &slot_weights, rank->slot_weights, F32, s->tokens, s->columns),
        .recorder_ids = out(rank, &recorder, rank->recorder, I32, s->tokens, k)};
    if (s->in->shared_logits && s->c->fused)
        args.shared_weights = in(rank, &shared, rank->shared_weights, F32, s->tokens, f);
    sluice_record_args record = {
        .struct_size = sizeof record, .layer = layer, .recorder_ids = args.recorder_ids};
    return sl_rank_ok(rank, "remap", layer, api->remap(rank->context, &args)) &&
           sl_rank_ok(rank, "record", layer, api->record(rank->context, &record)) &&
           home(rank, layer);
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
            in(rank, &logits, s->in->logits + s->first * c->columns, F32, s->tokens, c->columns),
        .dispatch_ids = out(rank, &slots, rank->slots, I32, s->tokens, s->columns),
        .dispatch_weights =
            out(rank, &slot_weights, rank->slot_weights, F32, s->tokens, s->columns)};
    if (c->router.bias_use != SLUICE_BIAS_NONE)
        args.bias = in(rank, &bias, c->bias, F32, c->columns, 0);
    if (s->in->shared_logits)
        args.shared_logits = in(rank, &gates, s->in->shared_logits + s->first * c->router.shared,
                                F32, s->tokens, c->router.shared);
    if (c->router.zero_experts)
        args.zero_weight_here = out(rank, &zero, rank->zero_weight, F32, s->tokens, 0);
    return sl_rank_ok(rank, "route", layer, route->route(rank->context, &args)) &&
           home(rank, layer);
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
    size_t held = rows > 0 ? (size_t)rows : 1;
    row_bytes = row_bytes > 0 ? row_bytes : 1;
    free(rank->in);
    free(rank->out);
    free(rank->row_slot);
    rank->in = malloc(held * row_bytes);
    rank->out = malloc(held * row_bytes);
    rank->row_slot = malloc(held * sizeof *rank->row_slot);
    rank->room = rank->in && rank->out && rank->row_slot ? rows : 0;
    return rank->room == rows;
}

static bool send(struct sl_world_rank *rank, int32_t layer, const struct slice *s,
                 sluice_handle *handle, int64_t *rows)
{
    const struct sl_replay_options *o = s->c->options;
    const sluice_api *api = rank->world->api;
    size_t row_bytes = (size_t)o->hidden * sl_element_bytes(o->bf16);
    struct tensor ids, weights, payload, received, slot, counts;
    sluice_dtype dtype = o->bf16 ? BF16 : F32;
    bool fixed = o->fixed && !rank->world->plain;
    sluice_dispatch_args args = {
        .struct_size = sizeof args,
        .layer = layer,
        .phase = fixed ? SLUICE_DISPATCH_FIXED : SLUICE_DISPATCH_COUNT,
        .handle = handle,
        .dispatch_ids = in(rank, &ids, rank->slots, I32, s->tokens, s->columns),
        .dispatch_weights = in(rank, &weights, rank->slot_weights, F32, s->tokens, s->columns),
        .row_count = rows,
        .slot_counts =
            out(rank, &counts, rank->slot_rows, I32, sl_world_slots(rank->world) + s->c->fused, 0),
        .multiply = s->c->router.weight_on == SLUICE_WEIGHT_ON_INPUT};
    if (!fixed) {
        if (!sl_rank_ok(rank, "dispatch COUNT", layer, api->dispatch(rank->context, &args)))
            return false;
        if (o->no_experts)
            return home(rank, layer);
        args.phase = SLUICE_DISPATCH_SEND;
    } else {
        *rows = (int64_t)rank->world->ranks * s->tokens * s->columns;
    }
    if (!make_room(rank, *rows, row_bytes)) {
        (void)sl_rank_ok(rank, "out of memory", layer, SLUICE_NO_MEMORY);
        return false;
    }
    char *x = (char *)s->c->x + ((size_t)layer * (size_t)s->c->rows + (size_t)s->first) * row_bytes;
    const sluice_tensor *payloads[] = {in(rank, &payload, x, dtype, s->tokens, o->hidden)};
    const sluice_tensor *outs[] = {out(rank, &received, rank->in, dtype, *rows, o->hidden)};
    args.payload_count = 1;
    args.payloads = payloads;
    args.rows = outs;
    args.row_slot = out(rank, &slot, rank->row_slot, I32, *rows, 0);
    return sl_rank_ok(rank, "dispatch", layer, api->dispatch(rank->context, &args)) &&
           home(rank, layer);
}

/* What the rank has to do in the step. */
static void count_rows(struct sl_world_rank *rank, int32_t layer)
{
    struct sl_world *world = rank->world;
    int32_t slots = sl_world_slots(world), active = 0, routed = 0;
    int64_t rows = 0, at = (int64_t)layer * world->ranks + rank->number;
    for (int32_t i = 0; i < slots + world->replay->fused; i++) {
        rows += rank->slot_rows[i];
        active += rank->slot_rows[i] > 0;
        routed += i < slots && rank->slot_rows[i] > 0;
    }
    world->step_rows[at] = rows;
    world->step_experts[at] = routed;
    world->step_active[at] = active;
}

/* Of each choice and shared column that goes to another rank, for both. */
static void count_ways(const struct sl_world_rank *rank, int32_t layer, const struct slice *s)
{
    struct sl_world *world = rank->world;
    int32_t local = sl_world_slots(world) + world->replay->fused;
    atomic_int *ways = world->step_ways + (ptrdiff_t)layer * world->ranks;
    for (int64_t i = 0; i < s->tokens * s->columns; i++) {
        int32_t to = rank->slots[i] < 0 ? rank->number : rank->slots[i] / local;
        if (to == rank->number)
            continue;
        atomic_fetch_add(&ways[rank->number], 1);
        atomic_fetch_add(&ways[to], 1);
    }
}

static void compute(struct sl_world_rank *rank, int32_t layer, int64_t rows)
{
    struct sl_world *world = rank->world;
    struct sl_expert_shape shape = sl_world_expert(world->replay);
    size_t row_bytes = (size_t)shape.hidden * sl_element_bytes(shape.bf16);
    size_t floats = sl_expert_floats(&shape);
    for (int64_t row = 0; row < rows; row++) {
        int32_t slot = rank->row_slot[row];
        if (rank->number == 0)
            sl_replay_advance(world->replay, world->plain ? SL_SERVE_PLAIN : SL_SERVE_RANKS,
                              rank->step, layer, row, rows);
        if (slot < 0)
            continue;
        sl_expert_run(&shape, rank->weights[layer] + (size_t)slot * floats,
                      rank->in + (size_t)row * row_bytes, rank->out + (size_t)row * row_bytes);
    }
}

static bool bring_home(struct sl_world_rank *rank, int32_t layer, const struct slice *s,
                       const sluice_handle *handle, int64_t rows)
{
    const struct sl_replay_case *c = s->c;
    const struct sl_replay_options *o = c->options;
    size_t row_bytes = (size_t)o->hidden * sl_element_bytes(o->bf16);
    size_t at = ((size_t)layer * (size_t)c->rows + (size_t)s->first) * row_bytes;
    struct tensor rows_in, brought, x, zero;
    sluice_dtype dtype = o->bf16 ? BF16 : F32;
    sluice_combine_args args = {
        .struct_size = sizeof args,
        .layer = layer,
        .scale = c->router.scale_by == SLUICE_SCALE_BY_ENGINE,
        .handle = handle,
        .rows = in(rank, &rows_in, rank->out, dtype, rows, o->hidden),
        .out = out(rank, &brought, (char *)rank->world->out + at, dtype, s->tokens, o->hidden)};
    if (c->router.zero_experts) {
        args.zero_weight = in(rank, &zero, rank->zero_weight, F32, s->tokens, 0);
        args.x = in(rank, &x, (char *)c->x + at, dtype, s->tokens, o->hidden);
    }
    return sl_rank_ok(rank, "combine", layer, rank->world->api->combine(rank->context, &args)) &&
           home(rank, layer);
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

bool sl_rank_serve(struct sl_world_rank *rank, int32_t layer)
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
    bool plain = rank->world->plain, only_rows = c->options->no_experts;
    if (plain)
        keep_choices(rank, layer, &s);
    if (plain && only_rows)
        return true;
    if (!send(rank, layer, &s, &handle, &rows))
        return false;
    count_rows(rank, layer);
    if (sl_replay_timed(c->options))
        count_ways(rank, layer, &s);
    if (only_rows) {
        if (rank->number == 0)
            sl_replay_advance(c, SL_SERVE_RANKS, rank->step, layer, 1, 1);
        return true;
    }
    compute(rank, layer, rows);
    return bring_home(rank, layer, &s, &handle, rows);
}
