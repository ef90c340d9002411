/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks that cannot go on. */
#include "nccl_team.h"

/* One rank stays away: the others are stuck until they abort. */
void body_absent(struct member *m)
{
    drv_address at = team_upload(m, &m->rank, 4);
    void *data = team_device(at);
    if (m->rank != m->nranks - 1) {
        TEAM_OK(m, m->f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream));
        TEAM_GIVES(m, m->f->cuStreamQuery(m->stream), DRV_NOT_READY);
        TEAM_OK(m, m->f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream));
    }
    team_abort_beside(m);
    TEAM_OK(m, m->f->cuMemFree_v2(at));
}

/* A circle: each sends to the next before it receives, outside of a group. */
void body_circle(struct member *m)
{
    int next = (m->rank + 1) % m->nranks, last = (m->rank + m->nranks - 1) % m->nranks;
    drv_address at = team_upload(m, &m->rank, 4);
    TEAM_OK(m, m->f->ncclSend(team_device(at), 1, ncclInt32, next, m->comm, m->stream));
    TEAM_OK(m, m->f->ncclRecv(team_device(at), 1, ncclInt32, last, m->comm, m->stream));
    team_abort_beside(m);
    TEAM_OK(m, m->f->cuMemFree_v2(at));
}

/* Rank 0 reduces where the others gather. */
void body_other_kind(struct member *m)
{
    drv_address at = team_upload(m, NULL, 64), from = team_upload(m, &m->rank, 4);
    if (m->rank == 0)
        TEAM_OK(m, m->f->ncclAllReduce(team_device(from), team_device(at), 1, ncclInt32, ncclMax,
                                       m->comm, m->stream));
    else
        TEAM_OK(m, m->f->ncclAllGather(team_device(from), team_device(at), 1, ncclInt32, m->comm,
                                       m->stream));
    team_abort_beside(m);
    TEAM_OK(m, m->f->cuMemFree_v2(at));
    TEAM_OK(m, m->f->cuMemFree_v2(from));
}

/* Rank 0 sends more than is received. */
void body_other_count(struct member *m)
{
    drv_address at = team_upload(m, &m->rank, 4);
    if (m->rank == 0)
        TEAM_OK(m, m->f->ncclSend(team_device(at), 4, ncclInt8, 1, m->comm, m->stream));
    if (m->rank == 1)
        TEAM_OK(m, m->f->ncclRecv(team_device(at), 3, ncclInt8, 0, m->comm, m->stream));
    team_abort_beside(m);
    TEAM_OK(m, m->f->cuMemFree_v2(at));
}

/* Rank 0 reduces while the others wait for a send of its own. */
void body_other_class(struct member *m)
{
    drv_address at = team_upload(m, &m->rank, 4);
    void *data = team_device(at);
    if (m->rank == 0)
        TEAM_OK(m, m->f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream));
    else
        TEAM_OK(m, m->f->ncclRecv(data, 1, ncclInt32, 0, m->comm, m->stream));
    team_abort_beside(m);
    TEAM_OK(m, m->f->cuMemFree_v2(at));
}

/* Rank 0 leaves while the others need it. */
void body_leaves(struct member *m)
{
    drv_address at = team_upload(m, &m->rank, 4);
    void *data = team_device(at);
    if (m->rank == 0) {
        TEAM_GIVES(m, team_finalize_beside(m), ncclInternalError);
    } else {
        TEAM_OK(m, m->f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream));
        team_abort_beside(m);
    }
    TEAM_OK(m, m->f->cuMemFree_v2(at));
}

/* The last rank aborts, and with STANDIN_NCCL_LOST the others are told. */
void body_lost(struct member *m)
{
    const struct team_functions *f = m->f;
    drv_address at = team_upload(m, &m->rank, 4);
    void *data = team_device(at);
    if (m->rank != m->nranks - 1) {
        TEAM_OK(m, f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream));
        TEAM_GIVES(m, team_async(m), ncclRemoteError);
        TEAM_GIVES(m, f->cuStreamQuery(m->stream), DRV_NOT_READY);
        TEAM_GIVES(m, f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream),
                   ncclRemoteError);
    }
    TEAM_OK(m, f->ncclCommAbort(m->comm));
    m->comm = NULL;
    TEAM_OK(m, f->cuStreamSynchronize(m->stream));
    TEAM_OK(m, f->cuMemFree_v2(at));
}

/* Rank 0 sends what is freed: its context fails, and what it was given later does not run. */
void body_wrong_address(struct member *m)
{
    const struct team_functions *f = m->f;
    drv_address at = team_upload(m, &m->rank, 4), gone = team_upload(m, NULL, 4);
    void *data = team_device(at);
    TEAM_OK(m, f->cuMemFree_v2(gone));
    if (m->rank)
        gone = at;
    TEAM_OK(m,
            f->ncclAllReduce(team_device(gone), data, 1, ncclInt32, ncclSum, m->comm, m->stream));
    if (m->rank == 0) {
        TEAM_GIVES(m, f->cuStreamSynchronize(m->stream), DRV_ILLEGAL_ADDRESS);
        TEAM_GIVES(m, f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream),
                   ncclUnhandledCudaError);
        TEAM_OK(m, f->ncclCommAbort(m->comm));
        m->comm = NULL;
        TEAM_OK(m, f->cuDevicePrimaryCtxReset_v2(0));
    } else {
        team_abort_beside(m);
    }
    TEAM_OK(m, f->cuMemFree_v2(at));
}

/* Two communicators on one stream, in an order that differs by rank: nothing in one of them shows
 * it, but it lasts. */
void body_two_orders(struct member *m)
{
    const struct team_functions *f = m->f;
    ncclComm_t second;
    drv_address at = team_upload(m, &m->rank, 4);
    void *data = team_device(at);
    TEAM_OK(m, f->ncclCommSplit(m->comm, 0, m->rank, &second, NULL));
    ncclComm_t first = m->rank ? second : m->comm, then = m->rank ? m->comm : second;
    TEAM_OK(m, f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, first, m->stream));
    TEAM_OK(m, f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, then, m->stream));
    team_pause(m);
    TEAM_OK(m, f->ncclCommAbort(first));
    TEAM_OK(m, f->ncclCommAbort(then));
    m->comm = NULL;
    TEAM_OK(m, f->cuStreamSynchronize(m->stream));
    TEAM_OK(m, f->cuMemFree_v2(at));
}
