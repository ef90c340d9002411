/* SPDX-License-Identifier: Apache-2.0 */
/* Collectives and exchanges against plain computations. */
#include <stdlib.h>
#include <string.h>

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
