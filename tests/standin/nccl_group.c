/* SPDX-License-Identifier: Apache-2.0 */
/* Groups, and the operations that they gather. A call outside of a group is a group of its own. */
#include <stdlib.h>
#include <string.h>

#include "nccl_comm.h"

struct entry {
    ncclComm_t comm;
    struct op op;
    cudaStream_t stream;
};

/* What a thread has gathered. */
static _Thread_local struct {
    int depth;
    ncclResult_t error;
    struct entry *entries;
    int32_t count;
    ncclComm_t *awaited; /* made in the group; they wait for the other ranks at its end */
    int32_t nawaited;
} group;

static void *get(void *old, size_t bytes)
{
    void *got = realloc(old, bytes ? bytes : 1);
    if (!got)
        abort();
    return got;
}

bool group_open(void)
{
    return group.depth > 0;
}

void group_await(ncclComm_t comm)
{
    group.awaited = get(group.awaited, (size_t)(group.nawaited + 1) * sizeof(ncclComm_t));
    group.awaited[group.nawaited++] = comm;
}

ncclResult_t ncclGroupStart(void)
{
    group.depth++;
    return ncclSuccess;
}

static void add_stream(struct launch *launch, cudaStream_t stream)
{
    for (int32_t i = 0; i < launch->nstreams; i++)
        if (launch->streams[i] == stream)
            return;
    launch->streams = get(launch->streams, (size_t)(launch->nstreams + 1) * sizeof(cudaStream_t));
    launch->streams[launch->nstreams++] = stream;
}

/* All that the group has for the communicator of its entry `first`. */
static ncclResult_t launch(int32_t first)
{
    ncclComm_t comm = group.entries[first].comm;
    struct launch *made = get(NULL, sizeof *made);
    *made = (struct launch){.refs = 1, .comm = comm};
    comm_hold(comm);
    for (int32_t i = first; i < group.count; i++) {
        struct entry *e = &group.entries[i];
        if (e->comm != comm)
            continue;
        made->ops = get(made->ops, (size_t)(made->nops + 1) * sizeof *made->ops);
        made->ops[made->nops++] = e->op;
        add_stream(made, e->stream);
        e->comm = NULL;
    }
    return comm_launch(comm, made);
}

/* An error leaves nothing of the group but what was launched before it. */
static ncclResult_t end_group(void)
{
    ncclResult_t result = group.error;
    for (int32_t i = 0; i < group.nawaited && !result; i++)
        result = comm_await(group.awaited[i]);
    bool later = false;
    for (int32_t i = 0; i < group.count && !result; i++) {
        if (group.entries[i].comm)
            result = launch(i);
        later |= result == ncclInProgress;
        result = result == ncclInProgress ? ncclSuccess : result;
    }
    free(group.entries);
    free(group.awaited);
    group.entries = NULL;
    group.awaited = NULL;
    group.count = group.nawaited = 0;
    group.error = ncclSuccess;
    return !result && later ? ncclInProgress : result;
}

ncclResult_t ncclGroupEnd(void)
{
    if (!group.depth)
        return nccl_error(ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
    if (--group.depth)
        return group.error;
    return end_group();
}

static ncclResult_t check(const struct op *op, ncclComm_t comm)
{
    int64_t value;
    ncclResult_t result = comm_ready(comm);
    if (result)
        return result;
    if (fault_comes(NCCL_FAULT_CALL, comm->rank, &value))
        return nccl_error((ncclResult_t)value, "a fault that was ordered");
    if ((unsigned)op->type >= ncclNumTypes)
        return nccl_error(ncclInvalidArgument, "datatype is %d", (int)op->type);
    bool reduces =
        op->kind == OP_ALL_REDUCE || op->kind == OP_REDUCE || op->kind == OP_REDUCE_SCATTER;
    if (reduces && !reducible(op->type, op->op))
        return nccl_error(ncclInvalidArgument, "the stand-in has no reduction %d of datatype %d",
                          (int)op->op, (int)op->type);
    bool rooted = op->kind == OP_SEND || op->kind == OP_RECV || op->kind == OP_BROADCAST ||
                  op->kind == OP_REDUCE;
    if (rooted && (op->root < 0 || op->root >= comm->nranks))
        return nccl_error(ncclInvalidArgument, "rank %d of %d ranks", op->root, comm->nranks);
    return ncclSuccess;
}

/* A collective of nothing does nothing; a send of nothing still meets its receive. */
static ncclResult_t enqueue(struct op op, ncclComm_t comm, cudaStream_t stream)
{
    bool p2p = op.kind == OP_SEND || op.kind == OP_RECV;
    ncclResult_t result = check(&op, comm);
    if (!result && (op.count || p2p)) {
        group.entries = get(group.entries, (size_t)(group.count + 1) * sizeof *group.entries);
        group.entries[group.count++] = (struct entry){comm, op, stream};
    }
    group.error = group.error ? group.error : result;
    return group.depth ? result : end_group();
}

static uint64_t address(const void *at)
{
    return (uint64_t)(uintptr_t)at;
}

ncclResult_t ncclSend(const void *from, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream)
{
    struct op op = {OP_SEND, address(from), 0, count, type, ncclSum, peer};
    return enqueue(op, comm, stream);
}

ncclResult_t ncclRecv(void *to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream)
{
    struct op op = {OP_RECV, 0, address(to), count, type, ncclSum, peer};
    return enqueue(op, comm, stream);
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)
{
    struct op o = {OP_ALL_REDUCE, address(from), address(to), count, type, op, -1};
    return enqueue(o, comm, stream);
}

ncclResult_t ncclReduce(const void *from, void *to, size_t count, ncclDataType_t type,
                        ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream)
{
    struct op o = {OP_REDUCE, address(from), address(to), count, type, op, root};
    return enqueue(o, comm, stream);
}

ncclResult_t ncclReduceScatter(const void *from, void *to, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)
{
    struct op o = {OP_REDUCE_SCATTER, address(from), address(to), count, type, op, -1};
    return enqueue(o, comm, stream);
}

ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream)
{
    struct op op = {OP_BROADCAST, address(from), address(to), count, type, ncclSum, root};
    return enqueue(op, comm, stream);
}

ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream)
{
    struct op op = {OP_ALL_GATHER, address(from), address(to), count, type, ncclSum, -1};
    return enqueue(op, comm, stream);
}

ncclResult_t ncclAlltoAll(const void *from, void *to, size_t count, ncclDataType_t type,
                          ncclComm_t comm, cudaStream_t stream)
{
    struct op op = {OP_ALL_TO_ALL, address(from), address(to), count, type, ncclSum, -1};
    return enqueue(op, comm, stream);
}
