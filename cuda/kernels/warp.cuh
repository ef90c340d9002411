/* SPDX-License-Identifier: Apache-2.0
 * A warp working on one token: the collectives it needs. All 32 lanes call each of them. */
#ifndef SLC_WARP_CUH
#define SLC_WARP_CUH

#include "kernel_job.h"

#include "../../src/core/choose_tail.h"
#include "../../src/core/mutant.h"
#include "../../src/core/philox.h"

#define SLC_DEVICE static __device__ __forceinline__
#define SLC_ALL 0xFFFFFFFFU
/* 1 in mutants that count shared slots. */
#define SLC_COUNTS_SHARED (SL_MUTANT(shared_counted) || SL_MUTANT(shared_counted_in_route))

/* A block's shared memory, as long as the launch says. */
#if defined(__CUDACC__)
extern __shared__ unsigned char slc_shared[];
#else
extern unsigned char slc_shared[];
#endif

SLC_DEVICE int32_t slc_lane(void)
{
    return (int32_t)(threadIdx.x % SLC_WARP);
}

/* A greater float has a greater key; -0 is as +0, which are equal; -inf and NaN have key 0. */
SLC_DEVICE uint32_t slc_key(float v)
{
    uint32_t bits = (uint32_t)sl_float_bits(v + 0.0f);
    bits = bits >> 31 ? ~bits : bits | 0x80000000U;
    return v > -INFINITY ? bits : 0;
}

SLC_DEVICE float slc_warp_max(float x)
{
    for (int32_t width = 16; width > 0; width /= 2) {
        float other = __shfl_xor_sync(SLC_ALL, x, width);
        x = other > x ? other : x;
    }
    return x;
}

/* The last steps of sl_sum: lane i < 16 has partial i. Every lane gets the sum. */
SLC_DEVICE float slc_warp_tree(float partial)
{
    for (int32_t width = 8; width > 0; width /= 2)
        partial = partial + __shfl_down_sync(SLC_ALL, partial, width);
    return __shfl_sync(SLC_ALL, partial, 0);
}

/* sl_sum of K numbers, of which lane i has number i and number i + 32. */
SLC_DEVICE float slc_sum_choices(float low, float high, int32_t top_k)
{
    int32_t lane = (int32_t)(threadIdx.x % SLC_WARP);
    float partial = lane < top_k ? low : 0.0f;
    float next = __shfl_down_sync(SLC_ALL, low, 16);
    partial = lane + 16 < top_k ? partial + next : partial;
    if (top_k > SLC_WARP) {
        partial = lane + 32 < top_k ? partial + high : partial;
        next = __shfl_down_sync(SLC_ALL, high, 16);
        partial = lane + 48 < top_k ? partial + next : partial;
    }
    return slc_warp_tree(partial);
}

/* The lowest number of the lanes that have one; none is negative. */
SLC_DEVICE int32_t slc_lowest(bool has, int32_t at)
{
    if (SL_MUTANT(tie_to_higher_id))
        return (int32_t)__reduce_max_sync(SLC_ALL, has ? (uint32_t)at : 0U);
    return __reduce_min_sync(SLC_ALL, has ? at : INT32_MAX);
}

SLC_DEVICE int64_t slc_scalar(const struct sl_ids *scalar, int64_t otherwise)
{
    return scalar->data ? sl_id_at(scalar, 0, 0) : otherwise;
}

SLC_DEVICE void slc_put_id(const struct sl_ids *out, int64_t row, int32_t column, int32_t id)
{
    int64_t at = row * out->stride + column;
    if (out->wide)
        ((int64_t *)out->data)[at] = id;
    else
        ((int32_t *)out->data)[at] = id;
}

SLC_DEVICE bool slc_row_live(const struct slc_job *job, int64_t t)
{
    int64_t valid = slc_scalar(&job->num_valid, job->io.valid_rows);
    return t < valid && (!job->io.row_valid || job->io.row_valid[t]);
}

#endif
