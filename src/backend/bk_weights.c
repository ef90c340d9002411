/* SPDX-License-Identifier: Apache-2.0
 * get_moe_weights: which rows a rebalance may write. Views only; nothing is copied. */
#include "bk_weights.h"

#include <stdio.h>
#include <string.h>

#include "../core/mutant.h"
#include "bk_args.h"

static sluice_status check_role(sluice_context *context, const sluice_param *param, int32_t local)
{
    const sluice_tensor *tensor = param->tensor;
    if (param->role < SLUICE_ROLE_EXPERT || param->role > SLUICE_ROLE_BIAS)
        return sl_fail(context, SLUICE_INVALID, "parameter %s has role %d: must be %d to %d",
                       param->name, param->role, SLUICE_ROLE_EXPERT, SLUICE_ROLE_BIAS);
    if (param->role != SLUICE_ROLE_EXPERT)
        return SLUICE_OK;
    if (!tensor)
        return sl_fail(context, SLUICE_INVALID, "parameter %s has no tensor", param->name);
    if (tensor->ndim < 1 || tensor->ndim > SLUICE_MAX_NDIM || !tensor->shape)
        return sl_fail(context, SLUICE_INVALID, "parameter %s has ndim %d: must be 1 to %d",
                       param->name, tensor->ndim, SLUICE_MAX_NDIM);
    if (tensor->shape[0] != local && !SL_MUTANT(wrong_rows_accepted))
        return sl_fail(context, SLUICE_INVALID,
                       "parameter %s has %lld rows: must be %d, one for each local slot",
                       param->name, (long long)tensor->shape[0], local);
    return SLUICE_OK;
}

static sluice_status check(sluice_context *context, const sluice_weights_args *args, int32_t local)
{
    if (args->action < SLUICE_WEIGHTS_VIEW || args->action > SLUICE_WEIGHTS_UNREGISTER)
        return sl_fail(context, SLUICE_INVALID, "action is %d: must be %d to %d", args->action,
                       SLUICE_WEIGHTS_VIEW, SLUICE_WEIGHTS_UNREGISTER);
    if (args->action != SLUICE_WEIGHTS_VIEW)
        return sl_fail(context, SLUICE_UNSUPPORTED,
                       "action is %d: this version has no migration to register with",
                       args->action);
    if (args->param_count < 0 || (args->param_count && !args->params))
        return sl_fail(context, SLUICE_INVALID, "param_count is %d and params is %s",
                       args->param_count, args->params ? "given" : "NULL");
    for (int32_t i = 0; i < args->param_count; i++) {
        const sluice_param *param = args->params[i];
        char name[24];
        (void)snprintf(name, sizeof name, "params[%d]", i);
        sluice_status status =
            sl_check_struct(context, NULL, 0, name, param, sizeof *param, sizeof *param);
        if (status)
            return status;
        if (!param->name || !param->name[0])
            return sl_fail(context, SLUICE_INVALID, "params[%d] has no name", i);
        for (int32_t j = 0; j < i; j++)
            if (strcmp(args->params[j]->name, param->name) == 0)
                return sl_fail(context, SLUICE_INVALID,
                               "params[%d] and params[%d] are both named %s", j, i, param->name);
        if ((status = check_role(context, param, local)))
            return status;
        if (SL_MUTANT(views_before_checks))
            args->params[i]->visible = 1;
    }
    return SLUICE_OK;
}

static void fill(sluice_param *param, int32_t slots)
{
    param->visible = param->role == SLUICE_ROLE_EXPERT ||
                     (SL_MUTANT(view_of_bias) && param->role == SLUICE_ROLE_BIAS) ||
                     (SL_MUTANT(view_of_global) && param->role == SLUICE_ROLE_GLOBAL);
    if (!param->visible)
        return;
    param->view = *param->tensor;
    memcpy(param->view_shape, param->tensor->shape,
           (size_t)param->tensor->ndim * sizeof *param->view_shape);
    param->view_shape[0] = slots + SL_MUTANT(view_row_more) - SL_MUTANT(view_row_less);
    if (SL_MUTANT(view_dense))
        param->view.strides = NULL;
    if (SL_MUTANT(view_other_dtype))
        param->view.dtype = (sluice_dtype){SLUICE_UINT, 8, 1};
    if (SL_MUTANT(view_offset_lost))
        param->view.byte_offset = 0;
    if (SL_MUTANT(view_copies)) {
        static char copied[1 << 16];
        param->view.data = memcpy(copied, param->view.data, 64);
    }
    param->view.shape = param->view_shape;
}

sluice_status sl_get_moe_weights(sluice_context *context, const sluice_weights_args *args)
{
    int64_t started;
    struct sl_layer *layer;
    sluice_status status = sl_enter(context, SLUICE_OP_WEIGHTS, &started);
    if (status)
        return status;
    if ((status = sl_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args)) ||
        (status = sl_check_layer(context, args->layer, &layer)))
        return status;
    const struct sl_shape *shape = &layer->bank->shape;
    if ((status = check(context, args, shape->local)))
        return status;
    for (int32_t i = 0; i < args->param_count; i++)
        fill(args->params[i], shape->slots);
    return sl_leave(context, SLUICE_OP_WEIGHTS, started, SLUICE_OK);
}
