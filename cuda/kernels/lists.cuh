/* SPDX-License-Identifier: Apache-2.0
 * The eight greatest of 128 or 256 keys, four or eight a lane: each lane sorts its own, then the
 * warp takes the greatest head eight times. Of equal keys the one at the lower place goes first. */
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
template <int32_t Each> struct slc_list {
    uint32_t key[Each];
    int32_t at[Each];
};

/* Only neighbours are exchanged, so that equal keys keep their order. */
template <int32_t Each> SLC_DEVICE void slc_swap(struct slc_list<Each> *list, int32_t i)
{
    uint32_t a = list->key[i], b = list->key[i + 1];
    int32_t at_a = list->at[i], at_b = list->at[i + 1];
    bool swap = b > a;
    list->key[i] = a > b ? a : b;
    list->key[i + 1] = a > b ? b : a;
    list->at[i] = swap ? at_b : at_a;
    list->at[i + 1] = swap ? at_a : at_b;
}

template <int32_t Each> SLC_DEVICE void slc_sort(struct slc_list<Each> *list)
{
#pragma unroll
    for (int32_t round = 0; round < Each; round++)
#pragma unroll
        for (int32_t i = round % 2; i + 1 < Each; i += 2)
            slc_swap(list, i);
}

/* The greatest, I-th of eight, is taken: its place is added to the bytes of `places`. */
template <int32_t I, int32_t Each>
SLC_DEVICE uint32_t slc_take_one(struct slc_list<Each> *list, uint32_t *places)
{
    /* What is left of the list after this, and what the rest of the eight can look at. */
    const int32_t left = SLC_EIGHT - 1 - I < Each ? SLC_EIGHT - 1 - I : Each;
    uint32_t most = __reduce_max_sync(SLC_ALL, list->key[0]);
    int32_t at = slc_lowest(list->key[0] == most, list->at[0]);
    if (I % 4 == 0)
        places[I / 4] = (uint32_t)at;
    else
        places[I / 4] = slc_shift_add<I % 4 * 8>(places[I / 4], (uint32_t)at);
    bool mine = list->at[0] == at;
#pragma unroll
    for (int32_t j = 0; j < left; j++) {
        list->key[j] = mine ? j + 1 < Each ? list->key[j + 1] : 0 : list->key[j];
        if (j + 1 < Each)
            list->at[j] = mine ? list->at[j + 1] : list->at[j];
    }
    return most;
}

/* The place, below 256, of the k-th greatest of eight, and the least key that was taken: where it
 * is no key (SLC_NO_KEY) the last places are not to be used. The list is used up. */
template <int32_t Each>
SLC_DEVICE uint32_t slc_pick_eight(uint32_t selector_of_k, struct slc_list<Each> *list,
                                   uint32_t *least)
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
    uint32_t place = slc_byte(places[0], places[1], selector_of_k);
    return Each * SLC_WARP <= 128 ? place : place & 0xFF;
}

/* How many of the keys of a warp are of choices. */
template <int32_t Each> SLC_DEVICE int32_t slc_count_keys(const struct slc_list<Each> *list)
{
    int32_t count = 0;
#pragma unroll
    for (int32_t i = 0; i < Each; i++)
        count += list->key[i] > SLC_NO_KEY;
    return __reduce_add_sync(SLC_ALL, count);
}

#endif
