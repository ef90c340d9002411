/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_walk.h"

static sluice_status check(struct slc_walk *walk, const sluice_record_args *args)
{
    sluice_context *context = walk->context;
    struct slc_job *job = &walk->job;
    struct slc_scalar valid;
    struct slc_view ids;
    sluice_status status;
    if ((status = slc_check_tensor(context, "recorder_ids", args->recorder_ids, -1, -1, SLC_T_IDS,
                                   &ids)) ||
        (status = slc_check_scalar(context, "num_valid", args->num_valid, ids.rows, &valid)))
        return status;
    int32_t top_k = walk->layer->rule.top_k;
    if (args->recorder_ids->ndim == 2 && ids.columns != top_k)
        return slc_fail(context, SLUICE_INVALID, "recorder_ids has %lld columns: must be %d%s",
                        (long long)ids.columns, top_k,
                        ids.columns > top_k ? "; dispatch_ids are not recorder ids" : "");
    if (valid.value < 0 || valid.value > ids.rows)
        return slc_fail(context, SLUICE_INVALID, "num_valid is %lld: must be 0 to %lld",
                        (long long)valid.value, (long long)ids.rows);
    walk->rows = ids.rows;
    job->columns = ids.columns;
    job->in_ids = slc_ids_of(&ids);
    job->io.valid_rows = valid.value;
    job->num_valid = valid.there;
    job->map.physical = walk->layer->bank->shape.physical;
    job->counters = walk->layer->bank->counters;
    job->rejected = context->rejected + SLUICE_OP_RECORD;
    return SLUICE_OK;
}

sluice_status slc_record(sluice_context *context, const sluice_record_args *args)
{
    int64_t started;
    sluice_status status = slc_enter(context, SLUICE_OP_RECORD, &started);
    if (status)
        return status;
    struct slc_walk walk = {.context = context};
    if ((status = slc_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args)) ||
        (status = slc_check_layer(context, args->layer, &walk.layer)) ||
        (status = check(&walk, args)))
        return status;
    status = slc_walk_launch(&walk, SLC_RECORD, args->stream);
    return slc_leave(context, SLUICE_OP_RECORD, started, status);
}

sluice_status slc_add_slots(sluice_context *context, const sluice_load_slots *args)
{
    int64_t started;
    struct slc_view view;
    struct slc_walk walk = {.context = context};
    sluice_status status = slc_enter(context, SLUICE_OP_RECORD, &started);
    if (status)
        return status;
    if ((status = slc_check_struct(context, NULL, 0, "args", args, sizeof *args, sizeof *args)) ||
        (status = slc_check_layer(context, args->layer, &walk.layer)) ||
        (status = slc_check_tensor(context, "slot_counts", args->slot_counts,
                                   walk.layer->bank->shape.local, 1, SLC_T_IDS, &view)))
        return status;
    const struct sl_shape *shape = &walk.layer->bank->shape;
    walk.job.in_ids = slc_ids_of(&view);
    walk.job.map.local = shape->local;
    walk.job.map.slots = shape->slots;
    walk.job.map.rank = shape->rank;
    walk.job.counters = walk.layer->bank->counters;
    walk.job.rejected = context->rejected + SLUICE_OP_RECORD;
    status = slc_walk_launch(&walk, SLC_SLOTS, args->stream);
    return slc_leave(context, SLUICE_OP_RECORD, started, status);
}
