/* SPDX-License-Identifier: Apache-2.0
 * The eight greatest of 128 keys, four a lane: each lane sorts its own, then the warp takes the
 * greatest head eight times. Of equal keys the one at the lower place goes first. */
#ifndef SLC_LISTS_CUH
#define SLC_LISTS_CUH

#include "exact.cuh"

enum { SLC_FOUR = 4, SLC_EIGHT = 8 };

struct __attribute__((aligned(16))) slc_four {
    uint32_t word[SLC_FOUR];
};

struct __attribute__((aligned(8))) slc_words {
    uint32_t low, high;
};

struct __attribute__((aligned(16))) slc_floats_4 {
    float x[SLC_FOUR];
};

/* Keys, and where they are; a lower lane has lower places. */
struct slc_list {
    uint32_t key[SLC_FOUR];
    int32_t at[SLC_FOUR];
};

/* Only neighbours are exchanged, so that equal keys keep their order. */
SLC_DEVICE void slc_swap(struct slc_list *list, int32_t i)
{
    uint32_t a = list->key[i], b = list->key[i + 1];
    int32_t at_a = list->at[i], at_b = list->at[i + 1];
    bool swap = b > a;
    list->key[i] = a > b ? a : b;
    list->key[i + 1] = a > b ? b : a;
    list->at[i] = swap ? at_b : at_a;
    list->at[i + 1] = swap ? at_a : at_b;
}

SLC_DEVICE void slc_sort(struct slc_list *list)
{
    slc_swap(list, 0);
    slc_swap(list, 2);
    slc_swap(list, 1);
    slc_swap(list, 0);
    slc_swap(list, 2);
    slc_swap(list, 1);
}

/* The greatest, I-th of eight, is taken: its place is added to the bytes of `places`. */
template <int32_t I> SLC_DEVICE uint32_t slc_take_one(struct slc_list *list, uint32_t *places)
{
    /* What is left of the list after this, and what the rest of the eight can look at. */
    const int32_t left = SLC_EIGHT - 1 - I < SLC_FOUR ? SLC_EIGHT - 1 - I : SLC_FOUR;
    uint32_t most = __reduce_max_sync(SLC_ALL, list->key[0]);
    int32_t at = __reduce_min_sync(SLC_ALL, list->key[0] == most ? list->at[0] : INT32_MAX);
    if (I % SLC_FOUR == 0)
        places[I / SLC_FOUR] = (uint32_t)at;
    else
        places[I / SLC_FOUR] = slc_shift_add<I % SLC_FOUR * 8>(places[I / SLC_FOUR], (uint32_t)at);
    bool mine = list->at[0] == at;
#pragma unroll
    for (int32_t j = 0; j < SLC_FOUR; j++) {
        if (j >= left)
            continue;
        list->key[j] = mine ? j + 1 < SLC_FOUR ? list->key[j + 1] : 0 : list->key[j];
        if (j + 1 < SLC_FOUR)
            list->at[j] = mine ? list->at[j + 1] : list->at[j];
    }
    return most;
}

/* The place, below 128, of the k-th greatest of eight, and the least key that was taken: where it is
 * no key (SLC_NO_KEY) the last places are not to be used. The list is used up. */
SLC_DEVICE uint32_t slc_pick_eight(uint32_t selector_of_k, struct slc_list *list, uint32_t *least)
{
    uint32_t places[2];
    slc_take_one<0>(list, places);
    slc_take_one<1>(list, places);
    slc_take_one<2>(list, places);
    slc_take_one<3>(list, places);
    slc_take_one<4>(list, places);
    slc_take_one<5>(list, places);
    slc_take_one<6>(list, places);
    *least = slc_take_one<7>(list, places);
    return slc_byte(places[0], places[1], selector_of_k);
}

/* How many of the keys of a warp are of choices. */
SLC_DEVICE int32_t slc_count_keys(const struct slc_list *list)
{
    int32_t count = 0;
#pragma unroll
    for (int32_t i = 0; i < SLC_FOUR; i++)
        count += list->key[i] > SLC_NO_KEY;
    return __reduce_add_sync(SLC_ALL, count);
}

#endif
