/* SPDX-License-Identifier: Apache-2.0
 * What the kernels of dispatch and combine have in common. */
#ifndef SLC_WARP_MOVE_CUH
#define SLC_WARP_MOVE_CUH

#include "warp.cuh"

#include "../../src/core/sl_half.h"
#include "move_job.h"

struct alignas(16) slc_chunk {
    uint32_t word[4];
};

/* A word of shared memory by its address there: one addition from a base that stays in a register,
 * where a pointer costs nvcc three for each access. */
#if defined(__CUDACC__)
SLC_DEVICE uint32_t slc_shared_at(const void *word)
{
    return (uint32_t)__cvta_generic_to_shared(word);
}

SLC_DEVICE uint32_t slc_shared_or(uint32_t at, uint32_t bits)
{
    uint32_t before;
    asm volatile("atom.shared.or.b32 %0, [%1], %2;" : "=r"(before) : "r"(at), "r"(bits) : "memory");
    return before;
}
#else
SLC_DEVICE uint32_t slc_shared_at(const void *word)
{
    return (uint32_t)((const unsigned char *)word - slc_shared);
}

SLC_DEVICE uint32_t slc_shared_or(uint32_t at, uint32_t bits)
{
    return atomicOr((uint32_t *)(slc_shared + at), bits);
}
#endif

/* A valid slot id, or -1; -2 is one that is none and is counted. */
SLC_DEVICE int32_t slc_slot_of(const struct slc_move *job, int64_t id)
{
    if (SL_MUTANT(outside_slots_sent) && id != -1)
        id = (int64_t)((uint64_t)id % (uint64_t)(job->ranks * job->local));
    if ((uint64_t)id >= (uint64_t)(job->ranks * job->local))
        return id == -1 ? -1 : -2;
    return (int32_t)id;
}

SLC_DEVICE int32_t slc_rank_of(const struct slc_move *job, int32_t id)
{
    return (int32_t)((uint32_t)id * job->divide >> job->divide_shift);
}

SLC_DEVICE int32_t slc_peer_of(const struct slc_move *job, int32_t rank)
{
    return job->peer_of ? job->peer_of[rank] : rank;
}

SLC_DEVICE int64_t slc_valid_tokens(const struct slc_move *job)
{
    int64_t valid = slc_scalar(&job->num_valid, job->valid_rows);
    return valid < job->tokens ? valid : job->tokens;
}

/* The id of column c of token t, or -1. */
SLC_DEVICE int32_t slc_id_of(const struct slc_move *job, int64_t t, int32_t c, int64_t valid)
{
    int32_t id = t < valid ? slc_slot_of(job, sl_id_at(&job->in_ids, t, c)) : -1;
    if (id < 0 || !job->peer_of)
        return id < 0 ? -1 : id;
    return job->peer_of[slc_rank_of(job, id)] < 0 ? -1 : id;
}

/* Entries of a key in tokens before t. */
SLC_DEVICE int32_t slc_place_of(const struct slc_move *job, int64_t t, int32_t key)
{
    struct slc_mask mask = job->masks[t / SLC_WARP * job->key_stride + key];
    uint32_t earlier = mask.bits & ((1U << (t % SLC_WARP)) - 1U);
    int64_t block = t >> job->block_shift;
    int32_t base = block > 0 ? job->bases[block * job->key_stride + key] : 0;
    return base + mask.before + __popc(earlier);
}

/* ------------------------------------------------------------------------------------- bytes */

/* A row, shared by the lanes of `slices` warps. */
template <class T>
SLC_DEVICE void slc_copy_as(char *to, const char *from, int32_t bytes, int32_t at, int32_t step)
{
    for (int32_t i = at; i < bytes / (int32_t)sizeof(T); i += step)
        ((T *)to)[i] = ((const T *)from)[i];
}

SLC_DEVICE void slc_copy_row(char *to, const char *from, const struct slc_bytes *form, int32_t at,
                             int32_t step)
{
    if (form->unit == 16)
        slc_copy_as<slc_chunk>(to, from, form->columns, at, step);
    else if (form->unit >= 4)
        slc_copy_as<uint32_t>(to, from, form->columns, at, step);
    else if (form->unit == 2)
        slc_copy_as<uint16_t>(to, from, form->columns, at, step);
    else
        slc_copy_as<uint8_t>(to, from, form->columns, at, step);
}

/* ------------------------------------------------------------------------------------ floats */

SLC_DEVICE float slc_get(const char *row, int32_t type, int64_t i)
{
    if (type == SL_F32)
        return ((const float *)row)[i];
    uint16_t half = ((const uint16_t *)row)[i];
    return type == SL_F16 ? sl_f16_to_f32(half) : sl_bf16_to_f32(half);
}

/* A NaN is the quiet one without payload. */
SLC_DEVICE void slc_put(char *row, int32_t type, int64_t i, float value)
{
    if (value != value)
        value = sl_bits_float(0x7FC00000);
    if (SL_MUTANT(half_floats_truncated) && type == SL_BF16)
        value = sl_bits_float((int32_t)((uint32_t)sl_float_bits(value) & 0xFFFF0000U));
    if (type == SL_F32)
        ((float *)row)[i] = value;
    else
        ((uint16_t *)row)[i] = type == SL_F16 ? sl_f32_to_f16(value) : sl_f32_to_bf16(value);
}

SLC_DEVICE float slc_nan(void)
{
    return SL_MUTANT(overflow_gives_zero) ? 0.0f : sl_bits_float(0x7FC00000);
}

/* This warp's part of a launch: a unit of work and which of its slices. */
SLC_DEVICE int64_t slc_unit(const struct slc_move *job, int32_t *slice)
{
    int64_t warp = (int64_t)blockIdx.x * (blockDim.x / SLC_WARP) + threadIdx.x / SLC_WARP;
    *slice = (int32_t)(warp % job->slices);
    return warp / job->slices;
}

#endif
