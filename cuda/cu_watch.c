/* SPDX-License-Identifier: Apache-2.0
 * A thread that ends an exchange which a rank does not come to: the host has gone on, and waits for
 * its stream or replays a graph. It sees what kernels tell in pinned memory, and makes a call of
 * the driver only when the time is over. */
#include <time.h>

#include "cu_mover.h"

enum { MOST_PAUSE_NS = 5000000, LEAST_PAUSE_NS = 200000 };

/* An exchange that has begun and not ended, and since when it has been seen so. */
struct waiting {
    int64_t number, since;
};

/* Not the host's clock: its callbacks are for the threads that call. */
static int64_t now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Is it to be ended? *late: its time is over; else what runs on the communicator has failed. */
static bool over(sluice_context *context, struct slc_comm *comm, const struct slc_told *told,
                 struct waiting *waiting, bool *late)
{
    int64_t begun = __atomic_load_n(&told->begun, __ATOMIC_ACQUIRE);
    int64_t ended = __atomic_load_n(&told->ended, __ATOMIC_ACQUIRE);
    bool stopped = __atomic_load_n(&told->stopped, __ATOMIC_ACQUIRE) != 0;
    if (stopped || begun <= ended || begun != waiting->number) {
        *waiting = (struct waiting){begun, now()};
        return false;
    }
    *late = now() - waiting->since > context->timeout_ns;
    return *late || slc_comm_failed(comm);
}

/* Where the heads of an exchange come to: that of peer p at first + p * stride, or at[p]. */
struct heads {
    const char *first;
    int64_t stride;
    const int64_t *at;
};

static struct heads heads_of(const sluice_context *context, int32_t index,
                             const struct slc_told *told)
{
    const struct slc_mover *mover = slc_of(context)->mover;
    if (index < 0)
        return (struct heads){told->rows, told->stride, NULL};
    const struct slc_lane *lane = &mover->lanes[index];
    if (told->kind == SL_KIND_COMBINE)
        return (struct heads){lane->in, 0, lane->heads_back};
    if (told->kind == SL_KIND_COUNT)
        return (struct heads){lane->said_in, lane->said_stride, NULL};
    return (struct heads){lane->in, (int64_t)mover->pair_bytes, NULL};
}

/* Who has not come, or has come to something else; -1: nobody can tell. *missing: how many have
 * not come, 1 where it is known who has come to something else. */
static int32_t culprit(const sluice_context *context, const struct heads *heads,
                       const struct slc_told *told, int32_t *missing, sluice_status *status)
{
    int32_t found = slc_only_peer(context);
    for (int32_t p = 0; p < context->living_count; p++) {
        struct slc_head head;
        int64_t at = heads->at ? heads->at[p] : p * heads->stride;
        if (p == context->comm.rank || !slc_look_at(context, heads->first + at, &head))
            continue;
        if (head.magic != SLC_HEAD_MAGIC || head.number != told->begun) {
            if ((*missing)++ == 0)
                found = context->living[p];
        } else if (head.kind != told->kind || head.layer != told->layer) {
            *status = SLUICE_MISMATCH;
            *missing = 1;
            return context->living[p];
        }
    }
    return found;
}

/* False: it goes on. Where the communicator has failed, what is on its way may still come: ranks
 * that are only slow are waited for, so that the lost one has a name. As it may not come either,
 * none of several that are missing in the end is blamed. */
static bool end(sluice_context *context, int32_t index, bool late)
{
    struct slc_mover *mover = slc_of(context)->mover;
    const struct slc_told *told = index < 0 ? mover->share.told : mover->lanes[index].told;
    sluice_status status = SLUICE_PEER_LOST;
    const struct slc_gpu *gpu = &slc_of(context)->gpu;
    const struct heads heads = heads_of(context, index, told);
    int32_t op = told->kind == SL_KIND_COMBINE ? SLUICE_OP_COMBINE
                 : told->kind == SL_KIND_REMAP ? SLUICE_OP_REMAP
                                               : SLUICE_OP_DISPATCH;
    bool entered = slc_gpu_enter(gpu) == SLCU_SUCCESS;
    int32_t missing = 0, rank = -1, layer = told->layer;
    if (entered)
        rank = culprit(context, &heads, told, &missing, &status);
    bool ends = late || missing == 1;
    if (missing > 1 && slc_comm_failed(index < 0 ? &mover->share.comm : &mover->comm))
        rank = -1;
    const sluice_fault fault = {.struct_size = sizeof fault,
                                .kind = status == SLUICE_MISMATCH ? SLUICE_FAULT_MISMATCH
                                                                  : SLUICE_FAULT_PEER,
                                .op = op,
                                .layer = layer,
                                .lane = index < 0 ? 0 : index,
                                .rank = rank,
                                .call = told->begun};
    if (ends) {
        sl_fault(context, &fault);
        slc_mover_lose(context, status, rank, op, layer);
    }
    if (entered)
        slc_gpu_leave(gpu);
    return ends;
}

static bool is_lost(struct slc_mover *mover)
{
    pthread_mutex_lock(&mover->told_lock);
    bool lost = mover->lost.status != SLUICE_OK;
    pthread_mutex_unlock(&mover->told_lock);
    return lost;
}

bool slc_watch_end(sluice_context *context, int32_t index, bool late)
{
    struct slc_mover *mover = slc_of(context)->mover;
    const struct slc_told *told = index < 0 ? mover->share.told : mover->lanes[index].told;
    const struct timespec moment = {.tv_nsec = 100000};
    int64_t number = __atomic_load_n(&told->begun, __ATOMIC_ACQUIRE);
    bool seen = false;
    while (!seen && !is_lost(mover) && slc_under_way(told, number)) {
        if (atomic_exchange(&mover->looking, true)) { /* another thread does */
            (void)nanosleep(&moment, NULL);
            continue;
        }
        seen = is_lost(mover) || !slc_under_way(told, number) || end(context, index, late) || !late;
        atomic_store(&mover->looking, false);
    }
    return is_lost(mover);
}

static void *run(void *data)
{
    sluice_context *context = data;
    struct slc_mover *mover = slc_of(context)->mover;
    struct slc_watch *watch = &mover->watch;
    struct waiting waiting[SL_MOST_LANES] = {{0, 0}}, sharing = {0, 0};
    int64_t pause = context->timeout_ns / 64;
    pause = pause > MOST_PAUSE_NS ? MOST_PAUSE_NS : pause < LEAST_PAUSE_NS ? LEAST_PAUSE_NS : pause;
    const struct timespec moment = {.tv_nsec = pause};
    while (!atomic_load(&watch->stop)) {
        (void)nanosleep(&moment, NULL);
        bool late;
        for (int32_t i = 0; i < mover->lane_count; i++)
            if (over(context, &mover->comm, mover->lanes[i].told, &waiting[i], &late))
                (void)slc_watch_end(context, i, late);
        if (over(context, &mover->share.comm, mover->share.told, &sharing, &late))
            (void)slc_watch_end(context, -1, late);
    }
    return NULL;
}

bool slc_watch_open(sluice_context *context)
{
    struct slc_watch *watch = &slc_of(context)->mover->watch;
    if (!slc_watched(context))
        return true;
    atomic_store(&watch->stop, false);
    watch->runs = pthread_create(&watch->thread, NULL, run, context) == 0;
    return watch->runs;
}

void slc_watch_close(sluice_context *context)
{
    struct slc_watch *watch = &slc_of(context)->mover->watch;
    if (watch->runs) {
        atomic_store(&watch->stop, true);
        (void)pthread_join(watch->thread, NULL);
    }
    watch->runs = false;
}
