/* SPDX-License-Identifier: Apache-2.0
 * Which calls the kernels of gate_*.cuh take, and what they are told. */
#include "cu_walk.h"

/* To what one load takes, 16 bytes at most? */
static bool aligned(const void *data, int64_t row_bytes, int64_t load)
{
    int64_t low = load < 16 ? load - 1 : 15;
    return ((int64_t)(uintptr_t)data & low) == 0 && (row_bytes & low) == 0;
}

/* The first kernel of the gate that suits; SLC_KERNELS: none. */
static enum slc_kernel gate_of(const struct sl_rule *rule, const struct slc_gate_size **size)
{
    *size = &SLC_SMALL_SIZE;
    if (slc_small_soft(rule))
        return SLC_K_topk_soft;
    if (slc_small_sigmoid(rule))
        return SLC_K_topk_sigmoid;
    *size = &SLC_LIMIT_SIZE;
    return slc_limited(rule) ? SLC_K_topk_limit : SLC_KERNELS;
}

static bool suits(const struct slc_job *job, int32_t each)
{
    const struct sl_choose_io *io = &job->io;
    int64_t size = io->logit_type == SL_F32 ? 4 : 2;
    return !io->forced_ids.data && !io->expert_scale && job->rows <= INT32_MAX / 2 &&
           aligned(io->logits, io->logit_stride * size, each * size) && aligned(io->bias, 0, 16) &&
           !job->map.random && !job->map.by_row;
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
    const struct slc_gate_size *size;
    bool routes = *kernel == SLC_K_route;
    enum slc_kernel gate = gate_of(&job->rule, &size);
    if ((!routes && *kernel != SLC_K_topk) || gate == SLC_KERNELS || !suits(job, size->each))
        return false;
    add_outputs(job, routes);
    grid->warps = SLC_MOST_WARPS;
    grid->shared_bytes = grid->warps * size->warp_bytes + slc_block_bytes(&job->map, size->room);
    int64_t at_once = (int64_t)gpu->processors * grid->warps;
    int64_t turns = (job->rows + at_once - 1) / at_once, a_block = turns * grid->warps;
    grid->blocks = job->rows == 0 ? 0 : (job->rows + a_block - 1) / a_block;
    bool few = job->rows <= gpu->processors || grid->shared_bytes > SLC_MOST_SHARED;
    if (few) {
        grid->blocks = job->rows;
        grid->warps = 1;
        grid->shared_bytes = size->warp_bytes;
    }
    *kernel = (enum slc_kernel)((int)gate + 2 * routes + few);
    return true;
}
