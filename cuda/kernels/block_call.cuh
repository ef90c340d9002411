/* SPDX-License-Identifier: Apache-2.0
 * From the quotas in force to those of one call. */
#ifndef SLC_BLOCK_CALL_CUH
#define SLC_BLOCK_CALL_CUH

#include "block_meet.cuh"
#include "block_solve.cuh"

/* Cuts `count` at the boundaries count * S_k / sum of old quotas, S_k their running sum. */
struct slc_cutter {
    int64_t count, sum;
    int32_t shift;
};

SLC_DEVICE struct slc_cutter slc_cutter_of(int64_t count, int64_t sum)
{
    struct slc_cutter cutter = {count, sum, 0};
    while (cutter.sum >> 31) {
        cutter.sum >>= 1;
        cutter.shift++;
    }
    return cutter;
}

SLC_DEVICE int64_t slc_cut(const struct slc_cutter *cutter, int64_t running)
{
    int64_t boundary = cutter->count * (running >> cutter->shift) / cutter->sum;
    if (SL_MUTANT(balance_boundary_up) && running < cutter->sum)
        boundary += boundary < cutter->count;
    return boundary;
}

/* This rank's old quotas of expert e; those of all where it had none; else even ones. */
SLC_DEVICE void slc_cut_expert(const struct slc_balance_pass *pass, int32_t e)
{
    const struct slc_balance *balance = &pass->balance;
    int32_t begin = balance->start[e], end = balance->start[e + 1];
    const int64_t *old = balance->quota;
    int64_t sum = 0, running = 0, before = 0;
    for (int32_t c = begin; c < end; c++)
        sum += old[c];
    if (sum == 0) {
        old = balance->whole;
        for (int32_t c = begin; c < end; c++)
            sum += old[c];
    }
    struct slc_cutter cutter = slc_cutter_of(pass->call.own[e], sum > 0 ? sum : end - begin);
    for (int32_t c = begin; c < end; c++) {
        running += sum > 0 ? old[c] : 1;
        int64_t boundary = slc_cut(&cutter, running);
        pass->call.call[c] = (int32_t)(boundary - before);
        before = boundary;
    }
}

SLC_DEVICE void slc_call_experts(const struct slc_balance_pass *pass)
{
    const struct slc_balance *balance = &pass->balance;
    SLC_EACH_OF(e, balance->entries)
    {
        if (pass->call.stale)
            slc_cut_expert(pass, e);
        for (int32_t c = balance->start[e]; c < balance->start[e + 1]; c++) {
            if (!pass->call.stale)
                pass->call.call[c] = (int32_t)balance->quota[c];
            if (pass->call.counters && pass->call.call[c] > 0)
                atomicAdd((slc_u64 *)&pass->call.counters[balance->copies[c]],
                          (slc_u64)pass->call.call[c]);
        }
    }
}

/* The old quotas' running sums, cut or as they are. One warp. */
SLC_DEVICE void slc_call_columns(const struct slc_balance_pass *pass)
{
    const struct slc_balance *balance = &pass->balance;
    int64_t sum = 0, units = (int64_t)pass->call.own[balance->entries] * balance->shared;
    for (int32_t base = 0; base < balance->ranks; base += SLC_WARP) {
        int32_t r = base + slc_thread_lane();
        int64_t running = slc_warp_running(r < balance->ranks ? balance->columns[r] : 0);
        if (r < balance->ranks)
            pass->call.line[r] = sum + running;
        sum += slc_warp_from(running, SLC_WARP - 1);
    }
    if (!pass->call.stale)
        return;
    struct slc_cutter cutter = slc_cutter_of(units, sum > 0 ? sum : 1);
    for (int32_t r = slc_thread_lane(); r < balance->ranks; r += SLC_WARP) {
        int64_t running = sum > 0 ? pass->call.line[r] : r >= pass->job.map.rank;
        pass->call.line[r] = slc_cut(&cutter, running);
    }
}

/* All threads of one block: have counts come since the quotas were made? */
SLC_DEVICE bool slc_call_begin(const struct slc_balance_pass *pass)
{
    __shared__ int32_t other;
    slc_meet_end(&pass->meet, &other);
    bool fresh = !pass->call.stale || *pass->call.stale != 0;
    __syncthreads();
    return fresh;
}

/* And after that the call's part of the answer. */
SLC_DEVICE void slc_call_end(const struct slc_balance_pass *pass)
{
    const struct slc_balance *balance = &pass->balance;
    __syncthreads();
    if (threadIdx.x == 0 && pass->call.stale)
        *pass->call.stale = 0;
    if (threadIdx.x == 0 && pass->call.step)
        ++*pass->call.step;
    if (!balance->by_copy)
        slc_call_experts(pass);
    if (balance->level && balance->shared > 0 && threadIdx.x < SLC_WARP)
        slc_call_columns(pass);
}

#endif
