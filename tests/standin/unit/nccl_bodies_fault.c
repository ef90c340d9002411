/* SPDX-License-Identifier: Apache-2.0 */
/* Faults on order, each of them rank 0's, except where the environment has them. */
#include <time.h>

#include "nccl_team.h"

static int order(struct member *m, enum standin_nccl_fault fault, uint64_t nth, int64_t value)
{
    return m->rank || m->f->standin_nccl_fault(fault, 0, nth, value);
}

static ncclResult_t sum(struct member *m, drv_address from, drv_address to)
{
    return m->f->ncclAllReduce(team_device(from), team_device(to), 1, ncclInt32, ncclSum, m->comm,
                               m->stream);
}

/* One that is late is right, one that was dropped did nothing, one that is corrupted is wrong. */
void body_fault_data(struct member *m)
{
    int32_t one = 1, n = m->nranks, wrong = m->rank ? n : n ^ 1;
    struct timespec begun, ended;
    drv_address from = team_upload(m, &one, 4), to = team_upload(m, &one, 4);
    TEAM_TRUE(m, order(m, NCCL_FAULT_DELAY, 2, 50));
    TEAM_OK(m, sum(m, from, to));
    team_expect(m, to, &n, 4, "what was not late");
    (void)clock_gettime(CLOCK_MONOTONIC, &begun);
    TEAM_OK(m, sum(m, from, to));
    team_expect(m, to, &n, 4, "what was late");
    (void)clock_gettime(CLOCK_MONOTONIC, &ended);
    int64_t ms = (int64_t)(ended.tv_sec - begun.tv_sec) * 1000;
    TEAM_TRUE(m, m->rank || ms + (ended.tv_nsec - begun.tv_nsec) / 1000000 >= 40);
    TEAM_TRUE(m, order(m, NCCL_FAULT_CORRUPT, 1, 0));
    TEAM_OK(m, m->f->ncclBroadcast(team_device(to), team_device(to), 1, ncclInt32, 0, m->comm,
                                   m->stream));
    team_expect(m, to, &wrong, 4, "what was corrupted");
    TEAM_TRUE(m, order(m, NCCL_FAULT_DROP, 1, 0));
    TEAM_OK(m, sum(m, from, to));
    if (m->rank == 0)
        team_expect(m, to, &wrong, 4, "what was dropped");
    else
        TEAM_GIVES(m, m->f->cuStreamQuery(m->stream), DRV_NOT_READY);
    team_abort_beside(m);
    TEAM_OK(m, m->f->cuMemFree_v2(from));
    TEAM_OK(m, m->f->cuMemFree_v2(to));
}

void body_fault_async(struct member *m)
{
    int32_t one = 1;
    drv_address at = team_upload(m, &one, 4);
    TEAM_TRUE(m, order(m, NCCL_FAULT_ASYNC, 1, ncclSystemError));
    TEAM_OK(m, sum(m, at, at));
    if (m->rank == 0) {
        TEAM_GIVES(m, team_async(m), ncclSystemError);
        TEAM_GIVES(m, sum(m, at, at), ncclSystemError);
    }
    team_abort_beside(m);
    TEAM_OK(m, m->f->cuMemFree_v2(at));
}

void body_fault_hang(struct member *m)
{
    int32_t one = 1;
    drv_address at = team_upload(m, &one, 4);
    TEAM_TRUE(m, order(m, NCCL_FAULT_HANG, 1, 0));
    TEAM_OK(m, sum(m, at, at));
    TEAM_GIVES(m, m->f->cuStreamQuery(m->stream), DRV_NOT_READY);
    team_abort_beside(m);
    TEAM_OK(m, m->f->cuMemFree_v2(at));
}

/* A call that is refused leaves the communicator as it was. */
void body_fault_call(struct member *m)
{
    int32_t one = 1;
    drv_address at = team_upload(m, &one, 4);
    if (m->rank == 0) {
        TEAM_TRUE(m, order(m, NCCL_FAULT_CALL, 1, ncclInternalError));
        TEAM_GIVES(m, sum(m, at, at), ncclInternalError);
    }
    TEAM_OK(m, sum(m, at, at));
    TEAM_OK(m, m->f->cuStreamSynchronize(m->stream));
    TEAM_OK(m, m->f->cuMemFree_v2(at));
}

/* Rank 0 fails at once, and the others wait for it until they abort. */
void body_fault_init(struct member *m)
{
    TEAM_TRUE(m, order(m, NCCL_FAULT_INIT, 1, ncclSystemError));
    TEAM_GIVES(m, team_begin_without_blocking(m), m->rank ? ncclInProgress : ncclSystemError);
    TEAM_TRUE(m, (m->comm == NULL) == (m->rank == 0));
    if (m->comm)
        team_abort_beside(m);
}

/* Nobody's initialisation ends. */
void body_fault_stuck(struct member *m)
{
    ncclResult_t state = ncclSuccess;
    TEAM_TRUE(m, order(m, NCCL_FAULT_STUCK, 1, 0));
    TEAM_GIVES(m, team_begin_without_blocking(m), ncclInProgress);
    for (int i = 0; i < 20; i++) {
        TEAM_OK(m, m->f->ncclCommGetAsyncError(m->comm, &state));
        TEAM_GIVES(m, state, ncclInProgress);
    }
    team_abort_beside(m);
}

/* Where the environment kills rank 0 at its second launch: the others learn of it. */
void body_killed(struct member *m)
{
    int32_t one = 1, n = m->nranks;
    drv_address from = team_upload(m, &one, 4), to = team_upload(m, &one, 4);
    TEAM_OK(m, sum(m, from, to));
    team_expect(m, to, &n, 4, "what came before");
    TEAM_OK(m, sum(m, from, to));
    TEAM_GIVES(m, team_async(m), ncclRemoteError);
    TEAM_OK(m, m->f->ncclCommAbort(m->comm));
    m->comm = NULL;
    TEAM_OK(m, m->f->cuStreamSynchronize(m->stream));
    TEAM_OK(m, m->f->cuMemFree_v2(from));
    TEAM_OK(m, m->f->cuMemFree_v2(to));
}

/* An older version serves what it has. */
void body_older(struct member *m)
{
    int32_t one = 1, n = m->nranks, version = 0;
    drv_address at = team_upload(m, &one, 4);
    TEAM_OK(m, m->f->ncclGetVersion(&version));
    TEAM_TRUE(m, version < 21900);
    TEAM_TRUE(m, !m->f->ncclMemAlloc && !m->f->ncclAlltoAll && m->f->ncclCommSplit);
    TEAM_OK(m, sum(m, at, at));
    team_expect(m, at, &n, 4, "AllReduce");
    TEAM_OK(m, m->f->cuMemFree_v2(at));
}
