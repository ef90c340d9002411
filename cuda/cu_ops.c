/* SPDX-License-Identifier: Apache-2.0 */
#include "../src/backend/bk_load.h"
#include "../src/core/mutant.h"
#include "cu_balance.h"
#include "cu_walk.h"
#include "cu_water.h"

sluice_status slc_topk(sluice_context *context, const sluice_topk_args *args)
{
    int64_t started;
    struct sl_call call = {.context = context};
    struct slc_job job = {.rows = 0};
    sluice_status status = sl_enter(context, SLUICE_OP_TOPK, &started);
    if (status || (status = sl_check_topk(&call, args)))
        return status;
    slc_fill_job(&job, &call, SLUICE_OP_TOPK);
    status = slc_launch(context, &job, SLC_K_topk, args->stream);
    return sl_leave(context, SLUICE_OP_TOPK, started, status);
}

sluice_status slc_remap(sluice_context *context, const sluice_remap_args *args)
{
    int64_t started;
    struct sl_call call = {.context = context};
    struct slc_job job = {.rows = 0};
    sluice_status status = sl_enter(context, SLUICE_OP_REMAP, &started);
    if (status)
        return status;
    if ((status = sl_check_remap(&call, args))) {
        if (SL_MUTANT(failed_call_counts)) { /* a launch without rows counts a call */
            job.map.calls = slc_of(context)->layers[0].calls;
            job.map.done = slc_of(context)->layers[0].done;
            (void)slc_launch(context, &job, SLC_K_remap, NULL);
        }
        return status;
    }
    slc_fill_job(&job, &call, SLUICE_OP_REMAP);
    slc_fill_map(&job, &call, args->layer);
    if (call.waterfill && (status = slc_water_begin(&call, &job, args->stream)))
        return status;
    status = call.balance ? slc_balance_run(&call, &job, false, args->stream)
                          : slc_launch(context, &job, SLC_K_remap, args->stream);
    if (!status && call.waterfill)
        status = slc_water_run(&call, &job, NULL, args->stream);
    return sl_leave(context, SLUICE_OP_REMAP, started, status);
}

static sluice_status route(sluice_context *context, const sluice_route_args *args)
{
    int64_t started;
    struct sl_call call = {.context = context};
    struct slc_job job = {.rows = 0};
    sluice_status status = sl_enter(context, SLUICE_OP_ROUTE, &started);
    if (status || (status = sl_check_route(&call, args)))
        return status;
    slc_fill_job(&job, &call, SLUICE_OP_ROUTE);
    slc_fill_map(&job, &call, args->layer);
    uint64_t *counters =
        args->skip_record && !SL_MUTANT(skip_record_ignored) ? NULL : call.layer->bank->counters;
    job.counters = counters;
    if (call.waterfill && (status = slc_water_begin(&call, &job, args->stream)))
        return status;
    status = call.balance ? slc_balance_run(&call, &job, true, args->stream)
                          : slc_launch(context, &job, SLC_K_route, args->stream);
    if (!status && call.waterfill)
        status = slc_water_run(&call, &job, counters, args->stream);
    return sl_leave(context, SLUICE_OP_ROUTE, started, status);
}

const sluice_route_api slc_route_api = {.struct_size = sizeof slc_route_api, .route = route};

sluice_status slc_record(sluice_context *context, const sluice_record_args *args)
{
    int64_t started;
    struct sl_call call = {.context = context};
    struct slc_job job = {.rows = 0};
    sluice_status status = sl_enter(context, SLUICE_OP_RECORD, &started);
    if (status || (status = sl_check_record(&call, args)))
        return status;
    slc_fill_job(&job, &call, SLUICE_OP_RECORD);
    job.map.physical = call.layer->bank->shape.physical;
    job.counters = call.layer->bank->counters;
    status = slc_launch(context, &job, SLC_K_record, args->stream);
    return sl_leave(context, SLUICE_OP_RECORD, started, status);
}

sluice_status slc_add_slots(sluice_context *context, const sluice_load_slots *args)
{
    int64_t started;
    struct sl_layer *layer;
    struct sl_view view;
    sluice_status status = sl_enter(context, SLUICE_OP_RECORD, &started);
    if (status || (status = sl_load_check_slots(context, args, &layer, &view)))
        return status;
    const struct sl_shape *shape = &layer->bank->shape;
    struct slc_job job = {
        .rule = layer->rule,
        .in_ids = sl_ids_of(&view),
        .map = {.local = shape->local, .slots = shape->slots, .rank = shape->rank},
        .counters = layer->bank->counters,
        .rejected = slc_of(context)->rejected + SLUICE_OP_RECORD,
    };
    status = slc_launch(context, &job, SLC_K_slots, args->stream);
    return sl_leave(context, SLUICE_OP_RECORD, started, status);
}
