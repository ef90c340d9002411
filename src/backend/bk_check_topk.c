/* SPDX-License-Identifier: Apache-2.0 */
#include "bk_call.h"

sluice_status sl_check_valid(struct sl_call *call, const sluice_tensor *row_valid,
                             const sluice_tensor *num_valid)
{
    struct sl_view view;
    struct sl_scalar valid;
    sluice_status status =
        sl_check_scalar(call->context, "num_valid", num_valid, call->rows, &valid);
    if (status)
        return status;
    if (valid.value < 0 || valid.value > call->rows)
        return sl_fail(call->context, SLUICE_INVALID, "num_valid is %lld: must be 0 to %lld",
                       (long long)valid.value, (long long)call->rows);
    call->io.valid_rows = valid.value;
    call->num_valid = valid.there;
    if (!row_valid)
        return SLUICE_OK;
    status = sl_check_tensor(call->context, "row_valid", row_valid, call->rows, 1, SL_T_U8, &view);
    if (!status && call->rows > 1 && view.stride != 1)
        return sl_fail(call->context, SLUICE_INVALID, "row_valid has stride %lld: must be 1",
                       (long long)view.stride);
    call->io.row_valid = (const uint8_t *)view.data;
    return status;
}

static sluice_status check_bias(struct sl_call *call, const struct sl_choose_in *in)
{
    sluice_context *context = call->context;
    const struct sl_rule *rule = &call->layer->rule;
    struct sl_view view;
    if (rule->bias_use == SLUICE_BIAS_NONE && (in->bias || in->bias_row))
        return sl_fail(context, SLUICE_INVALID,
                       "bias or bias_row is given: the layer's bias_use is NONE");
    if (rule->bias_use == SLUICE_BIAS_NONE)
        return SLUICE_OK;
    bool vector = rule->bias_rows == 1 && in->bias && in->bias->ndim == 1;
    sluice_status status;
    if (vector)
        status = sl_check_tensor(context, "bias", in->bias, rule->columns, 1, SL_T_F32, &view);
    else
        status = sl_check_tensor(context, "bias", in->bias, rule->bias_rows, rule->columns,
                                 SL_T_F32, &view);
    if (status)
        return status;
    if (vector && rule->columns > 1 && view.stride != 1)
        return sl_fail(context, SLUICE_INVALID, "bias has stride %lld: must be 1",
                       (long long)view.stride);
    call->io.bias = (const float *)(const void *)view.data;
    call->io.bias_stride = vector ? rule->columns : view.stride;
    if (rule->bias_rows == 1) {
        if (in->bias_row)
            return sl_fail(context, SLUICE_INVALID,
                           "bias_row is given: the layer has one bias row");
        return SLUICE_OK;
    }
    status = sl_check_tensor(context, "bias_row", in->bias_row, call->rows, 1, SL_T_IDS, &view);
    call->io.bias_row = sl_ids_of(&view);
    return status;
}

static sluice_status check_shared_logits(struct sl_call *call, const sluice_tensor *tensor)
{
    sluice_context *context = call->context;
    const struct sl_rule *rule = &call->layer->rule;
    bool wanted = rule->shared > 0 && rule->shared_weight != SLUICE_SHARED_ONE;
    if (!wanted && tensor)
        return sl_fail(context, SLUICE_INVALID,
                       "shared_logits is given: the layer's shared weight is constant");
    if (!wanted)
        return SLUICE_OK;
    struct sl_view view;
    sluice_status status =
        sl_check_tensor(context, "shared_logits", tensor, call->rows, -1, SL_T_FLOATS, &view);
    if (status)
        return status;
    bool one_gate = view.columns == 1 && rule->shared_weight == SLUICE_SHARED_SIGMOID;
    if (view.columns != rule->shared && !one_gate)
        return sl_fail(context, SLUICE_INVALID, "shared_logits has %lld columns: must be %d%s",
                       (long long)view.columns, rule->shared,
                       rule->shared_weight == SLUICE_SHARED_SIGMOID ? " or 1" : "");
    call->io.shared_logits = view.data;
    call->io.shared_type = sl_float_type(&view);
    call->io.shared_stride = view.stride;
    call->io.shared_columns = (int32_t)view.columns;
    return SLUICE_OK;
}

static sluice_status check_forced(struct sl_call *call, const struct sl_choose_in *in)
{
    sluice_context *context = call->context;
    struct sl_view view;
    if (!in->forced_ids) {
        if (in->forced_row)
            return sl_fail(context, SLUICE_INVALID, "forced_row is given without forced_ids");
        return SLUICE_OK;
    }
    sluice_status status =
        sl_check_tensor(context, "forced_ids", in->forced_ids, in->forced_row ? -1 : call->rows,
                        call->layer->rule.top_k, SL_T_IDS, &view);
    if (status)
        return status;
    call->io.forced_ids = sl_ids_of(&view);
    call->io.forced_rows = view.rows;
    if (!in->forced_row)
        return SLUICE_OK;
    status = sl_check_tensor(context, "forced_row", in->forced_row, call->rows, 1, SL_T_IDS, &view);
    call->io.forced_row = sl_ids_of(&view);
    return status;
}

sluice_status sl_check_choose(struct sl_call *call, const struct sl_choose_in *in)
{
    sluice_context *context = call->context;
    const struct sl_rule *rule = &call->layer->rule;
    struct sl_view view;
    sluice_status status =
        sl_check_tensor(context, "logits", in->logits, -1, rule->columns, SL_T_FLOATS, &view);
    if (status)
        return status;
    call->rows = view.rows;
    call->io.logits = view.data;
    call->io.logit_type = sl_float_type(&view);
    call->io.logit_stride = view.stride;
    if ((status = sl_check_valid(call, in->row_valid, in->num_valid)) ||
        (status = check_bias(call, in)) || (status = check_shared_logits(call, in->shared_logits)))
        return status;
    if (in->expert_scale) {
        status = sl_check_tensor(context, "expert_scale", in->expert_scale, rule->columns, 1,
                                 SL_T_F32, &view);
        if (status)
            return status;
        if (rule->columns > 1 && view.stride != 1)
            return sl_fail(context, SLUICE_INVALID, "expert_scale has stride %lld: must be 1",
                           (long long)view.stride);
        call->io.expert_scale = (const float *)(const void *)view.data;
    }
    return check_forced(call, in);
}

sluice_status sl_check_out(struct sl_call *call, const char *name, const sluice_tensor *tensor,
                           int64_t columns, int32_t types, struct sl_out *out)
{
    out->wanted = tensor != NULL;
    if (!tensor)
        return SLUICE_OK;
    return sl_check_result(call->context, name, tensor, call->rows, columns, types, &out->view);
}

sluice_status sl_check_chosen(struct sl_call *call, const sluice_tensor *ids,
                              const sluice_tensor *weights, const sluice_tensor *shared_weights)
{
    const struct sl_rule *rule = &call->layer->rule;
    if (!ids != !weights)
        return sl_fail(call->context, SLUICE_INVALID,
                       "%s is missing: ids and weights come together or not at all",
                       ids ? "weights" : "ids");
    if (shared_weights && (rule->shared == 0 || rule->shared_weight == SLUICE_SHARED_ONE))
        return sl_fail(call->context, SLUICE_INVALID,
                       "shared_weights is given: the layer's shared weight is constant");
    sluice_status status;
    if ((status = sl_check_out(call, "ids", ids, rule->top_k, SL_T_IDS, &call->ids)) ||
        (status = sl_check_out(call, "weights", weights, rule->top_k, SL_T_F32, &call->weights)))
        return status;
    return sl_check_out(call, "shared_weights", shared_weights, rule->shared, SL_T_F32,
                        &call->shared_weights);
}

sluice_status sl_check_topk(struct sl_call *call, const sluice_topk_args *args)
{
    sluice_context *context = call->context;
    sluice_status status =
        sl_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args);
    if (status || (status = sl_check_layer(context, args->layer, &call->layer)))
        return status;
    const struct sl_choose_in in = {args->logits,       args->bias,          args->bias_row,
                                    args->expert_scale, args->shared_logits, args->forced_ids,
                                    args->forced_row,   args->row_valid,     args->num_valid};
    status = sl_check_choose(call, &in);
    if (status)
        return status;
    status = sl_check_chosen(call, args->ids, args->weights, args->shared_weights);
    if (status)
        return status;
    if (args->zero_weight && call->layer->rule.zero_experts == 0)
        return sl_fail(context, SLUICE_INVALID,
                       "zero_weight is given: the layer has no zero experts");
    if (!args->ids && !args->shared_weights && !args->zero_weight)
        return sl_fail(context, SLUICE_INVALID, "no output is given");
    return sl_check_out(call, "zero_weight", args->zero_weight, 1, SL_T_F32, &call->zero_weight);
}
