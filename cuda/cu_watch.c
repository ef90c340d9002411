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
    bool failed; /* what runs on the communicator has */
    bool late;   /* its time is over */
};

/* Not the host's clock: its callbacks are for the threads that call. */
static int64_t now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Is it to be ended? */
static bool over(sluice_context *context, struct slc_comm *comm, const struct slc_told *told,
                 struct waiting *waiting)
{
    int64_t begun = __atomic_load_n(&told->begun, __ATOMIC_ACQUIRE);
    int64_t ended = __atomic_load_n(&told->ended, __ATOMIC_ACQUIRE);
    if (told->stopped || begun <= ended || begun != waiting->number) {
        *waiting = (struct waiting){.number = begun, .since = now()};
        return false;
    }
    waiting->failed = waiting->failed || slc_comm_failed(comm);
    waiting->late = now() - waiting->since > context->timeout_ns;
    return waiting->failed || waiting->late;
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
    return (struct heads){told->kind == SL_KIND_FIXED ? lane->in : NULL, (int64_t)mover->pair_bytes,
                          NULL};
}

/* Who has not come, or has come to something else; -1: nobody can tell. *missing: how many have
 * not come. */
static int32_t culprit(const sluice_context *context, const struct heads *heads,
                       const struct slc_told *told, int32_t *missing, sluice_status *status)
{
    int32_t found = slc_only_peer(context);
    *missing = 0;
    for (int32_t p = 0; heads->first && p < context->living_count; p++) {
        struct slc_head head;
        int64_t at = heads->at ? heads->at[p] : p * heads->stride;
        if (p == context->comm.rank || !slc_look_at(context, heads->first + at, &head))
            continue;
        if (head.magic != SLC_HEAD_MAGIC || head.number != told->begun) {
            if ((*missing)++ == 0)
                found = context->living[p];
        } else if (head.kind != told->kind || head.layer != told->layer) {
            *status = SLUICE_MISMATCH;
            *missing = 0;
            return context->living[p];
        }
    }
    return found;
}

/* index: the lane's; -1: counts that are shared. Where the communicator has failed, ranks that are
 * only slow are waited for, so that the lost one has a name; what they sent may not come any more,
 * so that of several that are missing none is blamed. */
static void end(sluice_context *context, int32_t index, const struct slc_told *told,
                const struct waiting *waiting)
{
    sluice_status status = SLUICE_PEER_LOST;
    int32_t missing;
    const struct slc_gpu *gpu = &slc_of(context)->gpu;
    const struct heads heads = heads_of(context, index, told);
    int32_t op = told->kind == SL_KIND_COMBINE ? SLUICE_OP_COMBINE
                 : told->kind == SL_KIND_REMAP ? SLUICE_OP_REMAP
                                               : SLUICE_OP_DISPATCH;
    if (slc_gpu_enter(gpu) != SLCU_SUCCESS)
        return;
    int32_t rank = culprit(context, &heads, told, &missing, &status), layer = told->layer;
    if (missing > 1 && !waiting->late) {
        slc_gpu_leave(gpu);
        return;
    }
    if (missing > 1 && waiting->failed)
        rank = -1;
    const sluice_fault fault = {.struct_size = sizeof fault,
                                .kind = status == SLUICE_MISMATCH ? SLUICE_FAULT_MISMATCH
                                                                  : SLUICE_FAULT_PEER,
                                .op = op,
                                .layer = layer,
                                .lane = index < 0 ? 0 : index,
                                .rank = rank,
                                .call = told->begun};
    sl_fault(context, &fault);
    slc_mover_lose(context, status, rank, op, layer);
    slc_gpu_leave(gpu);
}

static void *run(void *data)
{
    sluice_context *context = data;
    struct slc_mover *mover = slc_of(context)->mover;
    struct slc_watch *watch = &mover->watch;
    struct waiting waiting[SL_MOST_LANES] = {{.number = 0}}, sharing = {.number = 0};
    int64_t pause = context->timeout_ns / 64;
    pause = pause > MOST_PAUSE_NS ? MOST_PAUSE_NS : pause < LEAST_PAUSE_NS ? LEAST_PAUSE_NS : pause;
    const struct timespec moment = {.tv_nsec = pause};
    while (!atomic_load(&watch->stop)) {
        (void)nanosleep(&moment, NULL);
        for (int32_t i = 0; i < mover->lane_count; i++)
            if (over(context, &mover->comm, mover->lanes[i].told, &waiting[i]))
                end(context, i, mover->lanes[i].told, &waiting[i]);
        if (over(context, &mover->share.comm, mover->share.told, &sharing))
            end(context, -1, mover->share.told, &sharing);
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
