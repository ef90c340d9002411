/* SPDX-License-Identifier: Apache-2.0
 * Choosing up to 8 of all of at most 128 or 256 columns, four or eight neighbouring ones a lane, a
 * warp to a token:
 *   slc_soft   by logits, or logits + bias, for weights of a softmax over the chosen (Qwen3,
 *              gpt-oss and others that renormalise)
 *   slc_gates  by sigmoid + bias
 * slc_whole says for which rules. The same bits as sl_choose_portable. */
#ifndef SLC_GATE_WHOLE_CUH
#define SLC_GATE_WHOLE_CUH

#include "gate_kernel.cuh"

/* By column: what the scores come from. */
template <int32_t Each> struct __attribute__((aligned(16))) slc_kept {
    float x[SLC_WARP * Each];
};

template <int32_t Each> struct slc_columns {
    enum { ROOM = SLC_WARP * Each, EACH = Each, FULL = 0 };
    typedef struct slc_kept<Each> scratch;
    scratch *kept;
    float bias[Each]; /* -inf where this lane has no columns */
    int32_t at[Each]; /* its columns */
    int32_t has_bias; /* 1 */
};

/* Two types, so that each has a choice of its own. */
template <int32_t Each> struct slc_soft : slc_columns<Each> {
};
template <int32_t Each> struct slc_gates : slc_columns<Each> {
};

template <int32_t Each> SLC_DEVICE void slc_get(const char *from, int32_t type, float *x)
{
    if (Each == SLC_FOUR)
        slc_get_four_floats(from, type, x);
    else
        slc_get_eight(from, type, x);
}

template <int32_t Each>
SLC_DEVICE void slc_start(const struct slc_gate *job, uint32_t lane, const float *bias,
                          struct slc_kept<Each> *kept, struct slc_columns<Each> *gate)
{
    bool active = (int32_t)lane * Each < job->columns;
    float own[Each];
#pragma unroll
    for (int32_t i = 0; i < Each; i++)
        own[i] = active ? 0.0f : -INFINITY;
    gate->kept = kept;
    gate->has_bias = job->bias != NULL;
    if (active && job->bias)
        slc_get<Each>((const char *)(bias + lane * Each), SL_F32, own);
#pragma unroll
    for (int32_t i = 0; i < Each; i++) {
        gate->bias[i] = own[i] + 0.0f; /* -0 and -0 would be -0 */
        gate->at[i] = (int32_t)lane * Each + i;
        SLC_KEEP_FLOAT(gate->bias[i]); /* else x + 0 is taken out where there is no bias */
        SLC_KEEP(gate->at[i]);
    }
    SLC_KEEP(gate->has_bias);
}

template <int32_t Each>
SLC_DEVICE void slc_fill_list(const struct slc_columns<Each> *my, const float *v,
                              struct slc_list<Each> *list)
{
#pragma unroll
    for (int32_t i = 0; i < Each; i++) {
        list->key[i] = slc_ordered_float(v[i]);
        list->at[i] = my->at[i];
    }
}

template <int32_t Each>
SLC_DEVICE void slc_keep(struct slc_kept<Each> *kept, uint32_t lane, const float *x)
{
    struct slc_floats_4 *to = (struct slc_floats_4 *)(kept->x + lane * Each);
    __syncwarp(); /* the token before has been read */
#pragma unroll
    for (int32_t i = 0; i < Each; i += 4) {
        struct slc_floats_4 four = {{x[i], x[i + 1], x[i + 2], x[i + 3]}};
        to[i / 4] = four;
    }
    __syncwarp();
}

/* Choice rows->k, -1: none, of a sorted list, and what was kept of it, or `otherwise`. The list is
 * used up. */
template <int32_t Each>
SLC_DEVICE int32_t slc_take_columns(const struct slc_columns<Each> *my,
                                    const struct slc_lane_rows *rows, struct slc_list<Each> *list,
                                    float otherwise, float *kept)
{
    struct slc_list<Each> whole = *list;
    uint32_t least, id = slc_pick_eight(rows->selector, list, &least);
    *kept = my->kept->x[id];
    if (least <= SLC_NO_KEY && (int32_t)rows->k >= slc_count_keys(&whole)) {
        *kept = otherwise;
        return -1;
    }
    return (int32_t)id;
}

template <int32_t Each>
SLC_DEVICE int32_t slc_choose(const struct slc_gates<Each> *my, const struct slc_lane_rows *rows,
                              const char *from, float *score)
{
    float x[Each], v[Each], s[Each];
    struct slc_list<Each> list;
    slc_get<Each>(from, rows->type, x);
#pragma unroll
    for (int32_t i = 0; i < Each; i++)
        v[i] = slc_biased(x[i], my->bias[i], &s[i]);
    slc_keep(my->kept, rows->lane, s);
    slc_fill_list<Each>(my, v, &list);
    slc_sort(&list);
    return slc_take_columns<Each>(my, rows, &list, 0.0f, score);
}

/* Keys of inf and NaN are above those of numbers: inf is as FLT_MAX, NaN is no choice. */
#define SLC_MOST_KEY 0xFF7FFFFFU
template <int32_t Each>
SLC_DEVICE void slc_mend(const struct slc_columns<Each> *my, float *x, struct slc_list<Each> *list)
{
#pragma unroll
    for (int32_t i = 0; i < Each; i++)
        x[i] = fminf(x[i] == x[i] ? x[i] : -INFINITY, FLT_MAX);
    slc_fill_list<Each>(my, x, list);
    slc_sort(list);
}

template <int32_t Each>
SLC_DEVICE int32_t slc_choose(const struct slc_soft<Each> *my, const struct slc_lane_rows *rows,
                              const char *from, float *score)
{
    float x[Each];
    struct slc_list<Each> list;
    slc_get<Each>(from, rows->type, x);
    if (my->has_bias)
#pragma unroll
        for (int32_t i = 0; i < Each; i++)
            x[i] = slc_min_nan(x[i], FLT_MAX);
#pragma unroll
    for (int32_t i = 0; i < Each; i++)
        x[i] = x[i] + my->bias[i]; /* -0 becomes +0, also without a bias */
    slc_fill_list<Each>(my, x, &list);
    slc_sort(&list);
    if (!__all_sync(SLC_ALL, list.key[0] <= SLC_MOST_KEY))
        slc_mend<Each>(my, x, &list);
    slc_keep(my->kept, rows->lane, x);
    int32_t id = slc_take_columns<Each>(my, rows, &list, -INFINITY, score);
    /* Without any choice a NaN, and exp 0 all the same. */
    *score = slc_exp_below(*score - slc_from_lane<0>(*score));
    return id;
}

#endif
