/* SPDX-License-Identifier: Apache-2.0
 * Choosing 8 of 256 columns in 8 groups, of which at most 4 are kept, by sigmoid + bias
 * (DeepSeek-V3 and its family), a warp to a token. Each lane has eight neighbouring columns, so a
 * group is four lanes, and lower lanes have lower ids. What is left after the groups are chosen,
 * 128 columns, is handed round through shared memory: four a lane. slc_limited says for which calls
 * this is. The same bits as sl_choose_portable. */
#ifndef SLC_GATE_LIMIT_CUH
#define SLC_GATE_LIMIT_CUH

#include "gate_kernel.cuh"
#include "lists.cuh"

/* What a warp hands round: v and s of the columns that are left, by place, and their ids. */
struct __attribute__((aligned(16))) slc_left {
    float v[16][SLC_EIGHT], s[16][SLC_EIGHT];
    uint8_t id[16][SLC_EIGHT];
};

/* What a lane knows of itself for every token. */
struct slc_limit {
    enum { ROOM = 256, EACH = SLC_EIGHT, FULL = 1 };
    typedef struct slc_left scratch;
    struct slc_left *left;
    float bias[SLC_EIGHT];
    struct slc_words ids; /* eight bytes: the ids of its columns */
    uint32_t segment;     /* the lanes of its group */
    uint32_t lower;       /* the lanes below */
    int32_t rival; /* the first lane of the first of two groups that it compares its own with */
    uint32_t before[2];   /* 1: those groups are before its own */
    int32_t keep;         /* groups */
    int32_t at[SLC_FOUR]; /* places that it takes from what is left */
};

SLC_DEVICE void slc_start(const struct slc_gate *job, uint32_t lane, const float *bias,
                          struct slc_left *left, struct slc_limit *gate)
{
    uint32_t group = lane / 4, rival = lane % 4 * 2;
    struct slc_limit my;
    my.left = left;
    slc_get_eight((const char *)(bias + lane * SLC_EIGHT), SL_F32, my.bias);
    uint32_t first = lane * 0x08080808U;
    my.ids.low = first + 0x03020100U;
    my.ids.high = first + 0x07060504U;
    my.segment = 0xFU << (group * 4);
    my.lower = slc_lower_lanes(lane);
    my.rival = rival * 4;
    my.before[0] = SL_MUTANT(group_tie_to_higher) ? rival > group : rival < group;
    my.before[1] = SL_MUTANT(group_tie_to_higher) ? rival + 1 > group : rival + 1 < group;
    my.keep = job->keep_groups;
    SLC_KEEP(my.keep);
    SLC_KEEP(my.before[0]);
    SLC_KEEP(my.before[1]);
    SLC_KEEP(my.ids.low);
#pragma unroll
    for (int32_t i = 0; i < SLC_FOUR; i++) {
        my.at[i] = (int32_t)lane * SLC_FOUR + i;
        SLC_KEEP(my.at[i]);
    }
    /* Fewer groups than four leave places that no token fills. */
    if (my.keep < 4)
        for (int32_t i = 0; i < SLC_FOUR; i++)
            left->v[0][lane * SLC_FOUR + i] = -INFINITY;
    *gate = my;
}

struct slc_two {
    float first, second;
};

/* The two greatest of both. */
SLC_DEVICE struct slc_two slc_merge(struct slc_two a, struct slc_two b)
{
    struct slc_two two = {fmaxf(a.first, b.first),
                          fmaxf(fminf(a.first, b.first), fmaxf(a.second, b.second))};
    return two;
}

SLC_DEVICE struct slc_two slc_pair(float a, float b)
{
    struct slc_two two = {fmaxf(a, b), fminf(a, b)};
    return two;
}

/* Is the group of this lane kept? */
SLC_DEVICE bool slc_limit_keeps(const struct slc_limit *my, const float *v)
{
    struct slc_two two = slc_merge(slc_merge(slc_pair(v[0], v[1]), slc_pair(v[2], v[3])),
                                   slc_merge(slc_pair(v[4], v[5]), slc_pair(v[6], v[7])));
    struct slc_two next = {slc_across<1>(two.first), slc_across<1>(two.second)};
    two = slc_merge(two, next);
    struct slc_two rest = {slc_across<2>(two.first), slc_across<2>(two.second)};
    two = slc_merge(two, rest);
    /* Never -0: v never is. */
    uint32_t value = slc_ordered_float(fmaxf(two.first + two.second, -INFINITY));
    int32_t better = 0;
#pragma unroll
    for (int32_t i = 0; i < 2; i++) {
        uint32_t other = __shfl_sync(SLC_ALL, value, (int32_t)my->rival + i * 4);
        bool beats = other > value - my->before[i];
        better += __popc(__ballot_sync(SLC_ALL, beats) & my->segment);
    }
    return better < my->keep;
}

/* The id of choice rows->k, -1: none, and its s. `from`: the logits of this lane's columns. */
SLC_DEVICE int32_t slc_choose(const struct slc_limit *my, const struct slc_lane_rows *rows,
                              const char *from, float *score)
{
    struct slc_left *left = my->left;
    float x[SLC_EIGHT], v[SLC_EIGHT], s[SLC_EIGHT];
    slc_get_eight(from, rows->type, x);
#pragma unroll
    for (int32_t i = 0; i < SLC_EIGHT; i++)
        v[i] = slc_biased(x[i], my->bias[i], &s[i]);
    bool keeps = slc_limit_keeps(my, v);
    int32_t row = __popc(__ballot_sync(SLC_ALL, keeps) & my->lower);
    __syncwarp(); /* the token before has been read */
    if (keeps) {
        slc_put_eight(left->v[row], v);
        slc_put_eight(left->s[row], s);
        *(struct slc_words *)left->id[row] = my->ids;
    }
    __syncwarp();
    struct slc_list<SLC_FOUR> list;
    uint32_t least;
    struct slc_four bits = slc_get_four((const char *)left->v + rows->lane * sizeof bits);
#pragma unroll
    for (int32_t i = 0; i < SLC_FOUR; i++) {
        list.key[i] = slc_ordered((int32_t)bits.word[i]);
        list.at[i] = my->at[i];
    }
    struct slc_list<SLC_FOUR> whole = list;
    slc_sort(&list);
    uint32_t at = slc_pick_eight(rows->selector, &list, &least);
    int32_t id = left->id[0][at];
    *score = left->s[0][at];
    if (least <= SLC_NO_KEY && (int32_t)rows->k >= slc_count_keys(&whole)) {
        *score = 0.0f;
        id = -1;
    }
    return id;
}

#endif
