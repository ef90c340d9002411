/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_walk.h"

/* Shared memory that a block may have without asking for more. */
enum { MOST_SHARED = 48 * 1024 };

/* Most blocks of a launch. */
static const int64_t MOST_BLOCKS = 2147483647;

struct grid {
    int64_t blocks;
    int32_t warps, shared_bytes;
};

static struct grid grid_of(const struct slc_job *job, enum slc_kernel kernel)
{
    struct grid grid = {0, SLC_MOST_WARPS, 0};
    bool chooses = kernel == SLC_TOPK || kernel == SLC_ROUTE;
    int32_t bytes = chooses ? slc_warp_bytes(job->rule.columns) : 0;
    while (grid.warps > 1 && grid.warps * bytes > MOST_SHARED)
        grid.warps--;
    while (kernel != SLC_SLOTS && grid.warps > 1 && grid.warps / 2 >= job->rows)
        grid.warps /= 2;
    grid.shared_bytes = grid.warps * bytes;
    if (kernel == SLC_SLOTS) {
        grid.blocks = 1;
        return grid;
    }
    int64_t units = kernel == SLC_RECORD ? job->rows * job->columns : job->rows;
    int64_t a_block = kernel == SLC_RECORD ? (int64_t)grid.warps * SLC_WARP : grid.warps;
    grid.blocks = (units + a_block - 1) / a_block;
    /* A call without rows is a call that draws are numbered by. */
    if (grid.blocks == 0 && job->map.calls)
        grid.blocks = 1;
    return grid;
}

sluice_status slc_launch(sluice_context *context, struct slc_job *job, enum slc_kernel kernel,
                         void *stream)
{
    const struct slc_gpu *gpu = &slc_of(context)->gpu;
    if (slc_wide(&job->rule) && !job->io.forced_ids.data)
        kernel = kernel == SLC_TOPK ? SLC_TOPK_WIDE : kernel == SLC_ROUTE ? SLC_ROUTE_WIDE : kernel;
    struct grid grid = grid_of(job, kernel);
    if (grid.blocks == 0)
        return SLUICE_OK;
    if (grid.blocks > MOST_BLOCKS)
        return sl_fail(context, SLUICE_INVALID, "%lld rows are more than one launch takes",
                       (long long)job->rows);
    void *params[] = {job};
    slcu_result error = slc_gpu_enter(gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    error = gpu->driver->LaunchKernel(gpu->kernel[kernel], (unsigned)grid.blocks, 1, 1,
                                      (unsigned)(grid.warps * SLC_WARP), 1, 1,
                                      (unsigned)grid.shared_bytes, stream, params, NULL);
    slc_gpu_leave(gpu);
    return slc_judge(context, "cuLaunchKernel", error);
}

/* -------------------------------------------------------------------------------------- jobs */

static struct slc_floats floats_of(const struct sl_view *view)
{
    struct slc_floats floats = {(float *)(void *)view->data, view->stride};
    return floats;
}

void slc_fill_job(struct slc_job *job, const struct sl_call *call, int32_t op)
{
    const struct slc_context *own = slc_of(call->context);
    job->rule = call->layer->rule;
    job->io = call->io;
    job->rows = call->rows;
    job->num_valid = call->num_valid;
    job->in_ids = sl_ids_of(&call->in_ids);
    job->columns = call->in_ids.columns;
    job->in_weights = floats_of(&call->in_weights);
    job->in_shared = floats_of(&call->in_shared);
    job->in_zero = floats_of(&call->in_zero);
    job->ids = sl_ids_of(&call->ids.view);
    job->weights = floats_of(&call->weights.view);
    job->shared_weights = floats_of(&call->shared_weights.view);
    job->zero_weight = floats_of(&call->zero_weight.view);
    job->dispatch_ids = sl_ids_of(&call->dispatch_ids.view);
    job->dispatch_weights = floats_of(&call->dispatch_weights.view);
    job->recorder_ids = sl_ids_of(&call->recorder_ids.view);
    job->zero_here = floats_of(&call->zero_here.view);
    job->rejected = own->rejected + op;
    job->dead = own->dead;
}

void slc_fill_map(struct slc_job *job, const struct sl_call *call, int32_t layer)
{
    const sluice_context *context = call->context;
    const struct slc_context *own = slc_of(context);
    const struct sl_rule *rule = &call->layer->rule;
    const struct sl_shape *shape = &call->layer->bank->shape;
    const struct sl_place *there = &own->layers[call->layer->bank_index].at;
    job->map = (struct slc_map){
        .start = there->alive_start,
        .copies = there->alive_copies,
        .chosen = there->chosen,
        .chosen_slot = there->chosen_slot,
        .living = own->living_there,
        .calls = own->layers[layer].calls,
        .done = own->layers[layer].done,
        .seed = context->seed,
        .step = call->step.value,
        .row_base = call->row_base.value,
        .shared_constant = rule->shared_scale / rule->shared_divisor,
        .shared_divisor = rule->shared_divisor,
        .experts = shape->experts,
        .slots = shape->slots,
        .local = shape->local,
        .shared = shape->shared,
        .rank = context->rank,
        .ranks = context->ranks,
        .physical = shape->physical,
        .random = context->copy_policy == SLUICE_COPY_RANDOM,
        .by_row = (context->flags & SLUICE_OPEN_EVERY_RANK_EVERY_ROW) != 0,
        .layer = layer,
        .step_given = call->step_given,
    };
    job->step = call->step.there;
    job->row_base = call->row_base.there;
}
