/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_walk.h"

static void fill_map(struct slc_walk *walk, int32_t layer)
{
    const sluice_context *context = walk->context;
    const struct sl_rule *rule = &walk->layer->rule;
    const struct slc_bank *bank = walk->layer->bank;
    bool by_row = (context->flags & SLUICE_OPEN_EVERY_RANK_EVERY_ROW) != 0;
    walk->job.map = (struct slc_map){
        .start = bank->there.alive_start,
        .copies = bank->there.alive_copies,
        .chosen = bank->there.chosen,
        .chosen_slot = bank->there.chosen_slot,
        .living_ranks = context->living_there,
        .calls = walk->layer->calls,
        .done = walk->layer->done,
        .seed = context->seed,
        .shared_constant = rule->shared_scale / rule->shared_divisor,
        .shared_divisor = rule->shared_divisor,
        .experts = bank->shape.experts,
        .slots = bank->shape.slots,
        .local = bank->shape.local,
        .shared = bank->shape.shared,
        .rank = context->rank,
        .ranks = context->ranks,
        .living = context->living_count,
        .physical = bank->shape.physical,
        .random = context->copy_policy == SLUICE_COPY_RANDOM,
        .by_row = by_row,
        .layer = layer,
    };
}

sluice_status slc_check_map(struct slc_walk *walk, int32_t layer, int32_t op,
                            const struct slc_map_out *args)
{
    sluice_context *context = walk->context;
    struct slc_job *job = &walk->job;
    int32_t top_k = walk->layer->rule.top_k;
    int64_t columns = top_k + walk->layer->shared;
    struct slc_scalar step, base;
    fill_map(walk, layer);
    job->rejected = context->rejected + op;
    job->dead = context->dead;
    sluice_status status;
    if ((status = slc_check_scalar(context, "step", args->step, 0, &step)) ||
        (status = slc_check_scalar(context, "row_base", args->row_base, 0, &base)))
        return status;
    if (base.value < 0)
        return slc_fail(context, SLUICE_INVALID, "row_base is %lld: must not be negative",
                        (long long)base.value);
    job->map.step = step.value;
    job->map.step_given = args->step != NULL;
    job->step = step.there;
    job->map.row_base = base.value;
    job->row_base = base.there;
    if ((status = slc_check_ids_out(walk, "dispatch_ids", args->dispatch_ids, columns,
                                    &job->dispatch_ids)) ||
        (status = slc_check_floats_out(walk, "dispatch_weights", args->dispatch_weights, columns,
                                       &job->dispatch_weights)))
        return status;
    return slc_check_ids_out(walk, "recorder_ids", args->recorder_ids, top_k, &job->recorder_ids);
}

/* An optional f32 input [rows, columns]. */
static sluice_status check_floats_in(struct slc_walk *walk, const char *name,
                                     const sluice_tensor *tensor, int64_t columns,
                                     struct slc_floats *in)
{
    struct slc_view view;
    if (!tensor)
        return SLUICE_OK;
    sluice_status status =
        slc_check_tensor(walk->context, name, tensor, walk->rows, columns, SLC_T_F32, &view);
    if (!status)
        *in = slc_floats_of(&view);
    return status;
}

static sluice_status check_inputs(struct slc_walk *walk, const sluice_remap_args *args)
{
    sluice_context *context = walk->context;
    const struct sl_rule *rule = &walk->layer->rule;
    struct slc_view view;
    sluice_status status =
        slc_check_tensor(context, "ids", args->ids, -1, rule->top_k, SLC_T_IDS, &view);
    if (status)
        return status;
    walk->rows = view.rows;
    walk->job.in_ids = slc_ids_of(&view);
    if (args->dispatch_weights && !args->weights)
        return slc_fail(context, SLUICE_INVALID, "weights is missing: dispatch_weights needs it");
    if ((status =
             check_floats_in(walk, "weights", args->weights, rule->top_k, &walk->job.in_weights)))
        return status;
    bool per_token = walk->layer->shared > 0 && rule->shared_weight != SLUICE_SHARED_ONE;
    if (per_token && args->dispatch_weights && !args->shared_weights)
        return slc_fail(context, SLUICE_INVALID,
                        "shared_weights is missing: the layer's shared weight is per token");
    if (args->shared_weights && walk->layer->shared == 0)
        return slc_fail(context, SLUICE_INVALID,
                        "shared_weights is given: the layer has no shared slots");
    if ((status = check_floats_in(walk, "shared_weights", args->shared_weights, walk->layer->shared,
                                  &walk->job.in_shared)))
        return status;
    if (args->zero_weight_here && !args->zero_weight)
        return slc_fail(context, SLUICE_INVALID,
                        "zero_weight is missing: zero_weight_here needs it");
    if ((status = check_floats_in(walk, "zero_weight", args->zero_weight, 1, &walk->job.in_zero)))
        return status;
    return slc_check_valid(walk, args->row_valid, args->num_valid);
}

static sluice_status check(struct slc_walk *walk, const sluice_remap_args *args)
{
    const struct slc_map_out out = {args->step, args->row_base, args->dispatch_ids,
                                    args->dispatch_weights, args->recorder_ids};
    sluice_status status = check_inputs(walk, args);
    if (status)
        return status;
    if (!args->dispatch_ids && !args->dispatch_weights && !args->recorder_ids &&
        !args->zero_weight_here)
        return slc_fail(walk->context, SLUICE_INVALID, "no output is given");
    status = slc_check_map(walk, args->layer, SLUICE_OP_REMAP, &out);
    if (status)
        return status;
    return slc_check_floats_out(walk, "zero_weight_here", args->zero_weight_here, 1,
                                &walk->job.zero_here);
}

sluice_status slc_remap(sluice_context *context, const sluice_remap_args *args)
{
    int64_t started;
    sluice_status status = slc_enter(context, SLUICE_OP_REMAP, &started);
    if (status)
        return status;
    struct slc_walk walk = {.context = context};
    if ((status = slc_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args)) ||
        (status = slc_check_layer(context, args->layer, &walk.layer)) ||
        (status = check(&walk, args)))
        return status;
    status = slc_walk_launch(&walk, SLC_REMAP, args->stream);
    return slc_leave(context, SLUICE_OP_REMAP, started, status);
}
