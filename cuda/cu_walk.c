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

/* One thread a row. */
static struct grid grid_of_few(const struct slc_job *job)
{
    struct grid grid = {(job->rows + SLC_FEW_THREADS - 1) / SLC_FEW_THREADS,
                        SLC_FEW_THREADS / SLC_WARP, 0};
    while (grid.warps > 1 && (grid.warps / 2) * SLC_WARP >= job->rows)
        grid.warps /= 2;
    if (grid.blocks == 0 && job->map.calls)
        grid.blocks = 1;
    return grid;
}

static struct grid grid_of(const struct slc_job *job, enum slc_kernel kernel)
{
    if (kernel == SLC_TOPK_FEW || kernel == SLC_ROUTE_FEW)
        return grid_of_few(job);
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

sluice_status slc_walk_launch(struct slc_walk *walk, enum slc_kernel kernel, void *stream)
{
    sluice_context *context = walk->context;
    struct slc_job *job = &walk->job;
    job->rows = walk->rows;
    job->rule = walk->layer->rule;
    if (slc_wide(&job->rule) && !job->io.forced_ids.data)
        kernel = kernel == SLC_TOPK ? SLC_TOPK_WIDE : kernel == SLC_ROUTE ? SLC_ROUTE_WIDE : kernel;
    if (kernel == SLC_TOPK || kernel == SLC_ROUTE)
        job->few = slc_few_of(job, kernel);
    if (job->few != SLC_FEW_NOT)
        kernel = kernel == SLC_TOPK ? SLC_TOPK_FEW : SLC_ROUTE_FEW;
    struct grid grid = grid_of(job, kernel);
    if (grid.blocks == 0)
        return SLUICE_OK;
    if (grid.blocks > MOST_BLOCKS)
        return slc_fail(context, SLUICE_INVALID, "%lld rows are more than one launch takes",
                        (long long)job->rows);
    void *params[] = {job};
    slcu_result error = slc_gpu_enter(&context->gpu);
    if (error)
        return slc_judge(context, "cuCtxPushCurrent", error);
    error = context->gpu.driver->LaunchKernel(context->gpu.kernel[kernel], (unsigned)grid.blocks, 1,
                                              1, (unsigned)(grid.warps * SLC_WARP), 1, 1,
                                              (unsigned)grid.shared_bytes, stream, params, NULL);
    slc_gpu_leave(&context->gpu);
    return slc_judge(context, "cuLaunchKernel", error);
}
