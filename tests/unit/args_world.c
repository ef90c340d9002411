#include "args_world.h"

#include <string.h>

#include "ct.h"

enum { POISON = 0x5A };

static sluice_context *open_world(void)
{
    static const int32_t BANK = 1;
    sluice_router routers[3] = {
        {.struct_size = sizeof(sluice_router),
         .experts = AW_E,
         .top_k = AW_K,
         .zero_experts = AW_Z,
         .bias_use = SLUICE_BIAS_SCORE,
         .bias_rows = 2,
         .scale = 2.0F,
         .scale_by = SLUICE_SCALE_BY_ENGINE,
         .shared = AW_F,
         .shared_weight = SLUICE_SHARED_SIGMOID},
        {.struct_size = sizeof(sluice_router), .experts = AW_E, .top_k = AW_K, .shared = AW_F}};
    routers[2] = routers[1];
    routers[2].weight_on = SLUICE_WEIGHT_ON_INPUT;
    sluice_layer layers[3];
    const sluice_layer *list[3];
    for (int32_t i = 0; i < 3; i++) {
        layers[i] = (sluice_layer){.struct_size = sizeof layers[i], .router = &routers[i]};
        list[i] = &layers[i];
    }
    layers[2].bank = &BANK;
    const sluice_transport transport = {.struct_size = sizeof transport,
                                        .max_tokens = AW_MOST,
                                        .fixed_tokens = 6,
                                        .payload_row_bytes = 64,
                                        .combine_row_bytes = AW_H * 4,
                                        .lanes = 2};
    const sluice_config config = {.struct_size = sizeof config,
                                  .layers = list,
                                  .layer_count = 3,
                                  .transport = &transport,
                                  .uses = SLUICE_USE_EXACT | SLUICE_USE_FIXED};
    return ct_open(&config);
}

static void fill_in(struct aw_in *in)
{
    ct_fill(in->logits, AW_T * 16, 3.0F, 1);
    ct_fill(in->bias, 2 * 16, 0.1F, 2);
    ct_fill(in->expert_scale, 16, 1.0F, 3);
    ct_fill(in->shared_logits, (int64_t)AW_T * AW_F, 1.0F, 4);
    ct_fill(in->weights, (int64_t)AW_T * AW_C, 1.0F, 5);
    ct_fill(in->shared_weights, (int64_t)AW_T * AW_F, 1.0F, 6);
    ct_fill(in->zero_weight, AW_T, 1.0F, 7);
    ct_fill(in->x, (int64_t)AW_T * AW_H, 1.0F, 8);
    ct_fill(in->expert_rows, (int64_t)AW_ROWS * AW_H, 1.0F, 9);
    for (int32_t i = 0; i < AW_T * AW_K; i++)
        in->forced_ids[i] = in->ids[i] = (i * 5) % AW_E;
    for (int32_t t = 0; t < AW_T; t++) {
        in->forced_row[t] = AW_T - 1 - t;
        in->bias_row[t] = t % 2;
        in->row_valid[t] = 1;
        for (int32_t c = 0; c < AW_C; c++)
            in->dispatch_ids[t * AW_C + c] = (t + 3 * c) % AW_L;
    }
    for (int32_t s = 0; s < AW_L; s++)
        in->slot_counts[s] = s;
    in->num_valid = AW_T;
    in->step = 7;
}

/* Both lanes as the good calls need them. */
static void start_lanes(struct aw *world)
{
    aw_good(world, AW_COUNT, 0);
    world->args.dispatch.handle = &world->counted;
    ct_eq_i64(aw_call(world, AW_COUNT), SLUICE_OK);
    aw_good(world, AW_FIXED, 0);
    world->args.dispatch.handle = &world->sent;
    ct_eq_i64(aw_call(world, AW_FIXED), SLUICE_OK);
}

struct aw *aw_make(void)
{
    struct aw *world = ct_alloc(sizeof *world);
    world->context = open_world();
    if (!world->context)
        return NULL;
    fill_in(&world->in);
    start_lanes(world);
    return world;
}

void aw_close(struct aw *world)
{
    ct_api()->close(world->context);
}

/* ------------------------------------------------------------------------------- good calls */

static const sluice_tensor *one(int64_t *value)
{
    return ct_tensor(value, CT_I64, 1, 0);
}

static void good_topk(struct aw *world, int32_t layer)
{
    struct aw_in *in = &world->in;
    struct aw_out *out = &world->out;
    sluice_topk_args *args = &world->args.topk;
    *args = (sluice_topk_args){.struct_size = sizeof *args,
                               .layer = layer,
                               .logits = ct_tensor(in->logits, CT_F32, AW_T, layer ? AW_E : 16),
                               .row_valid = ct_tensor(in->row_valid, CT_U8, AW_T, 0),
                               .num_valid = one(&in->num_valid),
                               .ids = ct_tensor(out->ids, CT_I32, AW_T, AW_K),
                               .weights = ct_tensor(out->weights, CT_F32, AW_T, AW_K)};
    if (layer)
        return;
    args->bias = ct_tensor(in->bias, CT_F32, 2, 16);
    args->bias_row = ct_tensor(in->bias_row, CT_I32, AW_T, 0);
    args->expert_scale = ct_tensor(in->expert_scale, CT_F32, 16, 0);
    args->shared_logits = ct_tensor(in->shared_logits, CT_F32, AW_T, AW_F);
    args->forced_ids = ct_tensor(in->forced_ids, CT_I32, AW_T, AW_K);
    args->forced_row = ct_tensor(in->forced_row, CT_I32, AW_T, 0);
    args->shared_weights = ct_tensor(out->shared_weights, CT_F32, AW_T, AW_F);
    args->zero_weight = ct_tensor(out->zero_weight, CT_F32, AW_T, 0);
}

static void good_remap(struct aw *world, int32_t layer)
{
    struct aw_in *in = &world->in;
    struct aw_out *out = &world->out;
    sluice_remap_args *args = &world->args.remap;
    *args = (sluice_remap_args){.struct_size = sizeof *args,
                                .layer = layer,
                                .ids = ct_tensor(in->ids, CT_I32, AW_T, AW_K),
                                .weights = ct_strided(in->weights, CT_F32, AW_T, AW_K, AW_C),
                                .shared_weights = ct_tensor(in->shared_weights, CT_F32, AW_T, AW_F),
                                .zero_weight = ct_tensor(in->zero_weight, CT_F32, AW_T, 0),
                                .row_valid = ct_tensor(in->row_valid, CT_U8, AW_T, 0),
                                .num_valid = one(&in->num_valid),
                                .step = one(&in->step),
                                .row_base = one(&in->row_base),
                                .dispatch_ids = ct_tensor(out->dispatch_ids, CT_I32, AW_T, AW_C),
                                .dispatch_weights =
                                    ct_tensor(out->dispatch_weights, CT_F32, AW_T, AW_C),
                                .recorder_ids = ct_tensor(out->recorder_ids, CT_I32, AW_T, AW_K),
                                .zero_weight_here = ct_tensor(out->zero_weight, CT_F32, AW_T, 0)};
}

static void good_route(struct aw *world, int32_t layer)
{
    struct aw_out *out = &world->out;
    good_topk(world, layer);
    const sluice_topk_args topk = world->args.topk;
    sluice_route_args *args = &world->args.route;
    *args = (sluice_route_args){.struct_size = sizeof *args,
                                .layer = layer,
                                .logits = topk.logits,
                                .bias = topk.bias,
                                .bias_row = topk.bias_row,
                                .expert_scale = topk.expert_scale,
                                .shared_logits = topk.shared_logits,
                                .forced_ids = topk.forced_ids,
                                .forced_row = topk.forced_row,
                                .row_valid = topk.row_valid,
                                .num_valid = topk.num_valid,
                                .step = one(&world->in.step),
                                .row_base = one(&world->in.row_base),
                                .dispatch_ids = ct_tensor(out->dispatch_ids, CT_I32, AW_T, AW_C),
                                .dispatch_weights =
                                    ct_tensor(out->dispatch_weights, CT_F32, AW_T, AW_C),
                                .recorder_ids = ct_tensor(out->recorder_ids, CT_I32, AW_T, AW_K),
                                .ids = topk.ids,
                                .weights = topk.weights,
                                .shared_weights = topk.shared_weights,
                                .zero_weight_here = topk.zero_weight};
}

static void good_weights(struct aw *world, int32_t layer)
{
    struct aw_out *out = &world->out;
    static const char *const names[] = {"w13", "w2"};
    for (int32_t i = 0; i < 2; i++) {
        out->params[i] =
            (sluice_param){.struct_size = sizeof(sluice_param),
                           .name = names[i],
                           .tensor = ct_tensor(out->weights_data, CT_U8, AW_L, 4 + 4 * i),
                           .visible = -5};
        world->params[i] = &out->params[i];
    }
    world->args.weights = (sluice_weights_args){.struct_size = sizeof world->args.weights,
                                                .layer = layer,
                                                .params = world->params,
                                                .param_count = 2};
}

static void good_dispatch(struct aw *world, enum aw_op op, int32_t layer)
{
    struct aw_in *in = &world->in;
    struct aw_out *out = &world->out;
    sluice_dispatch_args *args = &world->args.dispatch;
    *args = (sluice_dispatch_args){.struct_size = sizeof *args,
                                   .layer = layer,
                                   .phase = op == AW_COUNT  ? SLUICE_DISPATCH_COUNT
                                            : op == AW_SEND ? SLUICE_DISPATCH_SEND
                                                            : SLUICE_DISPATCH_FIXED,
                                   .handle = op == AW_SEND ? &world->counted : &out->handle,
                                   .lane = op == AW_FIXED,
                                   .dispatch_ids = ct_tensor(in->dispatch_ids, CT_I32, AW_T, AW_C),
                                   .num_valid = one(&in->num_valid),
                                   .slot_counts = ct_tensor(out->slot_counts, CT_I32, AW_L, 0),
                                   .slot_starts = ct_tensor(out->slot_starts, CT_I32, AW_L + 1, 0),
                                   .row_count = &out->row_count};
    if (op == AW_COUNT)
        return;
    world->payloads[0] = ct_tensor(in->x, CT_F32, AW_T, AW_H);
    world->rows[0] = ct_tensor(out->rows, CT_F32, AW_ROWS, AW_H);
    args->dispatch_weights = ct_tensor(in->weights, CT_F32, AW_T, AW_C);
    args->payload_count = 1;
    args->payloads = world->payloads;
    args->rows = world->rows;
    args->row_slot = ct_tensor(out->row_slot, CT_I32, AW_ROWS, 0);
    args->row_weight = ct_tensor(out->row_weight, CT_F32, AW_ROWS, 0);
}

static void good_combine(struct aw *world, int32_t layer)
{
    struct aw_in *in = &world->in;
    world->args.combine =
        (sluice_combine_args){.struct_size = sizeof world->args.combine,
                              .layer = layer,
                              .scale = 1,
                              .handle = &world->sent,
                              .rows = ct_tensor(in->expert_rows, CT_F32, AW_ROWS, AW_H),
                              .zero_weight = ct_tensor(in->zero_weight, CT_F32, AW_T, 0),
                              .x = ct_tensor(in->x, CT_F32, AW_T, AW_H),
                              .out = ct_tensor(world->out.out, CT_F32, AW_T, AW_H)};
}

void aw_good(struct aw *world, enum aw_op op, int32_t layer)
{
    struct aw_in *in = &world->in;
    memset(&world->out, POISON, sizeof world->out);
    memset(&world->args, 0, sizeof world->args);
    world->no_args = false;
    switch (op) {
    case AW_TOPK:
        good_topk(world, layer);
        return;
    case AW_REMAP:
        good_remap(world, layer);
        return;
    case AW_RECORD:
        world->args.record =
            (sluice_record_args){.struct_size = sizeof world->args.record,
                                 .layer = layer,
                                 .recorder_ids = ct_tensor(in->ids, CT_I32, AW_T, AW_K),
                                 .num_valid = one(&in->num_valid)};
        return;
    case AW_WEIGHTS:
        good_weights(world, layer);
        return;
    case AW_COMBINE:
        good_combine(world, layer);
        return;
    case AW_ROUTE:
        good_route(world, layer);
        return;
    case AW_SLOTS:
        world->args.slots =
            (sluice_load_slots){.struct_size = sizeof world->args.slots,
                                .layer = layer,
                                .slot_counts = ct_tensor(in->slot_counts, CT_I32, AW_L, 0)};
        return;
    default:
        good_dispatch(world, op, layer);
    }
}

sluice_status aw_call(struct aw *world, enum aw_op op)
{
    const sluice_api *api = ct_api();
    sluice_context *context = world->context;
    const sluice_route_api *route = api->extension(SLUICE_EXT_ROUTE);
    const sluice_load_api *load = api->extension(SLUICE_EXT_LOAD);
    bool none = world->no_args;
    switch (op) {
    case AW_TOPK:
        return api->topk(context, none ? NULL : &world->args.topk);
    case AW_REMAP:
        return api->remap(context, none ? NULL : &world->args.remap);
    case AW_RECORD:
        return api->record(context, none ? NULL : &world->args.record);
    case AW_WEIGHTS:
        return api->get_moe_weights(context, none ? NULL : &world->args.weights);
    case AW_COMBINE:
        return api->combine(context, none ? NULL : &world->args.combine);
    case AW_ROUTE:
        return route->route(context, none ? NULL : &world->args.route);
    case AW_SLOTS:
        return load->add_slots(context, none ? NULL : &world->args.slots);
    default:
        return api->dispatch(context, none ? NULL : &world->args.dispatch);
    }
}

/* ----------------------------------------------------------------------------------- damage */

static void bend(struct aw *world, const struct aw_row *row, sluice_tensor *tensor)
{
    switch (row->damage) {
    case AW_ROW:
        tensor->shape[0] = row->value;
        return;
    case AW_COLUMN:
        tensor->shape[1] = row->value;
        tensor->strides[0] = row->value;
        return;
    case AW_DTYPE:
        tensor->dtype.code = (uint8_t)(row->value / 1000);
        tensor->dtype.bits = (uint8_t)(row->value % 1000);
        return;
    case AW_LANES:
        tensor->dtype.lanes = (uint16_t)row->value;
        return;
    case AW_NDIM:
        tensor->ndim = (int32_t)row->value;
        tensor->strides = NULL;
        return;
    case AW_INNER:
        tensor->strides[0] *= 2;
        tensor->strides[1] = 2;
        return;
    case AW_BACKWARD:
        tensor->strides[0] = -tensor->strides[0];
        return;
    case AW_DEVICE:
        tensor->device.type = (int32_t)row->value;
        return;
    case AW_NO_DATA:
        tensor->data = NULL;
        return;
    case AW_NO_SHAPE:
        tensor->shape = NULL;
        return;
    case AW_TWO_IDS:
        tensor->data = world->spare;
        tensor->shape[0] = 2;
        return;
    case AW_ID:
        world->spare[0] = row->value;
        tensor->data = world->spare;
        return;
    default:
        tensor->byte_offset = 1;
    }
}

void aw_spoil(struct aw *world, const struct aw_row *row)
{
    char *at = (char *)world + row->at;
    const sluice_tensor **slot = (const sluice_tensor **)(void *)at;
    switch (row->damage) {
    case AW_INT:
        *(int32_t *)(void *)at = (int32_t)row->value;
        return;
    case AW_SIZE:
        *(size_t *)(void *)at = (size_t)row->value;
        return;
    case AW_TAIL:
        world->args.bytes[world->args.struct_size + 3] = 1;
        world->args.struct_size += 8;
        return;
    case AW_NO_ARGS:
        world->no_args = true;
        return;
    case AW_NULL:
        *(void **)(void *)at = NULL;
        return;
    case AW_GIVE:
        *slot = ct_tensor(world->spare, CT_F32, AW_T, 0);
        return;
    default:
        break;
    }
    world->bent = **slot;
    for (int32_t i = 0; i < 8; i++)
        world->bent_shape[i] = i < (*slot)->ndim ? (*slot)->shape[i] : 3;
    for (int32_t i = 0; i < (*slot)->ndim; i++)
        world->bent_strides[i] = (*slot)->strides[i];
    world->bent.shape = world->bent_shape;
    world->bent.strides = world->bent_strides;
    bend(world, row, &world->bent);
    *slot = &world->bent;
}

void aw_look(struct aw *world, struct aw_state *state)
{
    const sluice_load_api *load = ct_api()->extension(SLUICE_EXT_LOAD);
    const sluice_stats_api *stats = ct_api()->extension(SLUICE_EXT_STATS);
    memset(state, 0, sizeof *state);
    memcpy(&state->in, &world->in, sizeof state->in);
    memcpy(&state->out, &world->out, sizeof state->out);
    state->counted = world->counted;
    state->sent = world->sent;
    state->stats.struct_size = sizeof state->stats;
    ct_eq_i64(load->snapshot(world->context, state->counters[0], AW_E, NULL), SLUICE_OK);
    ct_eq_i64(load->read_logical(world->context, 0, state->logical, AW_E, NULL), SLUICE_OK);
    ct_eq_i64(stats->read(world->context, &state->stats), SLUICE_OK);
}
