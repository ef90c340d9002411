/* SPDX-License-Identifier: Apache-2.0
 * What kernels have told since the last call, and what that means for the next. */
#include "../src/core/mutant.h"
#include "cu_mover.h"

static uint32_t faults_of(const struct slc_told *told)
{
    return __atomic_load_n(&told->faults, __ATOMIC_ACQUIRE);
}

/* Takes a lane's faults: what the first was, and how many there are; told_lock is held. */
static uint32_t take(struct slc_mover *mover, struct slc_told *told, int32_t lane,
                     sluice_fault *fault)
{
    uint32_t faults = faults_of(told), count = faults - told->taken;
    if (count == 0)
        return 0;
    *fault = (sluice_fault){.struct_size = sizeof *fault,
                            .kind = told->fault_kind,
                            .op = told->fault_op,
                            .layer = told->fault_layer,
                            .lane = lane,
                            .rank = told->shortage.rank,
                            .capacity = told->shortage.kind,
                            .had = told->shortage.had,
                            .needed = told->shortage.needed,
                            .call = told->fault_number};
    if (fault->kind == SLUICE_FAULT_OVERFLOW && !mover->shortage.kind)
        mover->shortage = told->shortage;
    else if (fault->kind == SLUICE_FAULT_MISMATCH && !mover->lost.status)
        mover->lost =
            (struct slc_lost){SLUICE_MISMATCH, fault->rank, fault->op, fault->layer, false};
    __atomic_store_n(&told->taken, faults, __ATOMIC_RELEASE);
    return count;
}

static void heed(sluice_context *context, struct slc_told *told, int32_t lane)
{
    struct slc_mover *mover = slc_of(context)->mover;
    sluice_fault fault;
    pthread_mutex_lock(&mover->told_lock);
    uint32_t count = take(mover, told, lane, &fault);
    pthread_mutex_unlock(&mover->told_lock);
    for (; count > 0; count--)
        sl_fault(context, &fault);
}

void slc_mover_heed(sluice_context *context)
{
    struct slc_mover *mover = slc_of(context)->mover;
    for (int32_t i = 0; mover && i < mover->lane_count; i++)
        heed(context, mover->lanes[i].told, i);
    if (mover)
        heed(context, mover->share.told, 0);
}

void slc_mover_lose(sluice_context *context, sluice_status status, int32_t rank, int32_t op,
                    int32_t layer)
{
    struct slc_mover *mover = slc_of(context)->mover;
    pthread_mutex_lock(&mover->told_lock);
    if (!mover->lost.status)
        mover->lost = (struct slc_lost){status, rank, op, layer, false};
    /* What still runs must not judge what it did not get. */
    for (int32_t i = 0; i < mover->lane_count; i++)
        __atomic_store_n(&mover->lanes[i].told->stopped, 1, __ATOMIC_RELEASE);
    __atomic_store_n(&mover->share.told->stopped, 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&mover->told_lock);
    slc_comm_abort(&mover->comm);
    slc_comm_abort(&mover->share.comm);
}

/* Says once why no exchange is possible any more. */
static sluice_status say_lost(sluice_context *context, const struct slc_lost *lost)
{
    static const char *const OPS[SLUICE_OP_COUNT] = {[SLUICE_OP_DISPATCH] = "dispatch",
                                                     [SLUICE_OP_COMBINE] = "combine",
                                                     [SLUICE_OP_REMAP] = "remap"};
    const char *op = OPS[lost->op] ? OPS[lost->op] : "an exchange";
    if (lost->status == SLUICE_MISMATCH)
        return sl_fail(context, lost->status,
                       "rank %d made another call than this rank's %s of layer %d", lost->rank, op,
                       lost->layer);
    if (lost->status == SLUICE_CANCELLED)
        return sl_fail(context, lost->status, "waits were ended by quiesce");
    if (lost->rank < 0)
        return sl_fail(context, lost->status,
                       "a rank that is not known did not come to %s of layer %d (timeout %lld ms)",
                       op, lost->layer, (long long)(context->timeout_ns / 1000000));
    return sl_fail(context, lost->status,
                   "rank %d did not come to %s of layer %d (timeout %lld ms)", lost->rank, op,
                   lost->layer, (long long)(context->timeout_ns / 1000000));
}

sluice_status slc_mover_usable(sluice_context *context)
{
    struct slc_mover *mover = slc_of(context)->mover;
    slc_mover_heed(context);
    pthread_mutex_lock(&mover->told_lock);
    struct slc_lost lost = mover->lost;
    mover->lost.said = lost.status != SLUICE_OK;
    pthread_mutex_unlock(&mover->told_lock);
    if (lost.status && !lost.said) {
        slc_mover_lose(context, lost.status, lost.rank, lost.op, lost.layer);
        for (int32_t channel = 0; channel < 4; channel++)
            context->exchange->broken[channel] = lost.status;
        return say_lost(context, &lost);
    }
    if (context->exchange->broken[SL_CHANNEL_MOVE])
        return sl_fail(context, SLUICE_NOT_READY,
                       "set of sluice.ranks/1 must come first: an exchange has failed, or this "
                       "rank has just joined");
    return SLUICE_OK;
}

sluice_status slc_mover_said(sluice_context *context)
{
    static const char *const NAMES[] = {"", "capacity_pair", "capacity_rows", "capacity_slot",
                                        "capacity_back"};
    struct slc_mover *mover = slc_of(context)->mover;
    slc_mover_heed(context);
    pthread_mutex_lock(&mover->told_lock);
    struct slc_short found = mover->shortage;
    mover->shortage = (struct slc_short){0, 0, 0, 0};
    pthread_mutex_unlock(&mover->told_lock);
    if (!found.kind)
        return SLUICE_OK;
    return sl_fail(context, SLUICE_OVERFLOW,
                   "%s of transport is %d: %d were needed (rank %d); the tokens hit get NaN",
                   NAMES[found.kind], found.had, found.needed, found.rank);
}

void slc_mover_cancel(sluice_context *context)
{
    if (slc_of(context)->mover)
        slc_mover_lose(context, SLUICE_CANCELLED, -1, SLUICE_OP_DISPATCH, -1);
}

void slc_mover_part(sluice_context *context, sluice_status status, int32_t op, int32_t layer)
{
    if (SL_MUTANT(fault_forgotten))
        return;
    slc_mover_lose(context, status, slc_only_peer(context), op, layer);
    slc_of(context)->mover->lost.said = true;
    for (int32_t channel = 0; channel < 4; channel++)
        context->exchange->broken[channel] = status;
}
