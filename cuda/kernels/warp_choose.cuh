/* SPDX-License-Identifier: Apache-2.0
 * Choosing experts for one row, a warp to a row: any rule. The same bits as sl_choose_portable, by
 * the same functions of src/core; only who does which column differs. */
#ifndef SLC_WARP_CHOOSE_CUH
#define SLC_WARP_CHOOSE_CUH

#include "warp.cuh"

/* Lane i has choices i and i + 32, and shared weight i. */
struct slc_row {
    int32_t id[2];
    float w[2];
    float shared, zero;
};

/* A row on its way. x and key are of shared memory, [columns]; group is [SL_MAX_GROUPS]. */
struct slc_work {
    float *x;
    uint32_t *key;
    float *group;
    const float *bias; /* of this row, or NULL */
    float joint;       /* lane i: x, then s, of shared column i */
    float max, sum;
};

/* x of every column; a bias row out of range is as if every logit were NaN. */
SLC_DEVICE void slc_read(const struct slc_job *job, int64_t t, struct slc_work *work)
{
    const struct sl_rule *rule = &job->rule;
    const struct sl_choose_io *io = &job->io;
    bool usable = sl_row_bias(rule, io, t, &work->bias);
    for (int32_t e = slc_lane(); e < rule->columns; e += SLC_WARP) {
        float bias = rule->bias_use == SLUICE_BIAS_LOGIT && usable ? work->bias[e] : 0.0f;
        float x = sl_column_x(
            rule, sl_float_at(io->logits, io->logit_type, t * io->logit_stride + e), bias);
        work->x[e] = usable ? x : -INFINITY;
        if (SL_MUTANT(f16_denormals_flushed) && io->logit_type == SL_F16 && fabsf(x) < 0x1p-14f)
            work->x[e] = 0;
        if (SL_MUTANT(nan_chosen) && x == -INFINITY)
            work->x[e] = FLT_MAX;
    }
    work->joint = -INFINITY;
    if (rule->shared_weight == SLUICE_SHARED_JOINT && slc_lane() < rule->shared) {
        int64_t at = t * io->shared_stride + (io->shared_columns > 1 ? slc_lane() : 0);
        work->joint = sl_logit_x(rule, sl_float_at(io->shared_logits, io->shared_type, at));
    }
}

/* max, and the sum unless it cancels: lane j < 16 adds columns j, j + 16, ... in this order, as
 * sl_sum does. */
SLC_DEVICE void slc_softmax(const struct sl_rule *rule, struct slc_work *work)
{
    float max = -FLT_MAX, partial = 0.0f;
    for (int32_t e = slc_lane(); e < rule->columns; e += SLC_WARP)
        max = work->x[e] > max ? work->x[e] : max;
    max = work->joint > max ? work->joint : max;
    max = slc_warp_max(max);
    work->max = max;
    if (rule->sum_cancels)
        return;
    for (int32_t first = 0; first < rule->columns; first += SLC_WARP) {
        int32_t e = first + slc_lane();
        float part = e < rule->columns ? sl_exp(work->x[e] - max) : 0.0f;
        partial = partial + part;
        partial = partial + __shfl_down_sync(SLC_ALL, part, 16);
    }
    work->sum = slc_warp_tree(partial);
    if (rule->shared_weight != SLUICE_SHARED_JOINT || SL_MUTANT(joint_outside_softmax))
        return;
    float part = sl_exp(work->joint - max);
    for (int32_t j = 0; j < rule->shared; j++)
        work->sum = work->sum + __shfl_sync(SLC_ALL, part, j);
}

SLC_DEVICE float slc_score(const struct sl_rule *rule, const struct slc_work *work, int32_t e)
{
    return sl_score_of(rule, work->x[e], work->max, work->sum);
}

SLC_DEVICE bool slc_adds_bias(const struct sl_rule *rule, const struct slc_work *work)
{
    return work->bias && rule->bias_use != SLUICE_BIAS_LOGIT;
}

/* Rank keys; 0 for a column that is never chosen. */
SLC_DEVICE void slc_fill_keys(const struct sl_rule *rule, const struct slc_work *work)
{
    bool add = slc_adds_bias(rule, work);
    for (int32_t e = slc_lane(); e < rule->columns; e += SLC_WARP) {
        float x = work->x[e];
        float v = rule->bias_use == SLUICE_BIAS_SCORE || SL_MUTANT(rank_by_score)
                      ? slc_score(rule, work, e)
                      : x;
        v = add ? v + work->bias[e] : v;
        work->key[e] = x >= -FLT_MAX ? slc_key(v) : 0;
    }
}

/* The value of a group, in every lane: the greatest of s + b, or the sum of the two greatest. */
SLC_DEVICE float slc_group_value(const struct sl_rule *rule, const struct slc_work *work,
                                 int32_t group)
{
    bool add = slc_adds_bias(rule, work);
    float first = -INFINITY, second = -INFINITY;
    for (int32_t i = slc_lane(); i < rule->group_size; i += SLC_WARP) {
        int32_t e = group * rule->group_size + i;
        float u = slc_score(rule, work, e);
        u = add ? u + work->bias[e] : u;
        u = work->x[e] >= -FLT_MAX && u > -INFINITY ? u : -INFINITY;
        if (SL_MUTANT(nan_counts_in_group) && !(work->x[e] >= -FLT_MAX))
            u = 1;
        if (SL_MUTANT(top2_distinct) && u == first)
            continue;
        float less = u > first ? first : u;
        second = less > second ? less : second;
        first = u > first ? u : first;
    }
    for (int32_t width = 16; width > 0; width /= 2) {
        float one = __shfl_xor_sync(SLC_ALL, first, width);
        float two = __shfl_xor_sync(SLC_ALL, second, width);
        if (SL_MUTANT(top2_distinct) && one == first)
            one = -INFINITY;
        float less = one > first ? first : one;
        second = two > second ? two : second;
        second = less > second ? less : second;
        first = one > first ? one : first;
    }
    float both = first + second;
    both = both > -INFINITY ? both : -INFINITY;
    return rule->group_value == SLUICE_GROUP_MAX ? first : both;
}

/* Columns of groups that are not kept lose their keys. */
SLC_DEVICE void slc_drop_groups(const struct sl_rule *rule, const struct slc_work *work)
{
    for (int32_t g = 0; g < rule->groups; g++) {
        float value = slc_group_value(rule, work, g);
        if (slc_lane() == 0)
            work->group[g] = value;
    }
    __syncwarp();
    for (int32_t g = 0; g < rule->groups; g++) {
        int32_t better = 0;
        for (int32_t h = slc_lane(); h < rule->groups; h += SLC_WARP)
            better += (SL_MUTANT(group_tie_to_higher) ? h > g : h < g)
                          ? work->group[h] >= work->group[g]
                          : work->group[h] > work->group[g];
        better = __reduce_add_sync(SLC_ALL, better);
        for (int32_t i = slc_lane(); better >= rule->keep_groups && i < rule->group_size;
             i += SLC_WARP)
            work->key[g * rule->group_size + i] = 0;
    }
    __syncwarp();
}

/* The best `room` columns of [first, end), behind the `found` that are there. Returns how many
 * there are then. */
SLC_DEVICE int32_t slc_take(const struct slc_work *work, int32_t first, int32_t end, int32_t room,
                            int32_t found, struct slc_row *row)
{
    uint32_t best = 0;
    int32_t at = INT32_MAX;
    for (int32_t e = first + slc_lane(); e < end; e += SLC_WARP)
        if (work->key[e] > best) {
            best = work->key[e];
            at = e;
        }
    for (int32_t i = 0; i < room; i++) {
        uint32_t most = __reduce_max_sync(SLC_ALL, best);
        if (most == 0)
            break;
        int32_t id = slc_lowest(best == most, at);
        row->id[0] = found == slc_lane() ? id : row->id[0];
        row->id[1] = found == slc_lane() + SLC_WARP ? id : row->id[1];
        found++;
        if (at != id)
            continue;
        work->key[id] = 0;
        best = 0;
        at = INT32_MAX;
        for (int32_t e = first + slc_lane(); e < end; e += SLC_WARP)
            if (work->key[e] > best) {
                best = work->key[e];
                at = e;
            }
    }
    __syncwarp();
    return found;
}

SLC_DEVICE void slc_rank(const struct sl_rule *rule, const struct slc_work *work,
                         struct slc_row *row)
{
    slc_fill_keys(rule, work);
    __syncwarp();
    if (rule->group_mode == SLUICE_GROUPS_EVEN && rule->groups > 1) {
        int32_t found = 0;
        for (int32_t g = 0; g < rule->groups; g++)
            found = slc_take(work, g * rule->group_size, (g + 1) * rule->group_size,
                             rule->top_k / rule->groups, found, row);
        return;
    }
    if (rule->group_mode == SLUICE_GROUPS_LIMIT && rule->keep_groups < rule->groups)
        slc_drop_groups(rule, work);
    slc_take(work, 0, rule->columns, rule->top_k, 0, row);
}

SLC_DEVICE void slc_take_forced(const struct slc_job *job, int64_t t, const struct slc_work *work,
                                struct slc_row *row)
{
    const struct sl_choose_io *io = &job->io;
    int64_t from = io->forced_row.data ? sl_id_at(&io->forced_row, t, 0) : t;
    bool inside = from >= 0 && from < io->forced_rows;
    for (int32_t i = 0; i < 2; i++) {
        int32_t k = slc_lane() + i * SLC_WARP;
        if (k >= job->rule.top_k || !inside)
            continue;
        int64_t id = sl_id_at(&io->forced_ids, from, k);
        if (id >= 0 && id < job->rule.columns && work->x[id] >= -FLT_MAX)
            row->id[i] = (int32_t)id;
    }
}

/* Weights from scores: steps 7 to 10 of the order of computation. */
SLC_DEVICE void slc_weigh(const struct slc_job *job, int64_t t, float joint, struct slc_row *row)
{
    const struct sl_rule *rule = &job->rule;
    const struct sl_choose_io *io = &job->io;
    const bool is_joint = rule->shared_weight == SLUICE_SHARED_JOINT;
    float divisor = 1.0f;
    for (int32_t i = 0; SL_MUTANT(expert_scale_before_renorm) && i < 2; i++)
        if (io->expert_scale && row->id[i] >= 0)
            row->w[i] = row->w[i] * io->expert_scale[row->id[i]];
    if (rule->renorm) {
        divisor = slc_sum_choices(row->w[0], row->w[1], rule->top_k);
        for (int32_t j = 0; is_joint && !SL_MUTANT(renorm_without_shared) && j < rule->shared; j++)
            divisor = divisor + __shfl_sync(SLC_ALL, joint, j);
        divisor = divisor > rule->renorm_floor ? divisor : rule->renorm_floor;
        divisor = divisor + rule->renorm_eps;
        divisor = divisor > 0 ? divisor : 1.0f;
        if (SL_MUTANT(renorm_over_shared) && rule->shared > 0)
            divisor = divisor * 2;
    }
    for (int32_t i = 0; i < 2; i++) {
        row->w[i] = row->w[i] / divisor * rule->weight_scale;
        if (io->expert_scale && row->id[i] >= 0 && !SL_MUTANT(expert_scale_before_renorm))
            row->w[i] = row->w[i] * io->expert_scale[row->id[i]];
    }
    if (is_joint) {
        row->shared = joint / divisor * rule->scale * rule->shared_scale;
    } else if (rule->shared_weight == SLUICE_SHARED_SIGMOID && slc_lane() < rule->shared) {
        int64_t at = t * io->shared_stride + (io->shared_columns > 1 ? slc_lane() : 0);
        float gate = sl_sigmoid(sl_float_at(io->shared_logits, io->shared_type, at));
        row->shared = sl_plain_nan(gate * rule->shared_scale);
    }
    if (SL_MUTANT(shared_divided_by_topk))
        row->shared = row->shared / rule->shared_divisor;
    if (rule->zero_experts == 0)
        return;
    float part[2];
    for (int32_t i = 0; i < 2; i++) {
        bool zero = row->id[i] >= rule->experts;
        part[i] = zero ? row->w[i] : 0.0f;
        row->w[i] = zero ? 0.0f : row->w[i];
        row->id[i] = zero && !SL_MUTANT(zero_id_leaks) ? -1 : row->id[i];
    }
    float sum = slc_sum_choices(part[0], part[1], rule->top_k);
    row->zero = rule->zero_kind == SLUICE_ZERO_IDENTITY ? sum : 0.0f;
}

/* `scratch`: slc_warp_bytes of shared memory that are this warp's own. */
SLC_DEVICE struct slc_row slc_choose(const struct slc_job *job, int64_t t, bool live, void *scratch)
{
    const struct sl_rule *rule = &job->rule;
    struct slc_row row = {{-1, -1}, {0.0f, 0.0f}, 0.0f, 0.0f};
    if (!live && !SL_MUTANT(padding_chosen))
        return row;
    struct slc_work work;
    work.x = (float *)scratch;
    work.key = (uint32_t *)scratch + rule->columns;
    work.group = (float *)scratch + 2 * rule->columns;
    work.max = work.sum = 0;
    slc_read(job, t, &work);
    __syncwarp();
    if (rule->score == SLUICE_SCORE_SOFTMAX)
        slc_softmax(rule, &work);
    if (job->io.forced_ids.data)
        slc_take_forced(job, t, &work, &row);
    else
        slc_rank(rule, &work, &row);
    for (int32_t i = 0; i < 2; i++)
        if (row.id[i] >= 0) {
            row.w[i] = slc_score(rule, &work, row.id[i]);
            if (SL_MUTANT(weight_after_bias) && slc_adds_bias(rule, &work))
                row.w[i] = row.w[i] + work.bias[row.id[i]];
        }
    float joint = rule->shared_weight == SLUICE_SHARED_JOINT
                      ? sl_score_of(rule, work.joint, work.max, work.sum)
                      : 0.0f;
    slc_weigh(job, t, joint, &row);
    return row;
}

/* topk's outputs. */
SLC_DEVICE void slc_put_choices(const struct slc_job *job, int64_t t, const struct slc_row *row)
{
    for (int32_t i = 0; i < 2; i++) {
        int32_t k = slc_lane() + i * SLC_WARP;
        if (k >= job->rule.top_k || !job->ids.data)
            continue;
        slc_put_id(&job->ids, t, k, row->id[i]);
        if (job->weights.data)
            job->weights.data[t * job->weights.stride + k] = row->w[i];
    }
    if (job->shared_weights.data && slc_lane() < job->rule.shared)
        job->shared_weights.data[t * job->shared_weights.stride + slc_lane()] = row->shared;
    if (job->zero_weight.data && slc_lane() == 0)
        job->zero_weight.data[t * job->zero_weight.stride] = row->zero;
}

#endif
