/* SPDX-License-Identifier: Apache-2.0
 * get_moe_weights, the second promise: what a rebalance may write is the routed rows of expert
 * tensors, the tensors themselves. */
#include <string.h>

#include "conform.h"

/* A parameter and its tensor. */
struct param {
    sluice_param p;
    sluice_tensor t;
    int64_t shape[8], strides[8];
};

static void make(struct param *param, const char *name, int32_t role, void *data, int64_t rows)
{
    *param = (struct param){.shape = {rows, 3, 2}, .strides = {6, 2, 1}};
    param->t = (sluice_tensor){.data = data,
                               .device = {SLUICE_CPU, 0},
                               .ndim = 3,
                               .dtype = {SLUICE_FLOAT, 32, 1},
                               .shape = param->shape};
    param->p = (sluice_param){.struct_size = sizeof param->p,
                              .name = name,
                              .tensor = &param->t,
                              .role = role,
                              .visible = -5};
}

static sluice_status view(sluice_context *context, struct param *params, int32_t count)
{
    sluice_param *pointers[8];
    for (int32_t i = 0; i < count; i++)
        pointers[i] = &params[i].p;
    const sluice_weights_args args = {
        .struct_size = sizeof args, .params = pointers, .param_count = count};
    return cf_api->get_moe_weights(context, &args);
}

static sluice_context *open_rows(int32_t slots, int32_t shared)
{
    struct cf_setup setup;
    cf_setup(&setup, 1, 2 * slots, 2, shared);
    cf_setup_rank(&setup, 1, 2);
    return cf_open(&setup);
}

static void vector(const void *what)
{
    (void)what;
    sluice_context *context = open_rows(4, 1);
    float data[5 * 6];
    struct param param;
    for (int32_t i = 0; i < 30; i++)
        data[i] = (float)i + 1;
    make(&param, "w13", SLUICE_ROLE_EXPERT, data, 5);
    EXPECT_OK(context, view(context, &param, 1));
    CHECK_EQ(param.p.visible, 1, "visible");
    const sluice_tensor *v = &param.p.view;
    CHECK_EQ(v->ndim, 3, "dimensions of the view");
    CHECK_EQ(v->shape[0], 4, "rows of the view");
    CHECK(v->shape == param.p.view_shape, "the view's shape is not view_shape");
    CHECK_EQ(v->shape[1] * 10 + v->shape[2], 32, "the other dimensions");
    CHECK(v->data == data, "the view is not of the same memory");
    float *last = (float *)v->data + ((ptrdiff_t)v->shape[0] - 1) * 6;
    memset(last, 0, 6 * sizeof *last);
    CHECK(data[18] == 0 && data[23] == 0, "the view's last row is not row 3");
    CHECK(data[24] == 25 && data[17] == 18, "the view's last row covers another row");
}

/* `what`: F. */
static void rows_of_view(const void *what)
{
    int32_t shared = *(const int32_t *)what;
    sluice_context *context = open_rows(6, shared);
    static float data[14 * 6];
    struct param param;
    make(&param, "w", SLUICE_ROLE_EXPERT, data, 6 + shared);
    EXPECT_OK(context, view(context, &param, 1));
    CHECK_EQ(param.p.view.shape[0], 6, "rows of the view");
    CHECK_EQ(param.shape[0], 6 + shared, "the tensor's own shape");
}

static void same_tensor(const void *what)
{
    (void)what;
    sluice_context *context = open_rows(4, 2);
    static uint8_t data[6 * 64];
    struct param param;
    make(&param, "scales", SLUICE_ROLE_EXPERT, data, 6);
    /* fp8 rows with a stride, from the middle of an allocation */
    param.t.dtype = (sluice_dtype){10, 8, 1};
    param.strides[0] = 64;
    param.t.strides = param.strides;
    param.t.byte_offset = 16;
    EXPECT_OK(context, view(context, &param, 1));
    const sluice_tensor *v = &param.p.view;
    CHECK(v->data == data, "the view has other data");
    CHECK_EQ(v->byte_offset, 16, "byte_offset of the view");
    CHECK(memcmp(&v->dtype, &param.t.dtype, sizeof v->dtype) == 0, "the view has another dtype");
    CHECK(memcmp(&v->device, &param.t.device, sizeof v->device) == 0,
          "the view is on another device");
    CHECK(v->strides, "the view lost its strides");
    CHECK_EQ(v->strides[0], 64, "row stride of the view");
    CHECK_EQ(v->strides[1] * 10 + v->strides[2], 21, "the other strides");
    CHECK_EQ(v->shape[0], 4, "rows of the view");
}

static void others_hidden(const void *what)
{
    (void)what;
    sluice_context *context = open_rows(4, 1);
    static float data[5 * 6];
    struct param params[4];
    make(&params[0], "w2", SLUICE_ROLE_EXPERT, data, 5);
    make(&params[1], "gate", SLUICE_ROLE_GLOBAL, data, 8);
    make(&params[2], "correction_bias", SLUICE_ROLE_BIAS, data, 5);
    make(&params[3], "w2_scale", SLUICE_ROLE_EXPERT, data, 5);
    params[3].t.ndim = 1;
    EXPECT_OK(context, view(context, params, 4));
    CHECK_EQ(params[0].p.visible, 1, "visible of an expert parameter");
    CHECK_EQ(params[1].p.visible, 0, "visible of a global parameter");
    CHECK_EQ(params[2].p.visible, 0, "visible of a bias");
    CHECK_EQ(params[3].p.visible, 1, "visible of a vector of scales");
    CHECK_EQ(params[3].p.view.ndim, 1, "dimensions of a vector's view");
    CHECK(!params[1].p.view.data && !params[2].p.view.data, "a hidden parameter has a view");
}

static void wrong_rows(const void *what)
{
    (void)what;
    sluice_context *context = open_rows(4, 1);
    static float data[9 * 6];
    for (int64_t rows = 3; rows <= 9; rows++) {
        struct param params[3];
        make(&params[0], "fine", SLUICE_ROLE_EXPERT, data, 5);
        make(&params[1], "down_proj", SLUICE_ROLE_EXPERT, data, rows);
        make(&params[2], "also_fine", SLUICE_ROLE_EXPERT, data, 5);
        if (rows == 5)
            continue;
        EXPECT(context, view(context, params, 3), SLUICE_INVALID, "down_proj");
        for (int32_t i = 0; i < 3; i++)
            CHECK(params[i].p.visible == -5 && !params[i].p.view.data,
                  "a call that failed has filled in parameter %d", i);
    }
}

static void wrong_params(const void *what)
{
    (void)what;
    sluice_context *context = open_rows(4, 1);
    static float data[5 * 6];
    struct param params[2];
    make(&params[0], "same", SLUICE_ROLE_EXPERT, data, 5);
    make(&params[1], "same", SLUICE_ROLE_EXPERT, data, 5);
    EXPECT(context, view(context, params, 2), SLUICE_INVALID, "same");
    CHECK_EQ(params[0].p.visible, -5, "visible after a call that failed");
    params[1].p.name = "other";
    params[1].p.role = 7;
    EXPECT(context, view(context, params, 2), SLUICE_INVALID, "other");
    params[1].p.role = SLUICE_ROLE_EXPERT;
    params[1].p.tensor = NULL;
    EXPECT(context, view(context, params, 2), SLUICE_INVALID, "other");
    params[1].p.tensor = &params[1].t;
    params[1].t.ndim = 9;
    EXPECT(context, view(context, params, 2), SLUICE_INVALID, "other");
    params[1].t.ndim = 0;
    EXPECT(context, view(context, params, 2), SLUICE_INVALID, "other");
    params[1].t.ndim = 3;
    params[1].p.name = NULL;
    EXPECT(context, view(context, params, 2), SLUICE_INVALID, "name");
    sluice_weights_args args = {.struct_size = sizeof args, .action = 3};
    EXPECT(context, cf_api->get_moe_weights(context, &args), SLUICE_INVALID, "action");
    args.action = SLUICE_WEIGHTS_VIEW;
    args.param_count = 1;
    EXPECT(context, cf_api->get_moe_weights(context, &args), SLUICE_INVALID, "params");
    args.param_count = -1;
    EXPECT(context, cf_api->get_moe_weights(context, &args), SLUICE_INVALID, "param_count");
}

static void untouched(const void *what)
{
    (void)what;
    sluice_context *context = open_rows(4, 1);
    float data[30], before[30];
    struct param params[2];
    for (int32_t i = 0; i < 30; i++)
        data[i] = (float)(i * i);
    memcpy(before, data, sizeof data);
    make(&params[0], "w", SLUICE_ROLE_EXPERT, data, 5);
    make(&params[1], "b", SLUICE_ROLE_BIAS, data, 5);
    const struct param kept = params[0];
    EXPECT_OK(context, view(context, params, 2));
    for (int32_t i = 0; i < 30; i++)
        CHECK(data[i] == before[i], "the weights were written");
    CHECK(memcmp(&params[0].t, &kept.t, sizeof kept.t) == 0 &&
              memcmp(params[0].shape, kept.shape, sizeof kept.shape) == 0,
          "the caller's tensor was changed");
    CHECK(params[0].p.name == kept.p.name && params[0].p.role == kept.p.role,
          "the caller's entry was changed");
}

#define INT(value_)                                                                                \
    &(const int32_t)                                                                               \
    {                                                                                              \
        value_                                                                                     \
    }

static const struct cf_case CASES[] = {
    {"weights.vector", "the view of 5 local slots, one shared, is the first 4 rows, in place",
     vector, NULL},
    {"promise2.rows_0", "without shared experts the view has every row", rows_of_view, INT(0)},
    {"promise2.rows_1", "one shared row is left out of the view", rows_of_view, INT(1)},
    {"promise2.rows_2", "two shared rows are left out of the view", rows_of_view, INT(2)},
    {"promise2.rows_8", "eight shared rows are left out of the view", rows_of_view, INT(8)},
    {"promise2.same", "a view has the data, offset, dtype, device and strides of its tensor",
     same_tensor, NULL},
    {"promise2.hidden", "global parameters and biases have no view", others_hidden, NULL},
    {"weights.wrong_rows", "rows that are not L are refused by name, and nothing is filled in",
     wrong_rows, NULL},
    {"weights.wrong_params", "names twice, wrong roles, missing tensors are refused by name",
     wrong_params, NULL},
    {"promise2.untouched", "nothing of the caller's is written but visible and the view", untouched,
     NULL},
};
CF_LIST(cf_weights_cases, CASES);
