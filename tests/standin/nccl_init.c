/* SPDX-License-Identifier: Apache-2.0 */
/* Communicators come to be: unique ids, configurations, taking a seat in the world. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "nccl_comm.h"
#include "nccl_driver.h"

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    static uint32_t count;
    struct timespec now;
    if (!id)
        return nccl_error(ncclInvalidArgument, "ncclGetUniqueId: no place for the id");
    (void)clock_gettime(CLOCK_REALTIME, &now);
    memset(id, 0, sizeof *id);
    (void)snprintf(id->internal, sizeof id->internal, "/sluice-standin-nccl-%d-%u-%lld",
                   (int)getpid(), __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED),
                   (long long)now.tv_sec * 1000000000LL + now.tv_nsec);
    return ncclSuccess;
}

static bool wrong_ctas(int value)
{
    return value != INT_MIN && value <= 0;
}

/* An older caller's configuration ends earlier: before 2.17, after `blocking`. */
ncclResult_t config_read(const ncclConfig_t *config, bool otherwise, bool *blocking)
{
    *blocking = otherwise;
    if (!config)
        return ncclSuccess;
    if (config->size < offsetof(ncclConfig_t, cgaClusterSize) ||
        config->magic != STANDIN_NCCL_MAGIC || config->version < 21400)
        return nccl_error(ncclInvalidArgument,
                          "config (size %zu, magic %x, version %u) was not begun with "
                          "NCCL_CONFIG_INITIALIZER",
                          config->size, config->magic, config->version);
    if (config->blocking != INT_MIN && config->blocking != 0 && config->blocking != 1)
        return nccl_error(ncclInvalidArgument, "config.blocking is %d", config->blocking);
    *blocking = config->blocking == INT_MIN ? otherwise : config->blocking != 0;
    if (config->version < 21700 || config->size < offsetof(ncclConfig_t, netName))
        return ncclSuccess;
    if (config->cgaClusterSize != INT_MIN && config->cgaClusterSize < 0)
        return nccl_error(ncclInvalidArgument, "config.cgaClusterSize is %d",
                          config->cgaClusterSize);
    if (wrong_ctas(config->minCTAs) || wrong_ctas(config->maxCTAs) ||
        (config->maxCTAs != INT_MIN && config->minCTAs > config->maxCTAs))
        return nccl_error(ncclInvalidArgument, "config.minCTAs is %d, maxCTAs %d", config->minCTAs,
                          config->maxCTAs);
    return ncclSuccess;
}

ncclComm_t comm_new(int32_t nranks, int32_t rank, bool blocking)
{
    ncclComm_t comm = calloc(1, sizeof *comm);
    if (!comm)
        return NULL;
    comm->magic = COMM_MAGIC;
    comm->pid = (int32_t)getpid();
    comm->stage = COMM_JOINING;
    comm->refs = 1;
    comm->nranks = nranks;
    comm->rank = rank;
    comm->blocking = blocking;
    (void)pthread_mutex_init(&comm->lock, NULL);
    (void)pthread_mutex_init(&comm->order, NULL);
    (void)pthread_cond_init(&comm->changed, NULL);
    return comm;
}

ncclResult_t comm_take_seat(ncclComm_t comm, const char *name)
{
    struct world *world = world_open(name, comm->nranks);
    if (!world)
        return nccl_error(ncclSystemError, "no shared memory %s", name);
    comm->world = world;
    if (world->nranks != comm->nranks)
        return nccl_error(ncclInvalidArgument, "nranks is %d here and %d at another rank",
                          comm->nranks, world->nranks);
    struct seat *seat = &world->seats[comm->rank];
    world_lock(world);
    int64_t fault;
    bool first = seat->state == SEAT_EMPTY;
    if (first && !fault_comes(NCCL_FAULT_STUCK, comm->rank, &fault)) {
        seat->state = SEAT_TAKEN;
        seat->pid = (int32_t)getpid();
        seat->device = comm->device;
        if (++world->head->taken == world->nranks)
            world_forget_name(world);
        world_wake_all(world);
    }
    world_unlock(world);
    return first ? ncclSuccess
                 : nccl_error(ncclInvalidArgument, "rank %d is there twice", comm->rank);
}

ncclResult_t comm_begin(ncclComm_t *out)
{
    ncclComm_t comm = *out;
    if (!comm->blocking)
        return ncclInProgress;
    if (group_open()) {
        group_await(comm);
        return ncclSuccess;
    }
    comm_hold(comm);
    ncclResult_t result = comm_await(comm);
    if (result && !comm_aborted(comm)) {
        (void)ncclCommAbort(comm);
        *out = NULL;
    }
    comm_drop(comm);
    return result;
}

static ncclResult_t init(ncclComm_t *out, int nranks, const char *name, int rank,
                         const ncclConfig_t *config)
{
    bool blocking;
    if (!out)
        return nccl_error(ncclInvalidArgument, "no place for the communicator");
    *out = NULL;
    if (nranks < 1 || nranks > WORLD_RANKS_MAX || rank < 0 || rank >= nranks)
        return nccl_error(ncclInvalidArgument, "rank %d of %d ranks", rank, nranks);
    if (name[0] != '/' || !memchr(name, '\0', sizeof(ncclUniqueId)))
        return nccl_error(ncclInvalidArgument, "no id that ncclGetUniqueId gave");
    ncclResult_t result = config_read(config, true, &blocking);
    if (result)
        return result;
    struct CUctx_st *ctx = NULL;
    int device = -1;
    if (!driver() || driver()->cuCtxGetCurrent(&ctx) || !ctx || driver()->cuCtxGetDevice(&device))
        return nccl_error(ncclUnhandledCudaError, "no context is current to this thread");
    ncclComm_t comm = comm_new(nranks, rank, blocking);
    if (!comm)
        return nccl_error(ncclSystemError, "out of memory");
    comm->ctx = ctx;
    comm->device = device;
    int64_t fault;
    result = fault_comes(NCCL_FAULT_INIT, rank, &fault)
                 ? nccl_error((ncclResult_t)fault, "a fault that was ordered")
                 : comm_take_seat(comm, name);
    if (result) {
        comm_drop(comm);
        return result;
    }
    *out = comm;
    return comm_begin(out);
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int nranks, ncclUniqueId id, int rank,
                                    ncclConfig_t *config)
{
    return init(comm, nranks, id.internal, rank, config);
}

ncclResult_t ncclCommInitRank(ncclComm_t *comm, int nranks, ncclUniqueId id, int rank)
{
    return init(comm, nranks, id.internal, rank, NULL);
}
