/* SPDX-License-Identifier: Apache-2.0
 * Mode STALE: one step's counts take the place of the oldest in the window; one block. Where a
 * count is negative or a row's sum too great nothing is added, and each such row is counted as
 * rejected. */
#include "balance_job.h"
#include "block.cuh"

/* A warp a row: how many rows are wrong; every thread gets it. */
SLC_DEVICE uint32_t slc_wrong_rows(const struct slc_balance_step *step, uint32_t *wrong)
{
    int32_t warps = (int32_t)(blockDim.x / SLC_WARP), rows = step->sum ? 1 : step->ranks;
    if (threadIdx.x == 0)
        *wrong = 0;
    __syncthreads();
    for (int32_t r = (int32_t)threadIdx.x / SLC_WARP; r < rows; r += warps) {
        int64_t sum = 0;
        bool bad = false;
        for (int32_t e = slc_thread_lane(); e < step->experts; e += SLC_WARP) {
            int64_t count = sl_id_at(&step->counts, r, e);
            bad = bad || count < 0 || count > step->most;
            sum += bad ? 0 : count;
        }
        sum = slc_warp_from(slc_warp_running(sum), SLC_WARP - 1);
        bad = __ballot_sync(SLC_ALL, bad) != 0 || sum > step->most;
        if (bad && slc_thread_lane() == 0)
            atomicAdd(wrong, 1U);
    }
    __syncthreads();
    return *wrong;
}

/* What the i-th living rank chose of expert e. */
SLC_DEVICE int64_t slc_step_count(const struct slc_balance_step *step, int32_t i, int32_t e)
{
    if (!step->sum)
        return sl_id_at(&step->counts, step->living[1 + i], e);
    int64_t count = sl_id_at(&step->counts, 0, e), each = count / step->living[0];
    return each + ((i + e) % step->living[0] < count - each * step->living[0]);
}

/* To the entry, or where entries are copies evenly to those that live. */
SLC_DEVICE void slc_step_add(const struct slc_balance_step *step, int32_t e, int64_t count,
                             int32_t *row)
{
    if (!step->by_copy) {
        row[e] = (int32_t)count;
        return;
    }
    int32_t begin = step->start[e], copies = step->start[e + 1] - begin;
    for (int32_t c = 0; c < copies; c++)
        row[step->copies[begin + c]] = (int32_t)(count / copies + (c < count % copies));
}

extern "C" __global__ void __launch_bounds__(SLC_BALANCE_THREADS)
    slc_balance_add(const __grid_constant__ struct slc_balance_step step)
{
    __shared__ uint32_t wrong;
    int32_t width = step.entries + 1, living = step.living[0], cells = living * width;
    if (slc_wrong_rows(&step, &wrong) > 0) {
        if (threadIdx.x == 0)
            slc_add((int64_t *)step.rejected, wrong);
        return;
    }
    int32_t *oldest = step.window + (int64_t)*step.next * cells;
    SLC_EACH_OF(i, cells)
    {
        step.sums[i] -= SL_MUTANT(balance_window_grows) ? 0 : oldest[i];
        oldest[i] = 0;
    }
    __syncthreads();
    SLC_EACH_OF(i, living * step.experts)
    {
        int32_t s = i / step.experts, e = i - s * step.experts;
        int64_t count = slc_step_count(&step, s, e);
        slc_step_add(&step, e, count, oldest + (int64_t)s * width);
        atomicAdd(&oldest[(int64_t)s * width + step.entries], (int32_t)count);
    }
    __syncthreads();
    SLC_EACH_OF(s, living)
    oldest[(int64_t)s * width + step.entries] /= step.top_k;
    __syncthreads();
    SLC_EACH_OF(i, cells)
    step.sums[i] += oldest[i];
    if (threadIdx.x == 0) {
        *step.next = (*step.next + 1) % step.steps;
        *step.stale = 1;
        ++*step.step;
    }
}
