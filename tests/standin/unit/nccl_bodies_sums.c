/* SPDX-License-Identifier: Apache-2.0 */
/* Collectives and exchanges against plain computations. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nccl_team.h"

/* Every rank can tell what every other one sends. Sums and products of them fit all types. */
static int64_t value_of(int rank, uint64_t i, ncclDataType_t type, ncclRedOp_t op)
{
    int64_t value = (int64_t)((i * 7 + (uint64_t)rank * 13 + i / 64) % 15);
    bool natural = type == ncclUint8 || type == ncclUint32 || type == ncclUint64;
    if (op == ncclAvg) /* whole averages */
        return (int64_t)(i % 15) + 1 + (rank % 2 ? -1 : 1);
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
    return op == ncclAvg ? sum / nranks : sum;
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
    drv_address from = team_upload(m, mine, bytes), to = team_upload(m, NULL, bytes);
    TEAM_OK(m, m->f->ncclAllReduce(team_device(from), team_device(to), count, type, op, m->comm,
                                   m->stream));
    team_expect(m, to, want, bytes, "AllReduce");
    TEAM_OK(m, m->f->ncclAllReduce(team_device(from), team_device(from), count, type, op, m->comm,
                                   m->stream));
    team_expect(m, from, want, bytes, "AllReduce in place");
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
    drv_address from = team_upload(m, mine, n * bytes), to = team_upload(m, mine, bytes);
    TEAM_OK(m, m->f->ncclReduce(team_device(from), team_device(to), count, type, ncclSum, root,
                                m->comm, m->stream));
    team_expect(m, to, m->rank == root ? whole : mine, bytes, "Reduce");
    TEAM_OK(m, m->f->ncclReduceScatter(team_device(from), team_device(to), count, type, ncclSum,
                                       m->comm, m->stream));
    team_expect(m, to, part, bytes, "ReduceScatter");
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
    drv_address from = team_upload(m, mine, n * bytes), to = team_upload(m, NULL, n * bytes);
    for (int r = 0; want && r < m->nranks; r++) {
        uint8_t *theirs = values(type, r, 0, count);
        memcpy(want + (uint64_t)r * bytes, theirs, bytes);
        free(theirs);
    }
    TEAM_OK(m, m->f->ncclAllGather(team_device(from), team_device(to), count, type, m->comm,
                                   m->stream));
    team_expect(m, to, want, n * bytes, "AllGather");
    TEAM_OK(m, m->f->ncclBroadcast(team_device(from), team_device(to), count, type, root, m->comm,
                                   m->stream));
    team_expect(m, to, want + (uint64_t)root * bytes, bytes, "Broadcast");
    for (int r = 0; want && r < m->nranks; r++) {
        uint8_t *theirs = values(type, r, (uint64_t)m->rank * count, count);
        memcpy(want + (uint64_t)r * bytes, theirs, bytes);
        free(theirs);
    }
    TEAM_OK(
        m, m->f->ncclAlltoAll(team_device(from), team_device(to), count, type, m->comm, m->stream));
    team_expect(m, to, want, n * bytes, "AlltoAll");
    TEAM_OK(m, m->f->cuMemFree_v2(from));
    TEAM_OK(m, m->f->cuMemFree_v2(to));
    free(mine);
    free(want);
}

void body_collectives(struct member *m)
{
    static const uint64_t counts[] = {1, 5, 9001};
    for (int type = 0; type <= ncclBfloat16 && !m->error[0]; type++) {
        for (int op = ncclSum; op <= ncclAvg && !m->error[0]; op++)
            all_reduce(m, (ncclDataType_t)type, (ncclRedOp_t)op, 3);
        for (int c = 0; c < 3 && !m->error[0]; c++) {
            reduce_to_some(m, (ncclDataType_t)type, counts[c]);
            gathers(m, (ncclDataType_t)type, counts[c]);
        }
    }
    all_reduce(m, ncclInt32, ncclSum, 20000);
}

/* All pairs at once, each with a count of its own, some nothing at all, to itself as well. */
void body_exchange(struct member *m)
{
    uint64_t n = (uint64_t)m->nranks, room = 7000;
    for (int turn = 0; turn < 4 && !m->error[0]; turn++) {
        uint8_t *mine = values(ncclInt32, m->rank, 0, n * room);
        drv_address from = team_upload(m, mine, n * room * 4),
                    to = team_upload(m, NULL, n * room * 4);
        TEAM_OK(m, m->f->ncclGroupStart());
        for (int p = 0; p < m->nranks; p++) {
            uint64_t out =
                (uint64_t)(m->rank * 31 + p * 17 + turn) * 211 % room / (p % 3 ? 1 : 900);
            uint64_t in =
                (uint64_t)(p * 31 + m->rank * 17 + turn) * 211 % room / (m->rank % 3 ? 1 : 900);
            drv_address at = room * 4 * (uint64_t)p;
            TEAM_OK(m,
                    m->f->ncclSend(team_device(from + at), out, ncclInt32, p, m->comm, m->stream));
            TEAM_OK(m, m->f->ncclRecv(team_device(to + at), in, ncclInt32, p, m->comm, m->stream));
        }
        TEAM_OK(m, m->f->ncclGroupEnd());
        for (int p = 0; p < m->nranks; p++) {
            uint64_t in =
                (uint64_t)(p * 31 + m->rank * 17 + turn) * 211 % room / (m->rank % 3 ? 1 : 900);
            uint8_t *want = values(ncclInt32, p, room * (uint64_t)m->rank, in);
            team_expect(m, to + room * 4 * (uint64_t)p, want, in * 4, "Send and Recv");
            free(want);
        }
        TEAM_OK(m, m->f->cuMemFree_v2(from));
        TEAM_OK(m, m->f->cuMemFree_v2(to));
        free(mine);
    }
}

static uint32_t draw(uint32_t seed, uint32_t step, uint32_t who)
{
    uint32_t x = seed * 2654435761U + step * 40503U + who * 9176U + 1;
    for (int i = 0; i < 3; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
    }
    return x;
}

static void doze(void *arg)
{
    const struct timespec pause = {0, 300000};
    (void)arg;
    (void)nanosleep(&pause, NULL);
}

#define STORM_STEPS 40

struct step {
    drv_address from, to;
    uint8_t *want;
    uint64_t bytes;
};

/* One of four operations, the same at all ranks. */
static ncclResult_t storm_call(struct member *m, struct step *s, uint32_t drawn, ncclComm_t comm,
                               struct CUstream_st *stream)
{
    uint64_t n = (uint64_t)m->nranks, count = drawn % 3000 + 1;
    int shift = (int)(drawn / 3000 % n), kind = (int)(drawn / 3000 % 4);
    int next = (m->rank + shift) % m->nranks, last = (m->rank + m->nranks - shift) % m->nranks;
    uint8_t *mine = values(ncclInt32, m->rank, 0, n * count);
    s->from = team_upload(m, mine, n * count * 4);
    s->to = team_upload(m, NULL, count * 4);
    s->bytes = count * 4;
    free(mine);
    void *from = team_device(s->from), *to = team_device(s->to);
    if (kind == 0) {
        s->want = combined(m, ncclInt32, ncclMax, 0, count);
        return m->f->ncclAllReduce(from, to, count, ncclInt32, ncclMax, comm, stream);
    }
    if (kind == 1) {
        s->want = combined(m, ncclInt32, ncclSum, (uint64_t)m->rank * count, count);
        return m->f->ncclReduceScatter(from, to, count, ncclInt32, ncclSum, comm, stream);
    }
    if (kind == 2) {
        s->want = values(ncclInt32, shift, 0, count);
        return m->f->ncclBroadcast(from, to, count, ncclInt32, shift, comm, stream);
    }
    s->want = values(ncclInt32, last, 0, count);
    ncclResult_t result = m->f->ncclGroupStart();
    result = result ? result : m->f->ncclSend(from, count, ncclInt32, next, comm, stream);
    result = result ? result : m->f->ncclRecv(to, count, ncclInt32, last, comm, stream);
    return result ? result : m->f->ncclGroupEnd();
}

/* Drawn operations on two communicators and two streams, with pauses that differ by rank. */
void body_storm(struct member *m)
{
    static const uint32_t seed = 7;
    struct step steps[STORM_STEPS] = {{0}};
    struct CUstream_st *streams[2] = {m->stream, NULL};
    ncclComm_t comms[2] = {m->comm, NULL};
    TEAM_OK(m, m->f->cuStreamCreate(&streams[1], 1));
    TEAM_OK(m, m->f->ncclCommSplit(m->comm, 0, m->rank, &comms[1], NULL));
    for (uint32_t k = 0; k < STORM_STEPS; k++) {
        uint32_t drawn = draw(seed, k, 0);
        struct CUstream_st *stream = streams[drawn >> 30 & 1];
        if (draw(seed, k, (uint32_t)m->rank + 1) % 3 == 0)
            TEAM_OK(m, m->f->cuLaunchHostFunc(stream, doze, NULL));
        TEAM_OK(m, storm_call(m, &steps[k], drawn, comms[drawn >> 31], stream));
    }
    TEAM_OK(m, m->f->cuStreamSynchronize(streams[1]));
    for (int k = 0; k < STORM_STEPS; k++) {
        team_expect(m, steps[k].to, steps[k].want, steps[k].bytes, "a drawn operation");
        TEAM_OK(m, m->f->cuMemFree_v2(steps[k].from));
        TEAM_OK(m, m->f->cuMemFree_v2(steps[k].to));
        free(steps[k].want);
    }
    TEAM_OK(m, m->f->ncclCommDestroy(comms[1]));
    TEAM_OK(m, m->f->cuStreamDestroy_v2(streams[1]));
}

static void expect_written(struct member *m, drv_address at, int first, int second)
{
    uint8_t *data, *init;
    TEAM_OK(m, m->f->cuStreamSynchronize(m->stream));
    TEAM_OK(m, m->f->standin_memory(at, 8, m->rank, "test", &data, &init));
    for (int b = 0; b < 8; b++)
        TEAM_GIVES(m, init[b], b < 4 ? first : second);
}

/* What was never written is sent as such: a kernel that reads it there is found out there. Of a sum
 * all parts must be written. Here rank 0 wrote one of two numbers, the others both. */
void body_unwritten(struct member *m)
{
    const int32_t both[2] = {1, 2};
    drv_address from = team_upload(m, NULL, 8), to = team_upload(m, NULL, 8);
    TEAM_OK(m, m->f->cuMemcpyHtoD_v2(from, both, m->rank ? 8 : 4));
    TEAM_OK(m, m->f->ncclBroadcast(team_device(from), team_device(to), 2, ncclInt32, 0, m->comm,
                                   m->stream));
    expect_written(m, to, 1, 0);
    TEAM_OK(m, m->f->ncclBroadcast(team_device(from), team_device(to), 2, ncclInt32, 1, m->comm,
                                   m->stream));
    expect_written(m, to, 1, 1);
    TEAM_OK(m, m->f->ncclAllReduce(team_device(from), team_device(to), 2, ncclInt32, ncclSum,
                                   m->comm, m->stream));
    expect_written(m, to, 1, 0);
    TEAM_OK(m, m->f->cuMemFree_v2(from));
    TEAM_OK(m, m->f->cuMemFree_v2(to));
}
