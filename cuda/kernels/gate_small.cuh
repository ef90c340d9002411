/* SPDX-License-Identifier: Apache-2.0
 * Choosing up to 8 of at most 128 columns, four neighbouring columns a lane, a warp to a token:
 *   slc_soft   by logits, or logits + bias, for weights of a softmax over the chosen (Qwen3, gpt-oss
 *              and others that renormalise)
 *   slc_gates  by sigmoid + bias
 * slc_small says for which rules. The same bits as sl_choose_portable. */
#ifndef SLC_GATE_SMALL_CUH
#define SLC_GATE_SMALL_CUH

#include "gate_kernel.cuh"

/* By column: what the scores come from. */
struct __attribute__((aligned(16))) slc_kept {
    float x[128];
};

struct slc_columns {
    enum { ROOM = 128, EACH = SLC_FOUR };
    typedef struct slc_kept scratch;
    struct slc_kept *kept;
    float bias[SLC_FOUR]; /* -inf where this lane has no columns */
    int32_t at[SLC_FOUR]; /* its columns */
    int32_t has_bias;     /* 1 */
};

/* Two types, so that each has a choice of its own. */
struct slc_soft : slc_columns {
};
struct slc_gates : slc_columns {
};

SLC_DEVICE void slc_start(const struct slc_gate *job, uint32_t lane, const float *bias,
                          struct slc_kept *kept, struct slc_columns *gate)
{
    bool active = (int32_t)lane * SLC_FOUR < job->columns;
    float none = active ? 0.0f : -INFINITY, own[SLC_FOUR] = {none, none, none, none};
    gate->kept = kept;
    gate->has_bias = job->bias != NULL;
    if (active && job->bias)
        slc_get_four_floats((const char *)(bias + lane * SLC_FOUR), SL_F32, own);
#pragma unroll
    for (int32_t i = 0; i < SLC_FOUR; i++) {
        gate->bias[i] = own[i] + 0.0f; /* -0 and -0 would be -0 */
        gate->at[i] = (int32_t)lane * SLC_FOUR + i;
        SLC_KEEP_FLOAT(gate->bias[i]); /* else x + 0 is taken out where there is no bias */
        SLC_KEEP(gate->at[i]);
    }
    SLC_KEEP(gate->has_bias);
}

SLC_DEVICE void slc_fill_list(const struct slc_columns *my, const float *v, struct slc_list *list)
{
#pragma unroll
    for (int32_t i = 0; i < SLC_FOUR; i++) {
        list->key[i] = slc_ordered_float(v[i]);
        list->at[i] = my->at[i];
    }
}

SLC_DEVICE void slc_keep(struct slc_kept *kept, uint32_t lane, const float *x)
{
    struct slc_floats_4 four = {{x[0], x[1], x[2], x[3]}};
    __syncwarp(); /* the token before has been read */
    ((struct slc_floats_4 *)kept->x)[lane] = four;
    __syncwarp();
}

/* Choice rows->k, -1: none, of a sorted list, and what was kept of it, or `otherwise`. The list is
 * used up. */
SLC_DEVICE int32_t slc_take_columns(const struct slc_columns *my, const struct slc_lane_rows *rows,
                                    struct slc_list *list, float otherwise, float *kept)
{
    struct slc_list whole = *list;
    uint32_t least, id = slc_pick_eight(rows->selector, list, &least);
    *kept = my->kept->x[id];
    if (least <= SLC_NO_KEY && (int32_t)rows->k >= slc_count_keys(&whole)) {
        *kept = otherwise;
        return -1;
    }
    return (int32_t)id;
}

SLC_DEVICE int32_t slc_choose(const struct slc_gates *my, const struct slc_lane_rows *rows,
                              const char *from, float *score)
{
    float x[SLC_FOUR], v[SLC_FOUR], s[SLC_FOUR];
    struct slc_list list;
    slc_get_four_floats(from, rows->type, x);
#pragma unroll
    for (int32_t i = 0; i < SLC_FOUR; i++)
        v[i] = slc_biased(x[i], my->bias[i], &s[i]);
    slc_keep(my->kept, rows->lane, s);
    slc_fill_list(my, v, &list);
    slc_sort(&list);
    return slc_take_columns(my, rows, &list, 0.0f, score);
}

/* Keys of inf and NaN are above those of numbers: inf is as FLT_MAX, NaN is no choice. */
#define SLC_MOST_KEY 0xFF7FFFFFU
SLC_DEVICE void slc_mend(const struct slc_columns *my, float *x, struct slc_list *list)
{
#pragma unroll
    for (int32_t i = 0; i < SLC_FOUR; i++)
        x[i] = fminf(x[i] == x[i] ? x[i] : -INFINITY, FLT_MAX);
    slc_fill_list(my, x, list);
    slc_sort(list);
}

SLC_DEVICE int32_t slc_choose(const struct slc_soft *my, const struct slc_lane_rows *rows,
                              const char *from, float *score)
{
    float x[SLC_FOUR];
    struct slc_list list;
    slc_get_four_floats(from, rows->type, x);
    if (my->has_bias)
#pragma unroll
        for (int32_t i = 0; i < SLC_FOUR; i++)
            x[i] = slc_min_nan(x[i], FLT_MAX);
#pragma unroll
    for (int32_t i = 0; i < SLC_FOUR; i++)
        x[i] = x[i] + my->bias[i]; /* -0 becomes +0, also without a bias */
    slc_fill_list(my, x, &list);
    slc_sort(&list);
    if (!__all_sync(SLC_ALL, list.key[0] <= SLC_MOST_KEY))
        slc_mend(my, x, &list);
    slc_keep(my->kept, rows->lane, x);
    int32_t id = slc_take_columns(my, rows, &list, -INFINITY, score);
    /* Without any choice a NaN, and exp 0 all the same. */
    *score = slc_exp_below(*score - slc_from_lane<0>(*score));
    return id;
}

#endif
