/* SPDX-License-Identifier: Apache-2.0 */
/* What ranks do in tests, as threads or as processes alike. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nccl_team.h"

/* Every rank can tell what every other one sends. Sums and products of them fit all types. */
static int64_t value_of(int rank, uint64_t i, ncclDataType_t type, ncclRedOp_t op)
{
    int64_t value = (int64_t)((i * 7 + (uint64_t)rank * 13 + i / 64) % 15);
    bool natural = type == ncclUint8 || type == ncclUint32 || type == ncclUint64;
    if (op == ncclProd)
        return value % 2 ? 2 : natural ? 1 : -1;
    return natural ? value : value - 5;
}

static const int sizes[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2};

/* A small whole number in a type: exact in all of them. */
static void put(uint8_t *at, ncclDataType_t type, int64_t value)
{
    float single = (float)value;
    double real = (double)value;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    uint16_t half = (uint16_t)(bits >> 16);
    if (type == ncclFloat16)
        half = value ? (uint16_t)((bits >> 16 & 0x8000U) | ((bits >> 13 & 0x3ffffU) - (112U << 10)))
                     : 0;
    if (type == ncclFloat16 || type == ncclBfloat16)
        memcpy(at, &half, 2);
    else if (type == ncclFloat32)
        memcpy(at, &single, 4);
    else if (type == ncclFloat64)
        memcpy(at, &real, 8);
    else
        memcpy(at, &value, (size_t)sizes[type]);
}

static uint8_t *values_for(ncclRedOp_t op, ncclDataType_t type, int rank, uint64_t first,
                           uint64_t count)
{
    uint8_t *all = calloc(count + 1, 8);
    for (uint64_t i = 0; all && i < count; i++)
        put(all + i * (uint64_t)sizes[type], type, value_of(rank, first + i, type, op));
    if (!all)
        abort();
    return all;
}

static uint8_t *values(ncclDataType_t type, int rank, uint64_t first, uint64_t count)
{
    return values_for(ncclSum, type, rank, first, count);
}

static drv_address upload(struct member *m, const void *data, size_t bytes)
{
    drv_address at = 0;
    if (m->f->cuMemAlloc_v2(&at, bytes ? bytes : 1) ||
        (data && bytes && m->f->cuMemcpyHtoD_v2(at, data, bytes)))
        team_fail(m, "rank %d: no upload", m->rank);
    return at;
}

static void *device(drv_address at)
{
    void *pointer;
    memcpy(&pointer, &at, sizeof pointer);
    return pointer;
}

/* Waits for the stream and compares. */
static void expect(struct member *m, drv_address at, const uint8_t *want, uint64_t bytes,
                   const char *what)
{
    uint8_t *got = malloc(bytes + 1);
    if (!got)
        abort();
    int error = m->f->cuStreamSynchronize(m->stream);
    error = error || !bytes ? error : m->f->cuMemcpyDtoH_v2(got, at, bytes);
    if (error)
        team_fail(m, "rank %d: %s: error %d", m->rank, what, error);
    for (uint64_t i = 0; !error && i < bytes; i++)
        if (got[i] != want[i]) {
            team_fail(m, "rank %d: %s: byte %llu is %d, not %d", m->rank, what,
                      (unsigned long long)i, got[i], want[i]);
            break;
        }
    free(got);
}

static int64_t combine(ncclDataType_t type, ncclRedOp_t op, int nranks, uint64_t i)
{
    int64_t sum = value_of(0, i, type, op);
    for (int r = 1; r < nranks; r++) {
        int64_t v = value_of(r, i, type, op);
        sum = op == ncclSum || op == ncclAvg ? sum + v
              : op == ncclProd               ? sum * v
              : op == ncclMax                ? (v > sum ? v : sum)
                                             : (v < sum ? v : sum);
    }
    return sum;
}

static uint8_t *combined(struct member *m, ncclDataType_t type, ncclRedOp_t op, uint64_t first,
                         uint64_t count)
{
    uint8_t *all = calloc(count + 1, 8);
    for (uint64_t i = 0; all && i < count; i++)
        put(all + i * (uint64_t)sizes[type], type, combine(type, op, m->nranks, first + i));
    if (!all)
        abort();
    return all;
}

static void all_reduce(struct member *m, ncclDataType_t type, ncclRedOp_t op, uint64_t count)
{
    uint64_t bytes = count * (uint64_t)sizes[type];
    uint8_t *mine = values_for(op, type, m->rank, 0, count);
    uint8_t *want = combined(m, type, op, 0, count);
    drv_address from = upload(m, mine, bytes), to = upload(m, NULL, bytes);
    TEAM_OK(m, m->f->ncclAllReduce(device(from), device(to), count, type, op, m->comm, m->stream));
    expect(m, to, want, bytes, "AllReduce");
    TEAM_OK(m,
            m->f->ncclAllReduce(device(from), device(from), count, type, op, m->comm, m->stream));
    expect(m, from, want, bytes, "AllReduce in place");
    TEAM_OK(m, m->f->cuMemFree_v2(from));
    TEAM_OK(m, m->f->cuMemFree_v2(to));
    free(mine);
    free(want);
}

static void reduce_to_some(struct member *m, ncclDataType_t type, uint64_t count)
{
    uint64_t n = (uint64_t)m->nranks, bytes = count * (uint64_t)sizes[type];
    int root = (int)(count % n);
    uint8_t *mine = values(type, m->rank, 0, n * count);
    uint8_t *whole = combined(m, type, ncclSum, 0, count);
    uint8_t *part = combined(m, type, ncclSum, (uint64_t)m->rank * count, count);
    drv_address from = upload(m, mine, n * bytes), to = upload(m, mine, bytes);
    TEAM_OK(m, m->f->ncclReduce(device(from), device(to), count, type, ncclSum, root, m->comm,
                                m->stream));
    expect(m, to, m->rank == root ? whole : mine, bytes, "Reduce");
    TEAM_OK(m, m->f->ncclReduceScatter(device(from), device(to), count, type, ncclSum, m->comm,
                                       m->stream));
    expect(m, to, part, bytes, "ReduceScatter");
    TEAM_OK(m, m->f->cuMemFree_v2(from));
    TEAM_OK(m, m->f->cuMemFree_v2(to));
    free(mine);
    free(whole);
    free(part);
}

static void gathers(struct member *m, ncclDataType_t type, uint64_t count)
{
    uint64_t n = (uint64_t)m->nranks, bytes = count * (uint64_t)sizes[type];
    int root = (int)(count % n);
    uint8_t *mine = values(type, m->rank, 0, n * count), *want = calloc(n, bytes + 1);
    drv_address from = upload(m, mine, n * bytes), to = upload(m, NULL, n * bytes);
    for (int r = 0; want && r < m->nranks; r++) {
        uint8_t *theirs = values(type, r, 0, count);
        memcpy(want + (uint64_t)r * bytes, theirs, bytes);
        free(theirs);
    }
    TEAM_OK(m, m->f->ncclAllGather(device(from), device(to), count, type, m->comm, m->stream));
    expect(m, to, want, n * bytes, "AllGather");
    TEAM_OK(m,
            m->f->ncclBroadcast(device(from), device(to), count, type, root, m->comm, m->stream));
    expect(m, to, want + (uint64_t)root * bytes, bytes, "Broadcast");
    for (int r = 0; want && r < m->nranks; r++) {
        uint8_t *theirs = values(type, r, (uint64_t)m->rank * count, count);
        memcpy(want + (uint64_t)r * bytes, theirs, bytes);
        free(theirs);
    }
    TEAM_OK(m, m->f->ncclAlltoAll(device(from), device(to), count, type, m->comm, m->stream));
    expect(m, to, want, n * bytes, "AlltoAll");
    TEAM_OK(m, m->f->cuMemFree_v2(from));
    TEAM_OK(m, m->f->cuMemFree_v2(to));
    free(mine);
    free(want);
}

static void collectives(struct member *m)
{
    static const uint64_t counts[] = {1, 5, 9001};
    for (int type = 0; type <= ncclBfloat16 && !m->error[0]; type++) {
        for (int op = ncclSum; op <= ncclMin && !m->error[0]; op++)
            all_reduce(m, (ncclDataType_t)type, (ncclRedOp_t)op, 3);
        for (int c = 0; c < 3 && !m->error[0]; c++) {
            reduce_to_some(m, (ncclDataType_t)type, counts[c]);
            gathers(m, (ncclDataType_t)type, counts[c]);
        }
    }
    all_reduce(m, ncclInt32, ncclSum, 20000);
}

/* All pairs at once, each with a count of its own, some nothing at all, to itself as well. */
static void exchange(struct member *m)
{
    uint64_t n = (uint64_t)m->nranks, room = 7000;
    for (int turn = 0; turn < 4 && !m->error[0]; turn++) {
        uint8_t *mine = values(ncclInt32, m->rank, 0, n * room);
        drv_address from = upload(m, mine, n * room * 4), to = upload(m, NULL, n * room * 4);
        TEAM_OK(m, m->f->ncclGroupStart());
        for (int p = 0; p < m->nranks; p++) {
            uint64_t out =
                (uint64_t)(m->rank * 31 + p * 17 + turn) * 211 % room / (p % 3 ? 1 : 900);
            uint64_t in =
                (uint64_t)(p * 31 + m->rank * 17 + turn) * 211 % room / (m->rank % 3 ? 1 : 900);
            drv_address at = room * 4 * (uint64_t)p;
            TEAM_OK(m, m->f->ncclSend(device(from + at), out, ncclInt32, p, m->comm, m->stream));
            TEAM_OK(m, m->f->ncclRecv(device(to + at), in, ncclInt32, p, m->comm, m->stream));
        }
        TEAM_OK(m, m->f->ncclGroupEnd());
        for (int p = 0; p < m->nranks; p++) {
            uint64_t in =
                (uint64_t)(p * 31 + m->rank * 17 + turn) * 211 % room / (m->rank % 3 ? 1 : 900);
            uint8_t *want = values(ncclInt32, p, room * (uint64_t)m->rank, in);
            expect(m, to + room * 4 * (uint64_t)p, want, in * 4, "Send and Recv");
            free(want);
        }
        TEAM_OK(m, m->f->cuMemFree_v2(from));
        TEAM_OK(m, m->f->cuMemFree_v2(to));
        free(mine);
    }
}

static ncclResult_t settle(struct member *m)
{
    const struct timespec pause = {0, 1000000};
    ncclResult_t state = ncclInProgress;
    while (m->f->ncclCommGetAsyncError(m->comm, &state) == ncclSuccess && state == ncclInProgress)
        (void)nanosleep(&pause, NULL);
    return state;
}

static ncclResult_t begin_without_blocking(struct member *m)
{
    ncclConfig_t config = {sizeof config,
                           STANDIN_NCCL_MAGIC,
                           STANDIN_NCCL_VERSION,
                           0,
                           INT_MIN,
                           INT_MIN,
                           INT_MIN,
                           NULL,
                           INT_MIN,
                           INT_MIN,
                           NULL,
                           INT_MIN,
                           INT_MIN,
                           INT_MIN,
                           INT_MIN,
                           INT_MIN,
                           INT_MIN};
    return m->f->ncclCommInitRankConfig(&m->comm, m->nranks, m->id, m->rank, &config);
}

/* Nothing is done when a call returns; what uses the communicator too early is refused. */
static void non_blocking(struct member *m)
{
    const struct team_functions *f = m->f;
    int32_t one = 1 << m->rank, all = (1 << m->nranks) - 1;
    int count = 0;
    TEAM_GIVES(m, begin_without_blocking(m), ncclInProgress);
    TEAM_GIVES(m, f->ncclCommCount(m->comm, &count), ncclInvalidArgument);
    TEAM_OK(m, settle(m));
    TEAM_OK(m, f->ncclCommCount(m->comm, &count));
    TEAM_GIVES(m, count, m->nranks);
    drv_address at = upload(m, &one, sizeof one);
    void *data = device(at);
    TEAM_GIVES(m, f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream),
               ncclInProgress);
    TEAM_OK(m, f->cuStreamSynchronize(m->stream));
    expect(m, at, (const uint8_t *)&one, sizeof one, "AllReduce that was not asked for");
    TEAM_GIVES(m, f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream),
               ncclInvalidArgument);
    TEAM_OK(m, settle(m));
    expect(m, at, (const uint8_t *)&all, sizeof all, "AllReduce");
    TEAM_GIVES(m, f->ncclCommFinalize(m->comm), ncclInProgress);
    TEAM_OK(m, settle(m));
    TEAM_GIVES(m, f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream),
               ncclInvalidUsage);
    TEAM_OK(m, f->cuMemFree_v2(at));
}

static void *abort_soon(void *arg)
{
    const struct timespec pause = {0, 50000000};
    const struct member *m = arg;
    (void)nanosleep(&pause, NULL);
    return m->f->ncclCommAbort(m->comm) ? arg : NULL;
}

/* Aborts from another thread while this one waits for the stream. */
static void abort_beside(struct member *m)
{
    pthread_t thread;
    void *failed = m;
    TEAM_OK(m, pthread_create(&thread, NULL, abort_soon, m));
    int error = m->f->cuStreamSynchronize(m->stream);
    TEAM_OK(m, pthread_join(thread, &failed));
    m->comm = NULL;
    TEAM_TRUE(m, !failed);
    TEAM_OK(m, error);
}

/* One rank stays away: the others are stuck until they abort. */
static void absent(struct member *m)
{
    drv_address at = upload(m, &m->rank, 4);
    void *data = device(at);
    if (m->rank != m->nranks - 1) {
        TEAM_OK(m, m->f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream));
        TEAM_GIVES(m, m->f->cuStreamQuery(m->stream), DRV_NOT_READY);
        TEAM_OK(m, m->f->ncclAllReduce(data, data, 1, ncclInt32, ncclSum, m->comm, m->stream));
    }
    abort_beside(m);
    TEAM_OK(m, m->f->cuMemFree_v2(at));
}

/* A circle: each sends to the next before it receives, outside of a group. */
static void circle(struct member *m)
{
    int next = (m->rank + 1) % m->nranks, last = (m->rank + m->nranks - 1) % m->nranks;
    drv_address at = upload(m, &m->rank, 4);
    TEAM_OK(m, m->f->ncclSend(device(at), 1, ncclInt32, next, m->comm, m->stream));
    TEAM_OK(m, m->f->ncclRecv(device(at), 1, ncclInt32, last, m->comm, m->stream));
    abort_beside(m);
    TEAM_OK(m, m->f->cuMemFree_v2(at));
}

/* Rank 0 reduces where the others gather. */
static void other_kind(struct member *m)
{
    drv_address at = upload(m, NULL, 64), from = upload(m, &m->rank, 4);
    if (m->rank == 0)
        TEAM_OK(m, m->f->ncclAllReduce(device(from), device(at), 1, ncclInt32, ncclMax, m->comm,
                                       m->stream));
    else
        TEAM_OK(m, m->f->ncclAllGather(device(from), device(at), 1, ncclInt32, m->comm, m->stream));
    abort_beside(m);
    TEAM_OK(m, m->f->cuMemFree_v2(at));
    TEAM_OK(m, m->f->cuMemFree_v2(from));
}

/* Rank 0 sends more than is received. */
static void other_count(struct member *m)
{
    drv_address at = upload(m, &m->rank, 4);
    if (m->rank == 0)
        TEAM_OK(m, m->f->ncclSend(device(at), 4, ncclInt8, 1, m->comm, m->stream));
    if (m->rank == 1)
        TEAM_OK(m, m->f->ncclRecv(device(at), 3, ncclInt8, 0, m->comm, m->stream));
    abort_beside(m);
    TEAM_OK(m, m->f->cuMemFree_v2(at));
}

const struct team_entry team_bodies[] = {
    {"collectives", collectives, false},
    {"exchange", exchange, false},
    {"non_blocking", non_blocking, true},
    {"absent", absent, false},
    {"circle", circle, false},
    {"other_kind", other_kind, false},
    {"other_count", other_count, false},
    {NULL, NULL, false},
};
