#include "fuzz_args_world.h"

#include "abi/ext/route.h"

#include <stdlib.h>

static sluice_topk_args make_topk(struct fa_world *w, int64_t tokens)
{
    sluice_topk_args args = {.struct_size = sizeof args, .layer = fa_layer(w)};
    bool rich = args.layer == 0;
    int64_t columns = FA_E + (rich ? FA_Z : 0);
    args.logits = fa_tensor(w, FZ_F32, tokens, columns, false);
    if (rich) {
        args.bias = fa_tensor(w, FZ_F32, 2, columns, false);
        args.bias_row = fa_tensor(w, fa_ids(w), tokens, 0, false);
        args.shared_logits = fa_tensor(w, FZ_F32, tokens, FA_F, false);
        args.shared_weights = fa_maybe(w, FZ_F32, tokens, FA_F, true);
        args.zero_weight = fa_maybe(w, FZ_F32, tokens, 0, true);
    }
    args.expert_scale = fa_maybe(w, FZ_F32, columns, 0, false);
    args.forced_ids = fa_maybe(w, fa_ids(w), tokens, FA_K, false);
    args.forced_row = fa_maybe(w, fa_ids(w), tokens, 0, false);
    args.row_valid = fa_maybe(w, FZ_U8, tokens, 0, false);
    args.num_valid = fa_maybe(w, fa_ids(w), 1, 0, false);
    args.ids = fa_tensor(w, fa_ids(w), tokens, FA_K, true);
    args.weights = fa_tensor(w, FZ_F32, tokens, FA_K, true);
    return args;
}

static sluice_status call_topk(struct fa_world *w, int64_t tokens)
{
    const sluice_topk_args args = make_topk(w, tokens);
    void *given = fa_args(w, &args, sizeof args);
    fz_before(&w->heap);
    sluice_status status = w->api->topk(w->context, given);
    free(given);
    return status;
}

static sluice_status call_remap(struct fa_world *w, int64_t tokens)
{
    sluice_remap_args args = {.struct_size = sizeof args, .layer = fa_layer(w)};
    args.ids = fa_tensor(w, fa_ids(w), tokens, FA_K, false);
    args.weights = fa_tensor(w, FZ_F32, tokens, FA_K, false);
    args.shared_weights = (args.layer == 0 ? fa_tensor : fa_maybe)(w, FZ_F32, tokens, FA_F, false);
    args.zero_weight = fa_maybe(w, FZ_F32, tokens, 0, false);
    args.row_valid = fa_maybe(w, FZ_U8, tokens, 0, false);
    args.num_valid = fa_maybe(w, fa_ids(w), 1, 0, false);
    args.step = fa_maybe(w, fa_ids(w), 1, 0, false);
    args.row_base = fa_maybe(w, fa_ids(w), 1, 0, false);
    args.dispatch_ids = fa_tensor(w, fa_ids(w), tokens, FA_C, true);
    args.dispatch_weights = fa_tensor(w, FZ_F32, tokens, FA_C, true);
    args.recorder_ids = fa_maybe(w, fa_ids(w), tokens, FA_K, true);
    args.zero_weight_here = args.zero_weight ? fa_maybe(w, FZ_F32, tokens, 0, true) : NULL;
    void *given = fa_args(w, &args, sizeof args);
    fz_before(&w->heap);
    sluice_status status = w->api->remap(w->context, given);
    free(given);
    return status;
}

static sluice_status call_record(struct fa_world *w, int64_t tokens)
{
    sluice_record_args args = {.struct_size = sizeof args, .layer = fa_layer(w)};
    args.recorder_ids = fa_tensor(w, fa_ids(w), tokens, FA_K, false);
    args.num_valid = fa_maybe(w, fa_ids(w), 1, 0, false);
    void *given = fa_args(w, &args, sizeof args);
    fz_before(&w->heap);
    sluice_status status = w->api->record(w->context, given);
    free(given);
    return status;
}

static sluice_status call_route(struct fa_world *w, int64_t tokens)
{
    const sluice_route_api *fused = w->api->extension(SLUICE_EXT_ROUTE);
    const sluice_topk_args topk = make_topk(w, tokens);
    sluice_route_args args = {.struct_size = sizeof args,
                              .layer = topk.layer,
                              .skip_record = fz_u8(w->in) & 1,
                              .logits = topk.logits,
                              .bias = topk.bias,
                              .bias_row = topk.bias_row,
                              .expert_scale = topk.expert_scale,
                              .shared_logits = topk.shared_logits,
                              .forced_ids = topk.forced_ids,
                              .forced_row = topk.forced_row,
                              .row_valid = topk.row_valid,
                              .num_valid = topk.num_valid,
                              .ids = topk.ids,
                              .weights = topk.weights,
                              .shared_weights = topk.shared_weights,
                              .zero_weight_here = topk.zero_weight};
    args.step = fa_maybe(w, fa_ids(w), 1, 0, false);
    args.row_base = fa_maybe(w, fa_ids(w), 1, 0, false);
    args.dispatch_ids = fa_tensor(w, fa_ids(w), tokens, FA_C, true);
    args.dispatch_weights = fa_maybe(w, FZ_F32, tokens, FA_C, true);
    args.recorder_ids = fa_maybe(w, fa_ids(w), tokens, FA_K, true);
    void *given = fa_args(w, &args, sizeof args);
    fz_before(&w->heap);
    sluice_status status = fused->route(w->context, given);
    free(given);
    return status;
}

/* Views are headers only: what is in force afterwards is the tensor's own data. */
static sluice_status call_weights(struct fa_world *w)
{
    static const char *const names[] = {"w13", "w2", "w2", "", NULL};
    sluice_param params[2];
    sluice_param *list[2] = {&params[0], &params[1]};
    for (int32_t i = 0; i < 2; i++) {
        uint8_t how = fz_u8(w->in);
        params[i] = (sluice_param){.struct_size = sizeof params[i],
                                   .name = names[how < 0xF0 ? i : how % 5],
                                   .tensor = fa_tensor(w, FZ_BF16, FA_L, FA_H, false),
                                   .role = how < 0x80 ? 0 : (int8_t)(how % 5) - 1,
                                   .visible = -5};
        if (how == 0xFF)
            list[i] = NULL;
    }
    const sluice_weights_args args = {.struct_size = sizeof args,
                                      .layer = fa_layer(w),
                                      .action = fz_u8(w->in) < 0xF0 ? 0 : (int8_t)fz_u8(w->in),
                                      .params = fz_u8(w->in) == 0xFF ? NULL : list,
                                      .param_count = fz_range(w->in, -1, 2)};
    void *given = fa_args(w, &args, sizeof args);
    fz_before(&w->heap);
    sluice_status status = w->api->get_moe_weights(w->context, given);
    for (int32_t i = 0; i < 2; i++) {
        bool asked = status == SLUICE_OK && i < args.param_count;
        FZ_HOLDS(asked ? params[i].visible == (params[i].role == SLUICE_ROLE_EXPERT)
                       : params[i].visible == -5);
        if (params[i].visible == 1)
            FZ_HOLDS(params[i].view_shape[0] == FA_N && params[i].tensor->shape[0] == FA_L &&
                     params[i].view.data == params[i].tensor->data);
    }
    free(given);
    return status;
}

sluice_status fa_core_call(struct fa_world *w)
{
    int32_t op = fz_range(w->in, 0, 4);
    int64_t tokens = fz_range(w->in, 0, FA_TOKENS + 1);
    if (fz_u8(w->in) == 0x80)
        tokens += 64;
    switch (op) {
    case 0:
        return call_topk(w, tokens);
    case 1:
        return call_remap(w, tokens);
    case 2:
        return call_record(w, tokens);
    case 3:
        return call_route(w, tokens);
    default:
        return call_weights(w);
    }
}
