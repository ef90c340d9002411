/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation as sends and receives between pairs of ranks; a reduction collects all parts and
 * computes at the end. */
#include <stdlib.h>
#include <string.h>

#include "nccl_comm.h"
#include "nccl_driver.h"

static void *get(void *old, size_t bytes)
{
    void *got = realloc(old, bytes ? bytes : 1);
    if (!got)
        abort();
    return got;
}

struct place {
    uint8_t *data, *init;
};

static struct place place_at(const struct place *base, uint64_t offset)
{
    struct place at = {base->data ? base->data + offset : NULL,
                       base->init ? base->init + offset : NULL};
    return at;
}

/* Memory of the communicator's device. */
static struct place memory(struct run *run, uint64_t address, uint64_t bytes, const char *what)
{
    struct place place = {0};
    if (bytes && !run->error)
        run->error = driver()->standin_memory(address, bytes, run->comm->device, what, &place.data,
                                              &place.init);
    return place;
}

/* What came from a rank, to be reduced: the bytes, then whether each was written. */
static struct place temp(struct run *run, int32_t op, int32_t rank, uint64_t bytes)
{
    uint8_t *data = get(NULL, 2 * bytes);
    run->temps[op * run->comm->nranks + rank] = data;
    return (struct place){data, data + bytes};
}

static void add(struct run *run, int32_t op, bool send, int32_t peer, struct place at,
                uint64_t bytes)
{
    const struct op *o = &run->launch->ops[op];
    enum lane_class class = o->kind == OP_SEND || o->kind == OP_RECV ? LANE_P2P : LANE_COLLECTIVE;
    int32_t from = send ? run->comm->rank : peer, to = send ? peer : run->comm->rank;
    run->transfers[run->count++] = (struct transfer){
        .send = send,
        .peer = peer,
        .op = op,
        .lane = world_lane(run->comm->world, from, to, class),
        .data = at.data,
        .init = at.init,
        .bytes = bytes,
    };
}

static void plan_gather(struct run *run, int32_t i, const struct op *op, uint64_t bytes)
{
    int32_t n = run->comm->nranks;
    bool all = op->kind == OP_ALL_TO_ALL;
    uint64_t sent = all ? bytes * (uint64_t)n : bytes;
    struct place from = memory(run, op->from, sent, "send buffer");
    struct place to = memory(run, op->to, bytes * (uint64_t)n, "receive buffer");
    for (int32_t r = 0; r < n; r++) {
        add(run, i, true, r, place_at(&from, all ? (uint64_t)r * bytes : 0), bytes);
        add(run, i, false, r, place_at(&to, (uint64_t)r * bytes), bytes);
    }
}

static void plan_broadcast(struct run *run, int32_t i, const struct op *op, uint64_t bytes)
{
    if (op->root == run->comm->rank) {
        struct place from = memory(run, op->from, bytes, "send buffer");
        for (int32_t r = 0; r < run->comm->nranks; r++)
            add(run, i, true, r, from, bytes);
    }
    add(run, i, false, op->root, memory(run, op->to, bytes, "receive buffer"), bytes);
}

static void plan_reduce(struct run *run, int32_t i, const struct op *op, uint64_t bytes)
{
    int32_t n = run->comm->nranks;
    bool scatter = op->kind == OP_REDUCE_SCATTER;
    bool gets = op->kind != OP_REDUCE || op->root == run->comm->rank;
    uint64_t sent = scatter ? bytes * (uint64_t)n : bytes;
    struct place from = memory(run, op->from, sent, "send buffer");
    if (gets)
        (void)memory(run, op->to, bytes, "receive buffer");
    for (int32_t r = 0; r < n; r++) {
        if (op->kind != OP_REDUCE || op->root == r)
            add(run, i, true, r, place_at(&from, scatter ? (uint64_t)r * bytes : 0), bytes);
        if (gets)
            add(run, i, false, r, temp(run, i, r, bytes), bytes);
    }
}

static void plan_op(struct run *run, int32_t i)
{
    const struct op *op = &run->launch->ops[i];
    uint64_t bytes = op->count * type_bytes(op->type);
    switch (op->kind) {
    case OP_SEND:
        add(run, i, true, op->root, memory(run, op->from, bytes, "send buffer"), bytes);
        break;
    case OP_RECV:
        add(run, i, false, op->root, memory(run, op->to, bytes, "receive buffer"), bytes);
        break;
    case OP_ALL_GATHER:
    case OP_ALL_TO_ALL:
        plan_gather(run, i, op, bytes);
        break;
    case OP_BROADCAST:
        plan_broadcast(run, i, op, bytes);
        break;
    default:
        plan_reduce(run, i, op, bytes);
    }
}

static void order(struct run *run)
{
    for (int32_t i = 0; i < run->count; i++) {
        struct transfer *t = &run->transfers[i];
        for (int32_t j = i - 1; j >= 0 && !t->before; j--)
            if (run->transfers[j].lane == t->lane && run->transfers[j].send == t->send)
                t->before = &run->transfers[j];
    }
}

bool run_plan(struct run *run)
{
    int32_t n = run->comm->nranks, nops = run->launch->nops;
    size_t temps = (size_t)nops * (size_t)n;
    size_t most = 2 * temps;
    run->transfers = get(NULL, most * sizeof *run->transfers);
    run->temps = get(NULL, temps * sizeof *run->temps);
    memset(run->temps, 0, temps * sizeof *run->temps);
    for (int32_t i = 0; i < nops; i++)
        plan_op(run, i);
    order(run);
    return !run->error;
}

static void reduce_op(struct run *run, int32_t i)
{
    const struct op *op = &run->launch->ops[i];
    uint8_t *const *parts = run->temps + i * run->comm->nranks;
    uint64_t bytes = op->count * type_bytes(op->type);
    if (!parts[0])
        return;
    struct place to = memory(run, op->to, bytes, "receive buffer");
    if (run->error)
        return;
    reduce(to.data, parts, run->comm->nranks, op->count, op->type, op->op);
    for (uint64_t b = 0; to.init && b < bytes; b++) {
        to.init[b] = 1;
        for (int32_t r = 0; r < run->comm->nranks; r++)
            to.init[b] &= parts[r][bytes + b];
    }
}

void run_reduce(struct run *run)
{
    for (int32_t i = 0; i < run->launch->nops; i++)
        reduce_op(run, i);
}

void run_free(struct run *run)
{
    size_t temps = (size_t)run->launch->nops * (size_t)run->comm->nranks;
    for (size_t i = 0; run->temps && i < temps; i++)
        free(run->temps[i]);
    free(run->temps);
    free(run->transfers);
}
