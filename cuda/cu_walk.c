/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_walk.h"
#include "../src/core/mutant.h"

/* Most blocks of a launch. */
static const int64_t MOST_BLOCKS = 2147483647;

/* One thread a row. */
static struct slc_grid grid_of_few(const struct slc_job *job)
{
    struct slc_grid grid = {(job->rows + SLC_FEW_THREADS - 1) / SLC_FEW_THREADS,
                            SLC_FEW_THREADS / SLC_WARP, 0};
    while (grid.warps > 1 && (int64_t)(grid.warps / 2) * SLC_WARP >= job->rows)
        grid.warps /= 2;
    if (grid.blocks == 0 && job->map.calls)
        grid.blocks = 1;
    return grid;
}

static struct slc_grid grid_of(const struct slc_job *job, enum slc_kernel kernel)
{
    if (kernel == SLC_K_topk_few || kernel == SLC_K_route_few)
        return grid_of_few(job);
    struct slc_grid grid = {0, SLC_MOST_WARPS, 0};
    bool chooses = kernel == SLC_K_topk || kernel == SLC_K_route;
    int32_t bytes = chooses ? slc_warp_bytes(job->rule.columns) : 0;
    while (grid.warps > 1 && grid.warps * bytes > SLC_MOST_SHARED)
        grid.warps--;
    while (kernel != SLC_K_slots && grid.warps > 1 && grid.warps / 2 >= job->rows)
        grid.warps /= 2;
    grid.shared_bytes = grid.warps * bytes;
    if (kernel == SLC_K_slots) {
        grid.blocks = 1;
        return grid;
    }
    int64_t units = kernel == SLC_K_record ? job->rows * job->columns : job->rows;
    int64_t a_block = kernel == SLC_K_record ? (int64_t)grid.warps * SLC_WARP : grid.warps;
    grid.blocks = (units + a_block - 1) / a_block;
    /* A call without rows is a call that draws are numbered by. */
    if (grid.blocks == 0 && job->map.calls)
        grid.blocks = 1;
    return grid;
}

/* The kernel that is best for a job, and its grid. */
static enum slc_kernel best(const struct slc_gpu *gpu, struct slc_job *job, enum slc_kernel kernel,
                            struct slc_grid *grid)
{
    bool routes = kernel == SLC_K_route;
    if (routes || kernel == SLC_K_topk) {
        job->few = slc_few_of(job, kernel);
        if (job->few != SLC_FEW_NOT)
            kernel = routes ? SLC_K_route_few : SLC_K_topk_few;
        else if (slc_gate(gpu, job, &kernel, grid))
            return kernel;
        else if (slc_wide(&job->rule) && !job->io.forced_ids.data)
            kernel = routes ? SLC_K_route_wide : SLC_K_topk_wide;
    }
    *grid = grid_of(job, kernel);
    return kernel;
}

sluice_status slc_launch(sluice_context *context, struct slc_job *job, enum slc_kernel kernel,
                         void *stream)
{
    const struct slc_gpu *gpu = &slc_of(context)->gpu;
    struct slc_grid grid;
    kernel = best(gpu, job, kernel, &grid);
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

sluice_status slc_clear_drawn(sluice_context *context, uint64_t *drawn, int32_t physical,
                              void *stream)
{
    const struct slc_gpu *gpu = &slc_of(context)->gpu;
    slcu_result error = slc_gpu_enter(gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    error =
        gpu->driver->MemsetD8Async(slc_address(drawn), 0, (size_t)physical * sizeof *drawn, stream);
    slc_gpu_leave(gpu);
    return slc_judge(context, "cuMemsetD8Async", error);
}

sluice_status slc_launch_drawn(sluice_context *context, const struct slc_job *job,
                               enum slc_kernel kernel, uint64_t *drawn, void *stream)
{
    struct slc_job counted = *job;
    sluice_status status = slc_clear_drawn(context, drawn, job->map.physical, stream);
    counted.counters = drawn;
    return status ? status : slc_launch(context, &counted, kernel, stream);
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
    if (SL_MUTANT(logits_read_dense))
        job->io.logit_stride = job->rule.columns;
    if (SL_MUTANT(bias_row_ignored) && job->rule.bias_rows > 1)
        job->rule.bias_rows = 1;
    if (SL_MUTANT(cap_omitted))
        job->rule.logit_cap = 0;
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
        .seed = SL_MUTANT(random_ignores_seed) ? 0 : context->seed,
        .step = call->step.value,
        .row_base = call->row_base.value,
        .shared_constant =
            SL_MUTANT(shared_scale_lost) ? 1 : rule->shared_scale / rule->shared_divisor,
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
        .layer = SL_MUTANT(random_ignores_layer) ? 0 : layer,
        .step_given = call->step_given,
    };
    job->step = call->step.there;
    job->row_base = call->row_base.there;
}
