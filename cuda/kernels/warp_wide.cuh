/* SPDX-License-Identifier: Apache-2.0
 * Choosing among 256 columns without a softmax (DeepSeek-V3 and its family): eight neighbouring
 * columns a lane, all in registers, no shared memory. A lower lane has lower ids, so the lowest
 * lane of equal keys is the one that a tie asks for; a group is a run of lanes. The caller has seen
 * that slc_wide of the rule holds and that no ids are forced. */
#ifndef SLC_WARP_WIDE_CUH
#define SLC_WARP_WIDE_CUH

#include "lists.cuh"
#include "warp_choose.cuh"

enum { SLC_EACH = 8 };

/* Elements at ... at + 7 of a tensor of floats; by 16 bytes at a time where they are aligned. */
SLC_DEVICE void slc_load_eight(const void *data, int32_t type, int64_t at, float *x)
{
    const char *from = (const char *)data + at * (type == SL_F32 ? 4 : 2);
    if (((uintptr_t)from & 15) != 0) {
#pragma unroll
        for (int32_t i = 0; i < SLC_EACH; i++)
            x[i] = sl_float_at(data, type, at + i);
        return;
    }
    struct slc_four low = *(const struct slc_four *)from;
    if (type == SL_F32) {
        struct slc_four high = *(const struct slc_four *)(from + 16);
#pragma unroll
        for (int32_t i = 0; i < 4; i++) {
            x[i] = sl_bits_float((int32_t)low.word[i]);
            x[i + 4] = sl_bits_float((int32_t)high.word[i]);
        }
        return;
    }
#pragma unroll
    for (int32_t i = 0; i < 4; i++) {
        uint16_t even = (uint16_t)low.word[i], odd = (uint16_t)(low.word[i] >> 16);
        x[2 * i] = type == SL_F16 ? sl_f16_to_f32(even) : sl_bf16_to_f32(even);
        x[2 * i + 1] = type == SL_F16 ? sl_f16_to_f32(odd) : sl_bf16_to_f32(odd);
    }
}

/* u (s + b, or s) is what groups are valued by; the group of this lane is kept? */
SLC_DEVICE bool slc_keeps(const struct sl_rule *rule, const float *u)
{
    float first = -INFINITY, second = -INFINITY;
#pragma unroll
    for (int32_t i = 0; i < SLC_EACH; i++) {
        float less = u[i] > first ? first : u[i];
        second = less > second ? less : second;
        first = u[i] > first ? u[i] : first;
    }
    int32_t lanes = rule->group_size / SLC_EACH;
    for (int32_t width = 1; width < lanes; width *= 2) {
        float one = __shfl_xor_sync(SLC_ALL, first, width);
        float two = __shfl_xor_sync(SLC_ALL, second, width);
        float less = one > first ? first : one;
        second = two > second ? two : second;
        second = less > second ? less : second;
        first = one > first ? one : first;
    }
    float value = first + second;
    value = value > -INFINITY ? value : -INFINITY;
    value = rule->group_value == SLUICE_GROUP_MAX ? first : value;
    int32_t better = 0;
    for (int32_t from = 0; from < SLC_WARP; from += lanes) {
        float other = __shfl_sync(SLC_ALL, value, from);
        better += from + lanes <= slc_lane() ? other >= value : other > value;
    }
    return better < rule->keep_groups;
}

/* A key and the column it is of. */
struct slc_entry {
    uint32_t key;
    int32_t at;
};

/* Only neighbours are exchanged, so that equal keys keep their order. */
SLC_DEVICE void slc_order(struct slc_entry *a, struct slc_entry *b)
{
    bool swap = b->key > a->key;
    struct slc_entry first = {swap ? b->key : a->key, swap ? b->at : a->at};
    struct slc_entry second = {swap ? a->key : b->key, swap ? a->at : b->at};
    *a = first;
    *b = second;
}

SLC_DEVICE void slc_order_four(struct slc_entry *list)
{
    slc_order(&list[0], &list[1]);
    slc_order(&list[2], &list[3]);
    slc_order(&list[1], &list[2]);
    slc_order(&list[0], &list[1]);
    slc_order(&list[2], &list[3]);
    slc_order(&list[1], &list[2]);
}

/* list[0 ... 3] and list[4 ... 7] become two lists in descending order; then heads are taken. */
SLC_DEVICE void slc_take_wide(struct slc_entry *list, int32_t top_k, struct slc_row *row)
{
    slc_order_four(list);
    slc_order_four(list + 4);
    for (int32_t k = 0; k < top_k; k++) {
        bool low = list[0].key >= list[4].key;
        uint32_t best = low ? list[0].key : list[4].key;
        int32_t at = low ? list[0].at : list[4].at;
        uint32_t most = __reduce_max_sync(SLC_ALL, best);
        if (most == 0)
            break;
        int32_t id = slc_lowest(best == most, at);
        row->id[0] = k == slc_lane() ? id : row->id[0];
        row->id[1] = k == slc_lane() + SLC_WARP ? id : row->id[1];
        bool mine = at == id;
#pragma unroll
        for (int32_t i = 0; i < 3; i++) {
            list[i] = mine && low ? list[i + 1] : list[i];
            list[i + 4] = mine && !low ? list[i + 5] : list[i + 4];
        }
        list[3].key = mine && low ? 0 : list[3].key;
        list[7].key = mine && !low ? 0 : list[7].key;
    }
}

SLC_DEVICE void slc_rank_wide(const struct slc_job *job, int64_t t, const float *bias,
                              struct slc_row *row)
{
    const struct sl_rule *rule = &job->rule;
    struct slc_entry list[SLC_EACH];
    float x[SLC_EACH], b[SLC_EACH], u[SLC_EACH];
    int32_t first = slc_lane() * SLC_EACH;
    bool limits = rule->keep_groups < rule->groups;
    slc_load_eight(job->io.logits, job->io.logit_type, t * job->io.logit_stride + first, x);
#pragma unroll
    for (int32_t i = 0; i < SLC_EACH; i++)
        b[i] = 0.0f;
    if (bias)
        slc_load_eight(bias, SL_F32, first, b);
#pragma unroll
    for (int32_t i = 0; i < SLC_EACH; i++) {
        x[i] = sl_column_x(rule, x[i], b[i]);
        float add = rule->bias_use == SLUICE_BIAS_LOGIT ? 0.0f : b[i];
        float s =
            rule->bias_use == SLUICE_BIAS_SCORE || limits ? sl_score_of(rule, x[i], 0, 0) : 0.0f;
        float v = (rule->bias_use == SLUICE_BIAS_SCORE ? s : x[i]) + add;
        bool usable = x[i] >= -FLT_MAX;
        u[i] = s + add;
        u[i] = usable && u[i] > -INFINITY ? u[i] : -INFINITY;
        list[i].key = usable ? slc_key(v) : 0;
        list[i].at = first + i;
    }
    bool kept = !limits || slc_keeps(rule, u);
#pragma unroll
    for (int32_t i = 0; i < SLC_EACH; i++)
        list[i].key = kept ? list[i].key : 0;
    slc_take_wide(list, rule->top_k, row);
}

SLC_DEVICE struct slc_row slc_choose_wide(const struct slc_job *job, int64_t t, bool live)
{
    const struct sl_rule *rule = &job->rule;
    const struct sl_choose_io *io = &job->io;
    struct slc_row row = {{-1, -1}, {0.0f, 0.0f}, 0.0f, 0.0f};
    const float *bias = NULL;
    if (!live && !SL_MUTANT(padding_chosen))
        return row;
    if (sl_row_bias(rule, io, t, &bias))
        slc_rank_wide(job, t, bias, &row);
        /* The chosen logits are read again: cheaper than to carry them along. */
#pragma unroll
    for (int32_t i = 0; i < 2; i++) {
        int32_t id = row.id[i];
        if (id < 0)
            continue;
        float x = sl_float_at(io->logits, io->logit_type, t * io->logit_stride + id);
        x = sl_column_x(rule, x, rule->bias_use == SLUICE_BIAS_LOGIT ? bias[id] : 0.0f);
        row.w[i] = sl_score_of(rule, x, 0, 0);
    }
    slc_weigh(job, t, 0.0f, &row);
    return row;
}

#endif
