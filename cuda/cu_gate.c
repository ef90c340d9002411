/* SPDX-License-Identifier: Apache-2.0
 * Which calls the kernels of gate_*.cuh take, and what they are told. */
#include "cu_walk.h"

static bool aligned(const void *data, int64_t row_bytes)
{
    return ((uintptr_t)data & 15) == 0 && (row_bytes & 15) == 0;
}

static bool suits(const struct slc_job *job)
{
    const struct sl_choose_io *io = &job->io;
    int64_t size = io->logit_type == SL_F32 ? 4 : 2;
    return slc_limited(&job->rule) && !io->forced_ids.data && !io->expert_scale &&
           job->rows <= INT32_MAX / 2 && aligned(io->logits, io->logit_stride * size) &&
           aligned(io->bias, 0) && !job->map.random && !job->map.by_row;
}

static void add_ids(struct slc_job *job, int32_t *count, int32_t kind, const struct sl_ids *ids)
{
    if (ids->data)
        job->out[(*count)++] =
            (struct slc_out){ids->data, ids->stride * (ids->wide ? 8 : 4), kind, ids->wide};
}

static struct slc_out floats_out(const struct slc_floats *floats, int32_t kind)
{
    return (struct slc_out){(char *)floats->data, floats->stride * 4, kind, 0};
}

/* Four outputs, of which some may be the same; weights of route by themselves. */
static void add_outputs(struct slc_job *job, bool routes)
{
    int32_t count = 0;
    job->last = floats_out(&job->weights, SLC_OUT_WEIGHTS);
    if (routes) {
        add_ids(job, &count, SLC_OUT_SLOTS, &job->dispatch_ids);
        if (job->dispatch_weights.data)
            job->out[count++] = floats_out(&job->dispatch_weights, SLC_OUT_GIVEN);
        add_ids(job, &count, SLC_OUT_COPIES, &job->recorder_ids);
    }
    add_ids(job, &count, SLC_OUT_IDS, &job->ids);
    if (!routes)
        job->out[count++] = job->last;
    for (int32_t i = count; i < 4; i++)
        job->out[i] = job->out[i - count];
}

bool slc_gate(const struct slc_gpu *gpu, struct slc_job *job, enum slc_kernel *kernel,
              struct slc_grid *grid)
{
    bool routes = *kernel == SLC_ROUTE;
    if ((!routes && *kernel != SLC_TOPK) || !suits(job))
        return false;
    add_outputs(job, routes);
    int32_t own = slc_block_bytes(&job->map) * routes + SLC_LIMIT_BIAS_BYTES;
    grid->warps = SLC_MOST_WARPS;
    grid->shared_bytes = grid->warps * SLC_LIMIT_WARP_BYTES + own;
    int64_t at_once = (int64_t)gpu->processors * grid->warps;
    int64_t turns = (job->rows + at_once - 1) / at_once, a_block = turns * grid->warps;
    grid->blocks = job->rows == 0 ? 0 : (job->rows + a_block - 1) / a_block;
    *kernel = routes ? SLC_ROUTE_LIMIT : SLC_TOPK_LIMIT;
    if (job->rows > gpu->processors && grid->shared_bytes <= SLC_MOST_SHARED)
        return true;
    *kernel = routes ? SLC_ROUTE_LIMIT_FEW : SLC_TOPK_LIMIT_FEW;
    grid->blocks = job->rows;
    grid->warps = 1;
    grid->shared_bytes = SLC_LIMIT_WARP_BYTES;
    return true;
}
