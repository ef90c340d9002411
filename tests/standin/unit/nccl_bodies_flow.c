/* SPDX-License-Identifier: Apache-2.0 */
/* How communicators and streams go on. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nccl_team.h"

/* Nothing is done when a call returns; what uses the communicator too early is refused. */
void body_non_blocking(struct member *m)
{
    const struct team_functions *f = m->f;
    int32_t one = 1 << m->rank, all = (1 << m->nranks) - 1;
    int count = 0;
    TEAM_GIVES(m, team_begin_without_blocking(m), ncclInProgress);
    TEAM_GIVES(m, f->ncclCommCount(m->comm, &count), ncclInvalidArgument);
    TEAM_OK(m, team_settle(m));
    TEAM_OK(m, f->ncclCommCount(m->comm, &count));
    TEAM_GIVES(m, count, m->nranks);
    drv_address at = team_upload(m, &one, sizeof one);
    void *data = team_device(at);
    TEAM_GIVES(m, f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream),
               ncclInProgress);
    TEAM_OK(m, f->cuStreamSynchronize(m->stream));
    team_expect(m, at, &one, sizeof one, "AllReduce that was not asked for");
    TEAM_GIVES(m, f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream),
               ncclInvalidArgument);
    TEAM_OK(m, team_settle(m));
    team_expect(m, at, &all, sizeof all, "AllReduce");
    TEAM_GIVES(m, f->ncclCommFinalize(m->comm), ncclInProgress);
    TEAM_OK(m, team_settle(m));
    TEAM_GIVES(m, f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream),
               ncclInvalidUsage);
    TEAM_OK(m, f->cuMemFree_v2(at));
}

/* Odd and even ranks apart, in the opposite order; rank 0 takes no part. */
void body_split(struct member *m)
{
    const struct team_functions *f = m->f;
    int even = (m->nranks + 1) / 2 - 1, odd = m->nranks / 2;
    int want = m->rank % 2 ? odd : even, count = 0, rank = -1;
    ncclComm_t part = NULL;
    TEAM_OK(m, f->ncclCommSplit(m->comm, m->rank ? m->rank % 2 : -1, -m->rank, &part, NULL));
    TEAM_TRUE(m, (part == NULL) == (m->rank == 0));
    if (part) {
        int32_t value = m->rank, sum = 0;
        for (int r = m->rank % 2 ? 1 : 2; r < m->nranks; r += 2)
            sum += r;
        drv_address at = team_upload(m, &value, sizeof value);
        void *data = team_device(at);
        TEAM_OK(m, f->ncclCommCount(part, &count));
        TEAM_GIVES(m, count, want);
        TEAM_OK(m, f->ncclCommUserRank(part, &rank));
        TEAM_GIVES(m, rank, want - 1 - (m->rank - 1) / 2);
        TEAM_OK(m, f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, part, m->stream));
        team_expect(m, at, &sum, sizeof sum, "AllReduce of a part");
        TEAM_OK(m, f->ncclCommDestroy(part));
        TEAM_OK(m, f->cuMemFree_v2(at));
    }
}

void body_registration(struct member *m)
{
    const struct team_functions *f = m->f;
    int device = -1;
    void *at = NULL, *handle = NULL, *other = NULL;
    TEAM_OK(m, f->ncclCommCuDevice(m->comm, &device));
    TEAM_GIVES(m, device, m->rank);
    TEAM_GIVES(m, f->ncclMemAlloc(&at, 0), ncclInvalidArgument);
    TEAM_OK(m, f->ncclMemAlloc(&at, 4096));
    TEAM_GIVES(m, f->ncclCommRegister(m->comm, at, 0, &handle), ncclInvalidArgument);
    TEAM_OK(m, f->ncclCommRegister(m->comm, at, 4096, &handle));
    TEAM_OK(m, f->ncclCommRegister(m->comm, at, 64, &other)); /* its communicator's end ends it */
    TEAM_GIVES(m, f->ncclCommDeregister(m->comm, NULL), ncclInvalidArgument);
    TEAM_OK(m, f->ncclCommDeregister(m->comm, handle));
    TEAM_GIVES(m, f->ncclCommDeregister(m->comm, handle), ncclInvalidArgument);
    TEAM_OK(m, f->ncclMemFree(at));
}

/* What is captured runs at each replay, with what memory then holds, and eagerly in between. */
void body_replay(struct member *m)
{
    const struct team_functions *f = m->f;
    int32_t next = (m->rank + 1) % m->nranks, last = (m->rank + m->nranks - 1) % m->nranks;
    int32_t zero = 0;
    struct CUgraph_st *graph;
    struct CUgraphExec_st *exec;
    drv_address from = team_upload(m, NULL, 4), sum = team_upload(m, &zero, 4);
    drv_address passed = team_upload(m, &zero, 4);
    TEAM_OK(m, f->cuStreamBeginCapture_v2(m->stream, 1));
    TEAM_OK(m, f->ncclAllReduce(team_device(from), team_device(sum), 1, ncclInt32, ncclSum, m->comm,
                                m->stream));
    TEAM_OK(m, f->ncclGroupStart());
    TEAM_OK(m, f->ncclSend(team_device(sum), 1, ncclInt32, next, m->comm, m->stream));
    TEAM_OK(m, f->ncclRecv(team_device(passed), 1, ncclInt32, last, m->comm, m->stream));
    TEAM_OK(m, f->ncclGroupEnd());
    TEAM_OK(m, f->cuStreamEndCapture(m->stream, &graph));
    TEAM_OK(m, f->cuGraphInstantiateWithFlags(&exec, graph, 0));
    TEAM_OK(m, f->cuGraphDestroy(graph));
    team_expect(m, sum, &zero, 4, "a capture");
    for (int32_t turn = 1; turn < 4 && !m->error[0]; turn++) {
        int32_t mine = turn * (m->rank + 1), want = turn * m->nranks * (m->nranks + 1) / 2;
        TEAM_OK(m, f->cuMemcpyHtoDAsync_v2(from, &mine, 4, m->stream));
        TEAM_OK(m, f->cuGraphLaunch(exec, m->stream));
        team_expect(m, passed, &want, 4, "a replay");
        TEAM_OK(m, f->ncclAllReduce(team_device(from), team_device(sum), 1, ncclInt32, ncclMax,
                                    m->comm, m->stream));
        want = turn * m->nranks;
        team_expect(m, sum, &want, 4, "a call between replays");
    }
    TEAM_OK(m, f->cuGraphExecDestroy(exec));
    TEAM_OK(m, f->cuMemFree_v2(from));
    TEAM_OK(m, f->cuMemFree_v2(sum));
    TEAM_OK(m, f->cuMemFree_v2(passed));
}

static void wait_for_gate(void *gate)
{
    const struct timespec pause = {0, 1000000};
    while (!__atomic_load_n((int *)gate, __ATOMIC_ACQUIRE))
        (void)nanosleep(&pause, NULL);
}

/* Calls on one communicator run in their order, on whatever streams; streams of one group wait for
 * each other; two communicators do not. */
void body_streams(struct member *m)
{
    const struct team_functions *f = m->f;
    struct CUstream_st *other;
    ncclComm_t second;
    int gate = 0;
    int32_t zero = 0, n = m->nranks, one = 1;
    drv_address from = team_upload(m, &one, 4), a = team_upload(m, &zero, 4);
    drv_address b = team_upload(m, &zero, 4), c = team_upload(m, &zero, 4);
    void *ones = team_device(from);
    TEAM_OK(m, f->cuStreamCreate(&other, 1));
    TEAM_OK(m, f->ncclCommSplit(m->comm, 0, m->rank, &second, NULL));
    TEAM_OK(m, f->cuLaunchHostFunc(other, wait_for_gate, &gate));
    TEAM_OK(m, f->ncclAllReduce(ones, team_device(a), 1, ncclInt32, ncclSum, m->comm, other));
    TEAM_OK(m, f->ncclAllReduce(ones, team_device(c), 1, ncclInt32, ncclSum, second, m->stream));
    team_expect(m, c, &n, 4, "a second communicator");
    TEAM_OK(m, f->ncclAllReduce(ones, team_device(b), 1, ncclInt32, ncclSum, m->comm, m->stream));
    TEAM_GIVES(m, f->cuStreamQuery(m->stream), DRV_NOT_READY);
    __atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
    team_expect(m, b, &n, 4, "a call after one that waited");
    team_expect(m, a, &n, 4, "a call that waited");
    gate = 0;
    TEAM_OK(m, f->cuLaunchHostFunc(other, wait_for_gate, &gate));
    TEAM_OK(m, f->ncclGroupStart());
    TEAM_OK(m, f->ncclAllReduce(team_device(a), team_device(b), 1, ncclInt32, ncclSum, m->comm,
                                m->stream));
    TEAM_OK(m, f->ncclAllReduce(ones, team_device(c), 1, ncclInt32, ncclProd, m->comm, other));
    TEAM_OK(m, f->ncclGroupEnd());
    TEAM_GIVES(m, f->cuStreamQuery(m->stream), DRV_NOT_READY);
    __atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
    TEAM_OK(m, f->cuStreamSynchronize(other));
    n *= n;
    team_expect(m, b, &n, 4, "a group on two streams");
    team_expect(m, c, &one, 4, "a group on two streams");
    TEAM_OK(m, f->ncclCommDestroy(second));
    TEAM_OK(m, f->cuStreamDestroy_v2(other));
    TEAM_OK(m, f->cuMemFree_v2(from));
    TEAM_OK(m, f->cuMemFree_v2(a));
    TEAM_OK(m, f->cuMemFree_v2(b));
    TEAM_OK(m, f->cuMemFree_v2(c));
}

/* What a caller does wrong before any operation. */
void body_wrong_calls(struct member *m)
{
    const struct team_functions *f = m->f;
    ncclUniqueId nothing = {{0}};
    struct CUctx_st *first;
    ncclComm_t comm;
    int version = 0;
    TEAM_GIVES(m, f->ncclCommInitRank(&comm, m->nranks, nothing, m->rank), ncclInvalidArgument);
    TEAM_GIVES(m, f->ncclCommInitRank(&comm, m->nranks, m->id, m->nranks), ncclInvalidArgument);
    TEAM_GIVES(m, f->ncclCommInitRank(&comm, 0, m->id, 0), ncclInvalidArgument);
    ncclConfig_t config = {.size = sizeof config, .magic = 1, .version = STANDIN_NCCL_VERSION};
    TEAM_GIVES(m, f->ncclCommInitRankConfig(&comm, m->nranks, m->id, m->rank, &config),
               ncclInvalidArgument);
    TEAM_TRUE(m, strstr(f->ncclGetLastError(NULL), "magic 1") != NULL);
    TEAM_GIVES(m, f->ncclCommCount(NULL, &version), ncclInvalidArgument);
    TEAM_OK(m, f->ncclCommFinalize(NULL));
    TEAM_GIVES(m, f->ncclGroupEnd(), ncclInvalidUsage);
    TEAM_OK(m, f->ncclGetVersion(&version));
    TEAM_GIVES(m, version, STANDIN_NCCL_VERSION);
    /* All ranks on one device. */
    TEAM_OK(m, f->cuDevicePrimaryCtxRetain(&first, 0));
    TEAM_OK(m, f->cuCtxPushCurrent_v2(first));
    TEAM_GIVES(m, f->ncclCommInitRank(&comm, m->nranks, m->id, m->rank), ncclInvalidUsage);
    TEAM_TRUE(m, !comm && strstr(f->ncclGetLastError(NULL), "both on device 0"));
    TEAM_OK(m, f->cuCtxPopCurrent_v2(NULL));
    TEAM_OK(m, f->cuDevicePrimaryCtxRelease_v2(0));
}

/* An error inside of a group is the group's, and nothing of it runs. */
void body_wrong_group(struct member *m)
{
    const struct team_functions *f = m->f;
    int32_t zero = 0, one = 1;
    drv_address at = team_upload(m, &zero, 4), from = team_upload(m, &one, 4);
    TEAM_OK(m, f->ncclGroupStart());
    TEAM_OK(m, f->ncclGroupStart());
    TEAM_OK(m, f->ncclAllReduce(team_device(from), team_device(at), 1, ncclInt32, ncclSum, m->comm,
                                m->stream));
    TEAM_GIVES(m, f->ncclSend(team_device(from), 1, ncclInt32, -1, m->comm, m->stream),
               ncclInvalidArgument);
    TEAM_GIVES(m, f->ncclGroupEnd(), ncclInvalidArgument);
    TEAM_GIVES(m, f->ncclGroupEnd(), ncclInvalidArgument);
    team_expect(m, at, &zero, 4, "a group with an error");
    TEAM_GIVES(m, f->ncclSend(team_device(from), 1, (ncclDataType_t)12, 0, m->comm, m->stream),
               ncclInvalidArgument);
    TEAM_GIVES(m,
               f->ncclAllReduce(team_device(from), team_device(at), 1, ncclFloat8e4m3, ncclSum,
                                m->comm, m->stream),
               ncclInvalidArgument);
    TEAM_OK(m, f->ncclAllReduce(team_device(from), team_device(at), 1, ncclInt32, ncclProd, m->comm,
                                m->stream));
    team_expect(m, at, &one, 4, "a call after errors");
    TEAM_OK(m, f->cuMemFree_v2(at));
    TEAM_OK(m, f->cuMemFree_v2(from));
}

/* A stream of the next device's context. */
void body_other_stream(struct member *m)
{
    const struct team_functions *f = m->f;
    int device = (m->rank + 1) % m->nranks;
    struct CUctx_st *ctx;
    struct CUstream_st *stream;
    drv_address at = team_upload(m, &m->rank, 4);
    void *data = team_device(at);
    TEAM_OK(m, f->cuDevicePrimaryCtxRetain(&ctx, device));
    TEAM_OK(m, f->cuCtxPushCurrent_v2(ctx));
    TEAM_OK(m, f->cuStreamCreate(&stream, 1));
    /* The communicator's context counts, not the current one. */
    TEAM_OK(m, f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream));
    TEAM_GIVES(m, f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, stream),
               ncclUnhandledCudaError);
    TEAM_OK(m, f->cuStreamDestroy_v2(stream));
    TEAM_OK(m, f->cuCtxPopCurrent_v2(NULL));
    TEAM_OK(m, f->cuDevicePrimaryCtxRelease_v2(device));
    TEAM_OK(m, f->cuStreamSynchronize(m->stream));
    TEAM_OK(m, f->cuMemFree_v2(at));
}

/* A configuration as 2.14 had it, of which only `blocking` counts. */
void body_old_config(struct member *m)
{
    ncclConfig_t config = {
        .size = 24, .magic = STANDIN_NCCL_MAGIC, .version = 21400, .blocking = 2};
    TEAM_GIVES(m, m->f->ncclCommInitRankConfig(&m->comm, m->nranks, m->id, m->rank, &config),
               ncclInvalidArgument);
    config.blocking = 0;
    config.minCTAs = config.maxCTAs = -1;
    TEAM_GIVES(m, m->f->ncclCommInitRankConfig(&m->comm, m->nranks, m->id, m->rank, &config),
               ncclInProgress);
    TEAM_OK(m, team_settle(m));
}
