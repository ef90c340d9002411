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

/* Bytes from row to row fit into 31 bits? */
static bool near(int64_t stride)
{
    return stride < INT32_MAX / 8;
}

static bool suits(const struct slc_job *job, int32_t each)
{
    const struct sl_choose_io *io = &job->io;
    int64_t size = io->logit_type == SL_F32 ? 4 : 2;
    return !io->forced_ids.data && !io->expert_scale && job->rows <= INT32_MAX / 2 &&
           aligned(io->logits, io->logit_stride * size, each * size) && aligned(io->bias, 0, 16) &&
           !job->map.random && !job->map.by_row && near(io->logit_stride) &&
           near(job->dispatch_ids.stride) && near(job->dispatch_weights.stride) &&
           near(job->recorder_ids.stride) && near(job->ids.stride) && near(job->weights.stride);
}

static void add_ids(struct slc_gate *gate, int32_t *count, int32_t kind, const struct sl_ids *ids)
{
    if (!ids->data)
        return;
    int32_t row_bytes = (int32_t)ids->stride * (ids->wide ? 8 : 4);
    gate->out[(*count)++] = (struct slc_out){ids->data, 0, row_bytes, kind, ids->wide, 0};
    gate->unusual |= ids->wide;
}

static void add_floats(struct slc_gate *gate, int32_t *count, int32_t kind,
                       const struct slc_floats *floats)
{
    if (floats->data)
        gate->out[(*count)++] =
            (struct slc_out){(char *)floats->data, 0, (int32_t)floats->stride * 4, kind, 0, 0};
}

/* Four outputs, of which some may be the same; weights of route by themselves. */
static void add_outputs(const struct slc_job *job, struct slc_gate *gate, bool routes)
{
    int32_t count = 0;
    if (routes) {
        add_ids(gate, &count, SLC_OUT_SLOTS, &job->dispatch_ids);
        add_floats(gate, &count, SLC_OUT_GIVEN, &job->dispatch_weights);
        add_ids(gate, &count, SLC_OUT_COPIES, &job->recorder_ids);
        gate->weights = (char *)job->weights.data;
        gate->weights_bytes = (int32_t)job->weights.stride * 4;
        gate->has_weights = gate->weights != NULL;
        gate->unusual |= job->map.shared > 0;
    }
    add_ids(gate, &count, SLC_OUT_IDS, &job->ids);
    if (!routes)
        add_floats(gate, &count, SLC_OUT_WEIGHTS, &job->weights);
    for (int32_t i = count; i < 4; i++)
        gate->out[i] = gate->out[i - count];
}

static void fill(struct slc_job *job, bool routes)
{
    const struct sl_rule *rule = &job->rule;
    const struct sl_choose_io *io = &job->io;
    const struct slc_map *map = &job->map;
    job->gate = (struct slc_gate){
        .logits = io->logits,
        .bias = rule->bias_use == SLUICE_BIAS_NONE ? NULL : io->bias,
        .row_valid = io->row_valid,
        .chosen = map->chosen,
        .chosen_slot = map->chosen_slot,
        .counters = (unsigned long long *)job->counters,
        .dead = (unsigned long long *)job->dead,
        .rows = (int32_t)job->rows,
        .live_rows = (int32_t)io->valid_rows,
        .columns = rule->columns,
        .top_k = rule->top_k,
        .logit_bytes = (int32_t)io->logit_stride * (io->logit_type == SL_F32 ? 4 : 2),
        .logit_type = io->logit_type,
        .physical = map->physical,
        .shared = map->shared,
        .shared_slot = map->rank * map->local + map->slots,
        .experts = rule->experts,
        .keep_groups = rule->keep_groups,
        .renorm_floor = rule->renorm ? rule->renorm_floor : 0,
        .renorm_eps = rule->renorm ? rule->renorm_eps : 1,
        .scale = rule->weight_scale,
        .shared_weight = map->shared_constant,
        .renorm = rule->renorm,
        .has_num_valid = job->num_valid.data != NULL,
    };
    add_outputs(job, &job->gate, routes);
}

bool slc_gate(const struct slc_gpu *gpu, struct slc_job *job, enum slc_kernel *kernel,
              struct slc_grid *grid)
{
    const struct slc_gate_size *size;
    bool routes = *kernel == SLC_K_route;
    enum slc_kernel gate = gate_of(&job->rule, &size);
    if ((!routes && *kernel != SLC_K_topk) || gate == SLC_KERNELS || !suits(job, size->each))
        return false;
    fill(job, routes);
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
