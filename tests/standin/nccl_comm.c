/* SPDX-License-Identifier: Apache-2.0 */
/* A communicator's states and its end. One that does not block gets on when it is asked how it is:
 * so a caller that does not ask finds out here, not on some machine. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "nccl_comm.h"
#include "nccl_driver.h"

#define WAIT_MS 100

void comm_hold(ncclComm_t comm)
{
    (void)__atomic_add_fetch(&comm->refs, 1, __ATOMIC_ACQ_REL);
}

void comm_drop(ncclComm_t comm)
{
    if (__atomic_sub_fetch(&comm->refs, 1, __ATOMIC_ACQ_REL))
        return;
    comm_deregister_all(comm);
    if (comm->world)
        world_close(comm->world);
    if (comm->parent)
        comm_drop(comm->parent);
    (void)pthread_mutex_destroy(&comm->lock);
    (void)pthread_mutex_destroy(&comm->order);
    (void)pthread_cond_destroy(&comm->changed);
    comm->magic = 0;
    free(comm);
}

bool comm_aborted(ncclComm_t comm)
{
    return __atomic_load_n(&comm->aborted, __ATOMIC_ACQUIRE);
}

void comm_fail(ncclComm_t comm, ncclResult_t error)
{
    uint32_t none = ncclSuccess;
    (void)__atomic_compare_exchange_n(&comm->async, &none, (uint32_t)error, false, __ATOMIC_ACQ_REL,
                                      __ATOMIC_ACQUIRE);
}

ncclResult_t comm_async(ncclComm_t comm)
{
    return (ncclResult_t)__atomic_load_n(&comm->async, __ATOMIC_ACQUIRE);
}

void comm_look_round(ncclComm_t comm, const struct world *world)
{
    const char *lost = getenv("STANDIN_NCCL_LOST");
    if (!lost || strcmp(lost, "error") != 0)
        return;
    for (int32_t r = 0; r < world->nranks; r++) {
        const struct seat *seat = &world->seats[r];
        bool gone = seat->state != SEAT_EMPTY && !world_alive(world, r);
        if (seat->state == SEAT_ABORTED || (gone && seat->state != SEAT_LEFT))
            comm_fail(comm, ncclRemoteError);
    }
}

/* NCCL refuses two ranks on one device, when it has seen all. */
static ncclResult_t check_devices(ncclComm_t comm)
{
    const struct world *world = comm->world;
    for (int32_t a = 0; a < world->nranks; a++)
        for (int32_t b = a + 1; b < world->nranks; b++)
            if (world->seats[a].device == world->seats[b].device)
                return nccl_error(ncclInvalidUsage, "ranks %d and %d are both on device %d", a, b,
                                  world->seats[a].device);
    return ncclSuccess;
}

static bool all_left(const struct world *world)
{
    for (int32_t r = 0; r < world->nranks; r++)
        if (world->seats[r].state != SEAT_LEFT)
            return false;
    return true;
}

static ncclResult_t split(ncclComm_t comm)
{
    char name[sizeof comm->world->name];
    ncclResult_t result = comm_find_place(comm, name, sizeof name);
    if (!result)
        result = comm_take_seat(comm, name);
    if (!result)
        comm->stage = COMM_JOINING;
    return result ? result : ncclInProgress;
}

static ncclResult_t join(ncclComm_t comm)
{
    world_lock(comm->world);
    bool all = comm->world->head->taken == comm->nranks;
    ncclResult_t result = all ? check_devices(comm) : ncclInProgress;
    world_unlock(comm->world);
    if (all)
        comm->stage = COMM_READY;
    return result;
}

/* A rank leaves when its operations are done, and is gone when all have left. */
static ncclResult_t leave(ncclComm_t comm)
{
    struct world *world = comm->world;
    if (comm->queue || comm->running)
        return ncclInProgress;
    world_lock(world);
    if (world->seats[comm->rank].state == SEAT_TAKEN) {
        world->seats[comm->rank].state = SEAT_LEFT;
        world_wake_all(world);
    }
    bool all = all_left(world);
    world_unlock(world);
    if (all)
        comm->stage = COMM_FINALIZED;
    return all ? ncclSuccess : ncclInProgress;
}

/* How it is; *launch: what shall be given to its stream now. With comm->lock. */
static ncclResult_t advance(ncclComm_t comm, struct launch **launch)
{
    ncclResult_t result = ncclSuccess;
    if (comm_async(comm))
        return comm_async(comm);
    if (comm->stage == COMM_SPLITTING)
        result = split(comm);
    if (comm->stage == COMM_JOINING)
        result = join(comm);
    else if (comm->stage == COMM_FINALIZING)
        result = leave(comm);
    else if (comm->pending && comm->polls-- > 0)
        result = ncclInProgress;
    else if (comm->pending) {
        *launch = comm->pending;
        comm->pending = NULL;
    }
    if (result && result != ncclInProgress)
        comm_fail(comm, result);
    return result;
}

/* Gives it to its streams: those beside the first wait for it, as it does for them. */
static ncclResult_t submit(ncclComm_t comm, struct launch *launch)
{
    static const struct standin_task task = {launch_run, launch_hold, launch_drop};
    const struct driver *d = driver();
    int32_t nstreams = launch->nstreams;
    int status = 0, error = d->cuCtxPushCurrent_v2(comm->ctx);
    if (error) {
        launch_drop(launch);
        return nccl_error(ncclUnhandledCudaError, "the context cannot be made current: %d", error);
    }
    launch_hold(launch);
    (void)pthread_mutex_lock(&comm->order);
    for (int32_t i = 1; i < nstreams && !error; i++)
        error = d->standin_join(launch->streams[0], launch->streams[i]);
    error = error ? error : d->cuStreamIsCapturing(launch->streams[0], &status);
    if (!error && !status) {
        (void)pthread_mutex_lock(&comm->lock);
        struct launch **end = &comm->queue;
        while (*end)
            end = &(*end)->next;
        *end = launch;
        launch->queued = true;
        (void)pthread_mutex_unlock(&comm->lock);
    }
    if (error)
        launch_drop(launch);
    else
        error = d->standin_enqueue(launch->streams[0], &task, launch);
    for (int32_t i = 1; i < nstreams && !error; i++)
        error = d->standin_join(launch->streams[i], launch->streams[0]);
    (void)pthread_mutex_unlock(&comm->order);
    launch_drop(launch);
    (void)d->cuCtxPopCurrent_v2(NULL);
    return error ? nccl_error(ncclUnhandledCudaError, "the stream took no work: %d", error)
                 : ncclSuccess;
}

static ncclResult_t comm_poll(ncclComm_t comm)
{
    struct launch *launch = NULL;
    (void)pthread_mutex_lock(&comm->lock);
    ncclResult_t result = advance(comm, &launch);
    (void)pthread_mutex_unlock(&comm->lock);
    return launch ? submit(comm, launch) : result;
}

ncclResult_t comm_launch(ncclComm_t comm, struct launch *launch)
{
    const char *polls = getenv("STANDIN_NCCL_POLLS");
    long n = comm->blocking ? 0 : polls ? strtol(polls, NULL, 10) : 1;
    if (n <= 0)
        return submit(comm, launch);
    (void)pthread_mutex_lock(&comm->lock);
    comm->pending = launch;
    comm->polls = (int)n;
    (void)pthread_mutex_unlock(&comm->lock);
    return ncclInProgress;
}

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The world whose ranks it waits for, and its seat there. */
static struct world *awaited(ncclComm_t comm, int32_t *rank)
{
    (void)pthread_mutex_lock(&comm->lock);
    bool splits = comm->stage == COMM_SPLITTING;
    struct world *world = splits ? comm->parent->world : comm->world;
    *rank = splits ? comm->parent->rank : comm->rank;
    (void)pthread_mutex_unlock(&comm->lock);
    return world;
}

ncclResult_t comm_await(ncclComm_t comm)
{
    int64_t begun = now_ms();
    comm_hold(comm);
    for (;;) {
        int32_t rank;
        struct world *world = awaited(comm, &rank);
        uint32_t seen = __atomic_load_n(&world->seats[rank].wake, __ATOMIC_SEQ_CST);
        ncclResult_t result = comm_poll(comm);
        if (result == ncclInProgress && comm_aborted(comm))
            result = nccl_error(ncclInternalError, "aborted meanwhile");
        if (result != ncclInProgress) {
            comm_drop(comm);
            return result;
        }
        if (world_wait(world, rank, seen, WAIT_MS))
            continue;
        world_lock(world);
        comm_look_round(comm, world);
        report_late(world, rank, now_ms() - begun);
        world_unlock(world);
    }
}

static ncclResult_t known(ncclComm_t comm)
{
    if (!comm || comm->magic != COMM_MAGIC)
        return nccl_error(ncclInvalidArgument, "comm is %s",
                          comm ? "no communicator, or one that is destroyed" : "NULL");
    if (comm->pid == (int32_t)getpid())
        return ncclSuccess;
    driver()->standin_say("NCCL: a child process uses its parent's communicator");
    return nccl_error(ncclInvalidUsage, "comm is the parent process's");
}

ncclResult_t comm_ready(ncclComm_t comm)
{
    ncclResult_t result = known(comm);
    if (result)
        return result;
    (void)pthread_mutex_lock(&comm->lock);
    result = comm_async(comm);
    if (result)
        (void)nccl_error(result, "comm has failed");
    else if (comm->stage < COMM_READY || comm->pending)
        result = nccl_error(ncclInvalidArgument,
                            "comm is used before ncclCommGetAsyncError said that what was asked "
                            "of it last is done");
    else if (comm->stage != COMM_READY)
        result = nccl_error(ncclInvalidUsage, "comm is finalized");
    (void)pthread_mutex_unlock(&comm->lock);
    return result;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error)
{
    ncclResult_t result = known(comm);
    if (result || !error)
        return result ? result : nccl_error(ncclInvalidArgument, "no place for the error");
    int32_t rank;
    struct world *world = awaited(comm, &rank);
    world_lock(world);
    comm_look_round(comm, world);
    world_unlock(world);
    *error = comm_poll(comm);
    return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm)
{
    if (!comm)
        return ncclSuccess;
    ncclResult_t result = comm_ready(comm);
    if (result)
        return result;
    (void)pthread_mutex_lock(&comm->lock);
    comm->stage = COMM_FINALIZING;
    (void)pthread_mutex_unlock(&comm->lock);
    if (!comm->blocking)
        return ncclInProgress;
    return comm_await(comm);
}

/* Waits for the others as ncclCommFinalize does, where that was not called, unless the
 * communicator failed or never came to be. */
ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    if (!comm)
        return ncclSuccess;
    ncclResult_t result = known(comm);
    if (result)
        return result;
    (void)pthread_mutex_lock(&comm->lock);
    struct launch *pending = comm->pending;
    comm->pending = NULL;
    bool waits = !comm_async(comm) && comm->stage >= COMM_READY;
    if (waits && comm->stage == COMM_READY)
        comm->stage = COMM_FINALIZING;
    (void)pthread_mutex_unlock(&comm->lock);
    result = pending ? submit(comm, pending) : ncclSuccess;
    if (waits && !result)
        result = comm_await(comm);
    (void)pthread_mutex_lock(&comm->lock);
    comm->closed = true;
    (void)pthread_mutex_unlock(&comm->lock);
    comm_drop(comm);
    return result;
}

/* Ends what it runs, and makes nothing of what streams still hold. The others notice nothing. */
ncclResult_t ncclCommAbort(ncclComm_t comm)
{
    if (!comm)
        return ncclSuccess;
    ncclResult_t result = known(comm);
    if (result)
        return result;
    (void)pthread_mutex_lock(&comm->lock);
    struct world *world = comm->world;
    struct launch *pending = comm->pending;
    comm->pending = NULL;
    __atomic_store_n(&comm->aborted, true, __ATOMIC_RELEASE);
    comm->closed = true;
    (void)pthread_cond_broadcast(&comm->changed);
    (void)pthread_mutex_unlock(&comm->lock);
    if (world) {
        world_lock(world);
        world->seats[comm->rank].state = SEAT_ABORTED;
        world_wake_all(world);
        world_unlock(world);
    }
    (void)pthread_mutex_lock(&comm->lock);
    while (comm->running)
        (void)pthread_cond_wait(&comm->changed, &comm->lock);
    (void)pthread_mutex_unlock(&comm->lock);
    if (pending)
        launch_drop(pending);
    comm_drop(comm);
    return ncclSuccess;
}

static ncclResult_t tell(ncclComm_t comm, int *place, int32_t value)
{
    ncclResult_t result = comm_ready(comm);
    if (!result && !place)
        result = nccl_error(ncclInvalidArgument, "no place for what was asked");
    if (!result)
        *place = value;
    return result;
}

ncclResult_t ncclCommCount(const ncclComm_t comm, int *count)
{
    return tell(comm, count, comm ? comm->nranks : 0);
}

ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int *device)
{
    return tell(comm, device, comm ? comm->device : 0);
}

ncclResult_t ncclCommUserRank(const ncclComm_t comm, int *rank)
{
    return tell(comm, rank, comm ? comm->rank : 0);
}
