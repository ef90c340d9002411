/* SPDX-License-Identifier: Apache-2.0 */
/* A launch at work, in the worker of its stream: it moves what can be moved, and sleeps until a
 * peer has moved something or the communicator is aborted. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nccl_comm.h"
#include "nccl_driver.h"

#define FIRST_WAIT_MS 20
#define WAIT_MS 100

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct lane_side *own_side(const struct transfer *t)
{
    return t->send ? &t->lane->send : &t->lane->recv;
}

static bool same(const struct lane_side *a, const struct lane_side *b)
{
    return a->kind == b->kind && a->type == b->type && a->op == b->op && a->root == b->root &&
           a->count == b->count;
}

static void start(struct run *run, struct transfer *t)
{
    struct world *world = run->comm->world;
    const struct op *op = &run->launch->ops[t->op];
    int32_t rank = run->comm->rank, from = t->send ? rank : t->peer, to = t->send ? t->peer : rank;
    bool p2p = op->kind == OP_SEND || op->kind == OP_RECV;
    struct lane *lane = t->lane;
    *own_side(t) = (struct lane_side){
        .active = 1,
        .kind = p2p ? OP_SEND : (int32_t)op->kind,
        .type = (int32_t)op->type,
        .op = (int32_t)op->op,
        .root = p2p ? -1 : op->root,
        .count = op->count,
    };
    t->number = lane->completed;
    t->started = true;
    if (lane->send.active && lane->recv.active && !same(&lane->send, &lane->recv)) {
        lane->broken = 1;
        report_mismatch(world, from, to, lane);
    }
    world_wake(world, t->peer);
}

/* Takes a piece between the memory and the lane's buffer. The other side leaves the buffer alone
 * meanwhile, so the lock is not needed. */
static void copy(struct run *run, const struct transfer *t, uint32_t bytes)
{
    struct world *world = run->comm->world;
    uint8_t *data = world_buffer(world, t->lane), *init = data + world->chunk;
    world_unlock(world);
    if (t->send) {
        memcpy(data, t->data + t->done, bytes);
        if (t->init)
            memcpy(init, t->init + t->done, bytes);
        else
            memset(init, 1, bytes);
    } else {
        memcpy(t->data + t->done, data, bytes);
        if (t->init)
            memcpy(t->init + t->done, init, bytes);
    }
    world_lock(world);
}

static bool move(struct run *run, struct transfer *t)
{
    struct lane *lane = t->lane;
    uint64_t left = t->bytes - t->done;
    uint32_t chunk = run->comm->world->chunk;
    uint32_t bytes = t->send ? (uint32_t)(left < chunk ? left : chunk) : lane->filled;
    if (!lane->send.active || !lane->recv.active || lane->broken || !left ||
        (t->send ? lane->filled != 0 : lane->filled == 0))
        return false;
    copy(run, t, bytes);
    lane->filled = t->send ? bytes : 0;
    t->done += bytes;
    world_wake(run->comm->world, t->peer);
    return true;
}

/* The receiver ends a transfer; the sender sees that its number is past. */
static bool end(struct run *run, struct transfer *t)
{
    struct lane *lane = t->lane;
    if (t->send) {
        t->ended = lane->completed != t->number;
        return t->ended;
    }
    if (!lane->send.active || lane->broken || t->done != t->bytes)
        return false;
    t->ended = true;
    lane->send.active = lane->recv.active = 0;
    lane->send_left--;
    lane->recv_left--;
    lane->completed++;
    world_wake(run->comm->world, t->peer);
    return true;
}

static bool step(struct run *run, struct transfer *t)
{
    bool moved = false;
    if (t->before && !t->before->ended)
        return false;
    if (!t->started) {
        start(run, t);
        moved = true;
    }
    while (move(run, t))
        moved = true;
    return end(run, t) || moved;
}

static void count_lanes(struct run *run)
{
    for (int32_t i = 0; i < run->count; i++) {
        struct transfer *t = &run->transfers[i];
        *(t->send ? &t->lane->send_left : &t->lane->recv_left) += 1;
    }
}

/* One round over all transfers: how many go on, and did anything move? */
static int32_t round_of(struct run *run, bool *moved)
{
    int32_t left = 0;
    *moved = false;
    for (int32_t i = 0; i < run->count; i++) {
        struct transfer *t = &run->transfers[i];
        if (!t->ended)
            *moved |= step(run, t);
        left += !t->ended;
    }
    return left;
}

/* Until all is moved, or the communicator is aborted: false. With the world locked. */
static bool exchange(struct run *run)
{
    struct world *world = run->comm->world;
    struct seat *seat = &world->seats[run->comm->rank];
    int64_t begun = now_ms();
    int wait = FIRST_WAIT_MS;
    for (;;) {
        bool moved;
        uint32_t seen = __atomic_load_n(&seat->wake, __ATOMIC_SEQ_CST);
        if (!round_of(run, &moved))
            return true;
        if (comm_aborted(run->comm))
            return false;
        if (moved) {
            wait = FIRST_WAIT_MS;
            continue;
        }
        world_unlock(world);
        bool woken = world_wait(world, run->comm->rank, seen, wait);
        world_lock(world);
        if (woken)
            continue;
        wait = WAIT_MS;
        comm_look_round(run->comm, world);
        report_deadlock(world);
        report_late(world, run->comm->rank, now_ms() - begun);
    }
}

static int work(ncclComm_t comm, const struct launch *launch)
{
    struct run run = {.comm = comm, .launch = launch};
    struct world *world = comm->world;
    struct seat *seat = &world->seats[comm->rank];
    bool whole = fault_before(comm) && run_plan(&run);
    if (whole) {
        world_lock(world);
        seat->running = 1;
        seat->launches++;
        launch_text(launch, seat->doing, sizeof seat->doing);
        count_lanes(&run);
        whole = exchange(&run);
        seat->running = 0;
        world_unlock(world);
    }
    if (whole) {
        fault_received(&run);
        run_reduce(&run);
    }
    run_free(&run);
    return run.error;
}

/* Waits for its turn; false once the communicator is aborted. */
static bool take_turn(ncclComm_t comm, const struct launch *launch)
{
    while (!comm_aborted(comm) && (comm->running || (launch->queued && comm->queue != launch)))
        (void)pthread_cond_wait(&comm->changed, &comm->lock);
    if (comm_aborted(comm))
        return false;
    comm->running = true;
    return true;
}

static void leave_queue(ncclComm_t comm, struct launch *launch)
{
    struct launch **at = &comm->queue;
    while (*at && *at != launch)
        at = &(*at)->next;
    if (*at)
        *at = launch->next;
    launch->queued = false;
    (void)pthread_cond_broadcast(&comm->changed);
    if (comm->stage == COMM_FINALIZING)
        world_wake(comm->world, comm->rank);
}

int launch_run(void *arg)
{
    struct launch *launch = arg;
    ncclComm_t comm = launch->comm;
    int error = 0;
    (void)pthread_mutex_lock(&comm->lock);
    if (comm->closed && !comm_aborted(comm)) {
        driver()->standin_say(
            "NCCL: a graph runs an operation of a communicator that is destroyed");
        error = 719; /* CUDA_ERROR_LAUNCH_FAILED */
    } else if (take_turn(comm, launch)) {
        (void)pthread_mutex_unlock(&comm->lock);
        error = work(comm, launch);
        (void)pthread_mutex_lock(&comm->lock);
        comm->running = false;
    }
    leave_queue(comm, launch);
    (void)pthread_mutex_unlock(&comm->lock);
    return error;
}

void launch_hold(void *arg)
{
    struct launch *launch = arg;
    (void)__atomic_add_fetch(&launch->refs, 1, __ATOMIC_ACQ_REL);
}

/* A stream whose context failed drops launches without running them. */
void launch_drop(void *arg)
{
    struct launch *launch = arg;
    ncclComm_t comm = launch->comm;
    if (__atomic_sub_fetch(&launch->refs, 1, __ATOMIC_ACQ_REL))
        return;
    (void)pthread_mutex_lock(&comm->lock);
    leave_queue(comm, launch);
    (void)pthread_mutex_unlock(&comm->lock);
    free(launch->ops);
    free(launch->streams);
    free(launch);
    comm_drop(comm);
}
