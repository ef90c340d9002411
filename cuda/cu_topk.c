/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_walk.h"

static int32_t float_type(const struct slc_view *view)
{
    return view->type == SLC_T_F32 ? SL_F32 : view->type == SLC_T_F16 ? SL_F16 : SL_BF16;
}

sluice_status slc_check_valid(struct slc_walk *walk, const sluice_tensor *row_valid,
                              const sluice_tensor *num_valid)
{
    struct slc_view view;
    struct slc_scalar valid;
    sluice_status status =
        slc_check_scalar(walk->context, "num_valid", num_valid, walk->rows, &valid);
    if (status)
        return status;
    if (valid.value < 0 || valid.value > walk->rows)
        return slc_fail(walk->context, SLUICE_INVALID, "num_valid is %lld: must be 0 to %lld",
                        (long long)valid.value, (long long)walk->rows);
    walk->job.io.valid_rows = valid.value;
    walk->job.num_valid = valid.there;
    if (!row_valid)
        return SLUICE_OK;
    status =
        slc_check_tensor(walk->context, "row_valid", row_valid, walk->rows, 1, SLC_T_U8, &view);
    if (!status && walk->rows > 1 && view.stride != 1)
        return slc_fail(walk->context, SLUICE_INVALID, "row_valid has stride %lld: must be 1",
                        (long long)view.stride);
    walk->job.io.row_valid = (const uint8_t *)view.data;
    return status;
}

static sluice_status check_bias(struct slc_walk *walk, const struct slc_choose_in *in)
{
    sluice_context *context = walk->context;
    const struct sl_rule *rule = &walk->layer->rule;
    struct slc_view view;
    if (rule->bias_use == SLUICE_BIAS_NONE && (in->bias || in->bias_row))
        return slc_fail(context, SLUICE_INVALID,
                        "bias or bias_row is given: the layer's bias_use is NONE");
    if (rule->bias_use == SLUICE_BIAS_NONE)
        return SLUICE_OK;
    bool vector = rule->bias_rows == 1 && in->bias && in->bias->ndim == 1;
    sluice_status status;
    if (vector)
        status = slc_check_tensor(context, "bias", in->bias, rule->columns, 1, SLC_T_F32, &view);
    else
        status = slc_check_tensor(context, "bias", in->bias, rule->bias_rows, rule->columns,
                                  SLC_T_F32, &view);
    if (status)
        return status;
    if (vector && rule->columns > 1 && view.stride != 1)
        return slc_fail(context, SLUICE_INVALID, "bias has stride %lld: must be 1",
                        (long long)view.stride);
    walk->job.io.bias = (const float *)(const void *)view.data;
    walk->job.io.bias_stride = vector ? rule->columns : view.stride;
    if (rule->bias_rows == 1) {
        if (in->bias_row)
            return slc_fail(context, SLUICE_INVALID,
                            "bias_row is given: the layer has one bias row");
        return SLUICE_OK;
    }
    status = slc_check_tensor(context, "bias_row", in->bias_row, walk->rows, 1, SLC_T_IDS, &view);
    walk->job.io.bias_row = slc_ids_of(&view);
    return status;
}

static sluice_status check_shared_logits(struct slc_walk *walk, const sluice_tensor *tensor)
{
    sluice_context *context = walk->context;
    const struct sl_rule *rule = &walk->layer->rule;
    bool wanted = rule->shared > 0 && rule->shared_weight != SLUICE_SHARED_ONE;
    if (!wanted && tensor)
        return slc_fail(context, SLUICE_INVALID,
                        "shared_logits is given: the layer's shared weight is constant");
    if (!wanted)
        return SLUICE_OK;
    struct slc_view view;
    sluice_status status =
        slc_check_tensor(context, "shared_logits", tensor, walk->rows, -1, SLC_T_FLOATS, &view);
    if (status)
        return status;
    bool one_gate = view.columns == 1 && rule->shared_weight == SLUICE_SHARED_SIGMOID;
    if (view.columns != rule->shared && !one_gate)
        return slc_fail(context, SLUICE_INVALID, "shared_logits has %lld columns: must be %d%s",
                        (long long)view.columns, rule->shared,
                        rule->shared_weight == SLUICE_SHARED_SIGMOID ? " or 1" : "");
    walk->job.io.shared_logits = view.data;
    walk->job.io.shared_type = float_type(&view);
    walk->job.io.shared_stride = view.stride;
    walk->job.io.shared_columns = (int32_t)view.columns;
    return SLUICE_OK;
}

static sluice_status check_forced(struct slc_walk *walk, const struct slc_choose_in *in)
{
    sluice_context *context = walk->context;
    struct slc_view view;
    if (!in->forced_ids) {
        if (in->forced_row)
            return slc_fail(context, SLUICE_INVALID, "forced_row is given without forced_ids");
        return SLUICE_OK;
    }
    sluice_status status =
        slc_check_tensor(context, "forced_ids", in->forced_ids, in->forced_row ? -1 : walk->rows,
                         walk->layer->rule.top_k, SLC_T_IDS, &view);
    if (status)
        return status;
    walk->job.io.forced_ids = slc_ids_of(&view);
    walk->job.io.forced_rows = view.rows;
    if (!in->forced_row)
        return SLUICE_OK;
    status =
        slc_check_tensor(context, "forced_row", in->forced_row, walk->rows, 1, SLC_T_IDS, &view);
    walk->job.io.forced_row = slc_ids_of(&view);
    return status;
}

sluice_status slc_check_choose(struct slc_walk *walk, const struct slc_choose_in *in)
{
    sluice_context *context = walk->context;
    const struct sl_rule *rule = &walk->layer->rule;
    struct slc_view view;
    sluice_status status =
        slc_check_tensor(context, "logits", in->logits, -1, rule->columns, SLC_T_FLOATS, &view);
    if (status)
        return status;
    walk->rows = view.rows;
    walk->job.io.logits = view.data;
    walk->job.io.logit_type = float_type(&view);
    walk->job.io.logit_stride = view.stride;
    if ((status = slc_check_valid(walk, in->row_valid, in->num_valid)) ||
        (status = check_bias(walk, in)) || (status = check_shared_logits(walk, in->shared_logits)))
        return status;
    if (in->expert_scale) {
        status = slc_check_tensor(context, "expert_scale", in->expert_scale, rule->columns, 1,
                                  SLC_T_F32, &view);
        if (status)
            return status;
        if (rule->columns > 1 && view.stride != 1)
            return slc_fail(context, SLUICE_INVALID, "expert_scale has stride %lld: must be 1",
                            (long long)view.stride);
        walk->job.io.expert_scale = (const float *)(const void *)view.data;
    }
    return check_forced(walk, in);
}

sluice_status slc_check_ids_out(struct slc_walk *walk, const char *name,
                                const sluice_tensor *tensor, int64_t columns, struct sl_ids *out)
{
    struct slc_view view;
    if (!tensor)
        return SLUICE_OK;
    sluice_status status =
        slc_check_result(walk->context, name, tensor, walk->rows, columns, SLC_T_IDS, &view);
    if (!status)
        *out = slc_ids_of(&view);
    return status;
}

sluice_status slc_check_floats_out(struct slc_walk *walk, const char *name,
                                   const sluice_tensor *tensor, int64_t columns,
                                   struct slc_floats *out)
{
    struct slc_view view;
    if (!tensor)
        return SLUICE_OK;
    sluice_status status =
        slc_check_result(walk->context, name, tensor, walk->rows, columns, SLC_T_F32, &view);
    if (!status)
        *out = slc_floats_of(&view);
    return status;
}

sluice_status slc_check_chosen(struct slc_walk *walk, const sluice_tensor *ids,
                               const sluice_tensor *weights, const sluice_tensor *shared_weights)
{
    const struct sl_rule *rule = &walk->layer->rule;
    if (!ids != !weights)
        return slc_fail(walk->context, SLUICE_INVALID,
                        "%s is missing: ids and weights come together or not at all",
                        ids ? "weights" : "ids");
    if (shared_weights && (rule->shared == 0 || rule->shared_weight == SLUICE_SHARED_ONE))
        return slc_fail(walk->context, SLUICE_INVALID,
                        "shared_weights is given: the layer's shared weight is constant");
    sluice_status status;
    if ((status = slc_check_ids_out(walk, "ids", ids, rule->top_k, &walk->job.ids)) ||
        (status = slc_check_floats_out(walk, "weights", weights, rule->top_k, &walk->job.weights)))
        return status;
    return slc_check_floats_out(walk, "shared_weights", shared_weights, rule->shared,
                                &walk->job.shared_weights);
}

static sluice_status check(struct slc_walk *walk, const sluice_topk_args *args)
{
    const struct slc_choose_in in = {args->logits,       args->bias,          args->bias_row,
                                     args->expert_scale, args->shared_logits, args->forced_ids,
                                     args->forced_row,   args->row_valid,     args->num_valid};
    sluice_status status = slc_check_choose(walk, &in);
    if (status)
        return status;
    status = slc_check_chosen(walk, args->ids, args->weights, args->shared_weights);
    if (status)
        return status;
    if (args->zero_weight && walk->layer->rule.zero_experts == 0)
        return slc_fail(walk->context, SLUICE_INVALID,
                        "zero_weight is given: the layer has no zero experts");
    if (!args->ids && !args->shared_weights && !args->zero_weight)
        return slc_fail(walk->context, SLUICE_INVALID, "no output is given");
    return slc_check_floats_out(walk, "zero_weight", args->zero_weight, 1, &walk->job.zero_weight);
}

sluice_status slc_topk(sluice_context *context, const sluice_topk_args *args)
{
    int64_t started;
    sluice_status status = slc_enter(context, SLUICE_OP_TOPK, &started);
    if (status)
        return status;
    struct slc_walk walk = {.context = context};
    if ((status = slc_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args)) ||
        (status = slc_check_layer(context, args->layer, &walk.layer)) ||
        (status = check(&walk, args)))
        return status;
    status = slc_walk_launch(&walk, SLC_TOPK, args->stream);
    return slc_leave(context, SLUICE_OP_TOPK, started, status);
}
