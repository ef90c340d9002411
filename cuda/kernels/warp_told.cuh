/* SPDX-License-Identifier: Apache-2.0
 * What ranks tell each other in front of a message, and kernels the host. Called by one block of a
 * launch, all of its threads. Job: slc_move or slc_meet. */
#ifndef SLC_WARP_TOLD_CUH
#define SLC_WARP_TOLD_CUH

#include "../../abi/ext/ranks.h"
#include "../../abi/ext/stats.h"
#include "warp_move.cuh"

/* Keeps a fault where the host has taken the last one; counts it. One thread. */
template <class Job>
SLC_DEVICE void slc_tell(const Job *job, int32_t kind, const struct slc_short *shortage)
{
    volatile struct slc_told *told = job->told;
    if (told->faults == told->taken) {
        told->fault_kind = kind;
        told->fault_op = job->call.op;
        told->fault_layer = job->call.layer;
        told->fault_number = job->found->number;
        told->shortage.kind = shortage->kind;
        told->shortage.rank = shortage->rank;
        told->shortage.had = shortage->had;
        told->shortage.needed = shortage->needed;
    }
    __threadfence_system();
    told->faults = told->faults + 1;
}

/* Was the lane's exchange ended before its time? */
SLC_DEVICE bool slc_stopped(const struct slc_move *job)
{
    return ((volatile struct slc_told *)job->told)->stopped != 0;
}

/* This rank has come to the lane's next exchange. One thread. */
template <class Job> SLC_DEVICE void slc_begin(const Job *job)
{
    volatile struct slc_told *told = job->told;
    int64_t number = job->found->number + 1;
    job->found->number = number;
    told->kind = job->call.kind;
    told->layer = job->call.layer;
    __threadfence_system();
    told->begun = number;
}

template <class Job> SLC_DEVICE void slc_end(const Job *job)
{
    volatile struct slc_told *told = job->told;
    told->ended = job->found->number;
}

template <class Job> SLC_DEVICE struct slc_head slc_own_head(const Job *job)
{
    struct slc_head head = {SLC_HEAD_MAGIC, job->call.kind,     job->call.layer,
                            job->call.lane, job->found->number, *job->call.map,
                            job->call.form, job->found->own,    job->call.epoch};
    return head;
}

/* Begins the exchange and puts a head in front of the message to every other rank. */
SLC_DEVICE void slc_put_heads(const struct slc_move *job)
{
    if (threadIdx.x == 0)
        slc_begin(job);
    __syncthreads();
    struct slc_head head = slc_own_head(job);
    for (int32_t p = (int32_t)threadIdx.x; p < job->peers; p += (int32_t)blockDim.x)
        if (p != job->own)
            *(struct slc_head *)(job->out + p * job->out_stride) = head;
}

SLC_DEVICE bool slc_same_head(const struct slc_head *a, const struct slc_head *b)
{
    return a->magic == b->magic && a->kind == b->kind && a->layer == b->layer &&
           a->lane == b->lane && a->number == b->number && a->map == b->map && a->form == b->form;
}

/* Rows of each of its slots, and tokens, for every other rank behind its head; for this rank where
 * the others' counts land. */
SLC_DEVICE void slc_put_counts(const struct slc_move *job)
{
    int32_t width = job->local + 1;
    for (int32_t i = (int32_t)threadIdx.x; i < job->peers * width; i += (int32_t)blockDim.x) {
        int32_t p = i / width, slot = i - p * width, rank = job->living[p];
        char *to = p == job->own ? job->in + p * job->in_stride : job->out + p * job->out_stride;
        ((int32_t *)(to + sizeof(struct slc_head)))[slot] =
            job->totals[slot < job->local ? rank * job->local + slot
                                          : job->ranks * job->local + rank];
    }
}

/* Do all ranks' heads say the same call? Else, and where another rank's capacity was too small and
 * this one's was not, the host is told. Head p lies at first + p * stride, with `landing` behind
 * landing[p] records as well. False: the exchange was aborted, or heads differ. One thread. */
SLC_DEVICE bool slc_check_heads(const struct slc_move *job, const char *first, int64_t stride,
                                const int32_t *landing, int64_t record)
{
    struct slc_head own = slc_own_head(job);
    if (slc_stopped(job))
        return false;
    bool overflow = own.shortage.kind != 0;
    for (int32_t p = 0; p < job->peers; p++) {
        const struct slc_head *head =
            (const struct slc_head *)(first + p * stride + (landing ? landing[p] * record : 0));
        if (p == job->own)
            continue;
        if (!slc_same_head(&own, head)) {
            struct slc_short who = {0, job->living[p], 0, 0};
            slc_tell(job, SLUICE_FAULT_MISMATCH, &who);
            job->found->differs = 1;
            return false;
        }
        if (head->shortage.kind != 0 && !overflow) {
            struct slc_short theirs = head->shortage;
            theirs.rank = job->living[p];
            slc_tell(job, SLUICE_FAULT_OVERFLOW, &theirs);
            overflow = true;
            job->found->own = theirs;
        }
    }
    return true;
}

#endif
