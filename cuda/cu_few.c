/* SPDX-License-Identifier: Apache-2.0
 * Which jobs the kernels of one thread a row serve (few.cuh), and how. */
#include "cu_walk.h"

static bool aligned(const void *data, int64_t bytes)
{
    return ((uintptr_t)data & (uintptr_t)(bytes - 1)) == 0;
}

/* Rows of two 4-byte elements, one after the other, at a multiple of 8 bytes. */
static bool is_plain_ids(const struct sl_ids *ids)
{
    return ids->data && !ids->wide && ids->stride == 2 && aligned(ids->data, 8);
}

static bool is_plain_floats(const struct slc_floats *floats)
{
    return floats->data && floats->stride == 2 && aligned(floats->data, 8);
}

/* Two of eight whose softmax's sum cancels, every row live, dense and aligned logits. */
static bool is_plain_choice(const struct slc_job *job)
{
    const struct sl_rule *rule = &job->rule;
    const struct sl_choose_io *io = &job->io;
    return rule->columns == 8 && rule->top_k == 2 && rule->sum_cancels && rule->logit_scale == 1 &&
           rule->logit_cap == 0 && io->logit_type != SL_F16 && io->logit_stride == 8 &&
           aligned(io->logits, 16) && !io->row_valid && !job->num_valid.data &&
           io->valid_rows == job->rows;
}

/* All of topk's outputs; or all of remap's and all or none of topk's, without shared slots, each
 * expert's tokens going to one copy. */
static bool is_plain_output(const struct slc_job *job, enum slc_kernel kernel)
{
    bool chosen = is_plain_ids(&job->ids) && is_plain_floats(&job->weights);
    if (kernel == SLC_K_topk)
        return chosen;
    return (chosen || !job->ids.data) && is_plain_ids(&job->dispatch_ids) &&
           is_plain_floats(&job->dispatch_weights) && is_plain_ids(&job->recorder_ids) &&
           job->map.shared == 0 && !job->map.by_row && !job->map.random;
}

/* Rules, apart from their sizes. */
static bool is_simple(const struct sl_rule *rule)
{
    bool whole = rule->groups == 1 ||
                 (rule->group_mode == SLUICE_GROUPS_LIMIT && rule->keep_groups == rule->groups);
    return whole && rule->score != SLUICE_SCORE_SQRT_SOFTPLUS && rule->zero_experts == 0 &&
           rule->bias_use == SLUICE_BIAS_NONE && rule->shared_weight == SLUICE_SHARED_ONE;
}

int32_t slc_few_of(const struct slc_job *job, enum slc_kernel kernel)
{
    const struct sl_rule *rule = &job->rule;
    const struct sl_choose_io *io = &job->io;
    bool eight = rule->columns == 8 && rule->top_k <= 2;
    bool sixteen = rule->columns == SLC_FEW_COLUMNS && rule->top_k <= SLC_FEW_CHOICES &&
                   rule->logit_scale == 1 && rule->logit_cap == 0;
    int64_t row_bytes = io->logit_stride * (io->logit_type == SL_F32 ? 4 : 2);
    if ((!eight && !sixteen) || !is_simple(rule) || io->expert_scale || io->forced_ids.data ||
        !aligned(io->logits, 16) || row_bytes % 16 != 0 || job->rows > INT32_MAX)
        return SLC_FEW_NOT;
    if (is_plain_choice(job) && is_plain_output(job, kernel)) {
        if (kernel == SLC_K_route && job->ids.data)
            return io->logit_type == SL_F32 ? SLC_FEW_F32_ALL : SLC_FEW_BF16_ALL;
        return io->logit_type == SL_F32 ? SLC_FEW_F32 : SLC_FEW_BF16;
    }
    return eight ? SLC_FEW_8_2 : rule->top_k <= 2 ? SLC_FEW_16_2 : SLC_FEW_16_4;
}
