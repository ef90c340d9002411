/* get_moe_weights: what a rebalance may write. */
#include <string.h>

#include "ct.h"
#include "ct_sluice.h"

static sluice_context *open_with(int32_t shared)
{
    sluice_router router = {
        .struct_size = sizeof router, .experts = 16, .top_k = 2, .shared = shared};
    sluice_config config = ct_config(&router, 1, 1, 4);
    return ct_open(&config);
}

static sluice_param param(const char *name, const sluice_tensor *tensor, int32_t role)
{
    return (sluice_param){
        .struct_size = sizeof(sluice_param), .name = name, .tensor = tensor, .role = role};
}

static sluice_status ask(sluice_context *context, sluice_param *const *params, int32_t count)
{
    sluice_weights_args args = {.struct_size = sizeof args, .params = params, .param_count = count};
    return ct_api()->get_moe_weights(context, &args);
}

CT(weights, view_leaves_shared_rows, "the view ends before the shared rows and shares the data")
{
    sluice_context *context = open_with(1);
    ct_true(context != NULL);
    uint8_t data[5 * 6];
    memset(data, 7, sizeof data);
    sluice_param w = param("w13", ct_tensor(data, CT_U8, 5, 6), SLUICE_ROLE_EXPERT);
    sluice_param *params[] = {&w};
    ct_eq_i64(ask(context, params, 1), SLUICE_OK);
    ct_eq_i64(w.visible, 1);
    ct_true(w.view.data == data);
    ct_true(w.view.shape == w.view_shape);
    ct_eq_i64(w.view.shape[0], 4);
    ct_eq_i64(w.view.shape[1], 6);
    ct_true(w.view.strides == w.tensor->strides);
    memset((uint8_t *)w.view.data + 3 * 6, 0, 6);
    ct_eq_i64(data[3 * 6], 0);
    ct_eq_i64(data[4 * 6], 7);
    ct_api()->close(context);
}

CT(weights, only_expert_parameters, "global and bias parameters have no view")
{
    sluice_context *context = open_with(2);
    ct_true(context != NULL);
    float data[16];
    sluice_param bias =
        param("e_score_correction_bias", ct_tensor(data, CT_F32, 16, 0), SLUICE_ROLE_BIAS);
    sluice_param scale = param("expert_scale", ct_tensor(data, CT_F32, 16, 0), SLUICE_ROLE_GLOBAL);
    sluice_param *params[] = {&bias, &scale};
    ct_eq_i64(ask(context, params, 2), SLUICE_OK);
    ct_eq_i64(bias.visible, 0);
    ct_eq_i64(scale.visible, 0);
    ct_true(bias.view.data == NULL && scale.view.data == NULL);
    ct_api()->close(context);
}

CT(weights, all_or_nothing, "one bad parameter is named and no view is filled in")
{
    sluice_context *context = open_with(1);
    ct_true(context != NULL);
    float data[64];
    sluice_param good = param("w2", ct_tensor(data, CT_F32, 5, 2), SLUICE_ROLE_EXPERT);
    sluice_param bad = param("w13_scale", ct_tensor(data, CT_F32, 4, 2), SLUICE_ROLE_EXPERT);
    sluice_param *params[] = {&good, &bad};
    ct_eq_i64(ask(context, params, 2), SLUICE_INVALID);
    ct_str_has(ct_error(context), "w13_scale has 4 rows: must be 5");
    ct_eq_i64(good.visible, 0);
    bad.name = "w2";
    ct_eq_i64(ask(context, params, 2), SLUICE_INVALID);
    ct_str_has(ct_error(context), "both named w2");
    ct_api()->close(context);
}

CT(weights, whole_without_shared, "without shared slots the view is the whole tensor")
{
    sluice_context *context = open_with(0);
    ct_true(context != NULL);
    float data[4];
    sluice_param w = param("w", ct_tensor(data, CT_F32, 4, 0), SLUICE_ROLE_EXPERT);
    sluice_param *params[] = {&w};
    ct_eq_i64(ask(context, params, 1), SLUICE_OK);
    ct_eq_i64(w.view.shape[0], 4);
    ct_api()->close(context);
}
