/* SPDX-License-Identifier: Apache-2.0
 * A collective sends every part at once and takes what the others send, in whatever order it comes.
 * It ends when all parts are in and all own ones are taken: a rank that left earlier would not move
 * its messages on. A failure stands on the channel, and is told to the others, until `resume`. */
#include <sched.h>
#include <string.h>
#include <time.h>

#include "comm_mpi_group.h"

enum { SPINS = 200, NAP_NS = 50000 };

/* What a collective of this rank brings and expects. */
struct meeting {
    int32_t kind;
    size_t bytes;
    const void *send;
    const void *const *sends;
    const size_t *send_bytes, *recv_bytes;
    void *recv;
    void *const *recvs;
};

int64_t sl_mpi_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void sl_mpi_rest(int32_t *spins)
{
    if (++*spins < SPINS) {
        (void)sched_yield();
    } else {
        const struct timespec nap = {.tv_nsec = NAP_NS};
        (void)nanosleep(&nap, NULL);
    }
}

static sluice_status verdict(const struct channel *channel, int32_t *peer)
{
    if (atomic_load(&channel->cancelled)) {
        *peer = -1;
        return SLUICE_CANCELLED;
    }
    *peer = channel->verdict ? channel->lost : -1;
    return channel->verdict;
}

static void judge(struct group *group, struct channel *channel, sluice_status status, int32_t lost)
{
    if (channel->verdict)
        return;
    channel->verdict = status;
    channel->lost = lost;
    if (status == SLUICE_PEER_LOST)
        group->world->broken = true;
}

/* Judges, and tells the others, as far as there is memory for it: who is not told waits longer. */
static void condemn(struct group *group, int32_t number, sluice_status status, int32_t lost)
{
    struct channel *channel = &group->channels[number];
    struct sl_wire *wire = &group->world->wire;
    if (channel->verdict)
        return;
    judge(group, channel, status, lost);
    const struct sl_head head = {.group = group->number,
                                 .channel = number,
                                 .kind = SL_VERDICT,
                                 .lost = lost,
                                 .era = channel->era,
                                 .number = (uint64_t)status};
    for (int32_t r = 0; r < group->size; r++)
        if (r != group->rank)
            (void)sl_wire_send(wire, group->members[r], head, NULL, 0);
    sl_wire_progress(wire);
}

/* ------------------------------------------------------------------------------- what arrives */

static int32_t rank_in(const struct group *group, int32_t world_rank)
{
    for (int32_t r = 0; r < group->size; r++)
        if (group->members[r] == world_rank)
            return r;
    return -1;
}

static size_t expected(const struct meeting *meeting, int32_t from)
{
    return meeting->kind == SL_GATHER ? meeting->bytes : meeting->recv_bytes[from];
}

static void *place(const struct meeting *meeting, int32_t from)
{
    if (meeting->kind == SL_GATHER)
        return (char *)meeting->recv + (size_t)from * meeting->bytes;
    return meeting->recvs[from];
}

static void absorb(struct group *group, int32_t number, const struct meeting *meeting, int32_t from,
                   const struct sl_frame *frame)
{
    struct part *part = &group->channels[number].parts[from];
    const struct sl_head *head = &frame->head;
    if (head->kind != meeting->kind || head->total != expected(meeting, from)) {
        condemn(group, number, SLUICE_MISMATCH, from);
        return;
    }
    if (frame->bytes)
        memcpy((char *)place(meeting, from) + head->offset, frame->data, frame->bytes);
    part->got += frame->bytes;
    part->came = part->got == head->total;
}

/* Should the frame stay in the inbox? One of another era or a later collective may have its turn
 * yet; messages wait for their receive. */
static bool keep(const struct channel *channel, const struct sl_head *head, bool meets)
{
    if (head->era != channel->era)
        return head->era > channel->era;
    if (head->kind == SL_MESSAGE)
        return true;
    if (head->kind == SL_VERDICT)
        return false;
    return head->number > channel->number || (head->number == channel->number && !meets);
}

/* Goes through what has come in on a channel; `meeting` NULL: only verdicts are heard. */
static void sift(struct group *group, int32_t number, const struct meeting *meeting)
{
    struct channel *channel = &group->channels[number];
    for (struct sl_frame **at = &group->world->wire.inbox; *at;) {
        const struct sl_head *head = &(*at)->head;
        if (head->group != group->number || head->channel != number ||
            keep(channel, head, meeting != NULL)) {
            at = &(*at)->next;
            continue;
        }
        int32_t from = rank_in(group, (*at)->peer);
        if (head->era == channel->era && head->kind == SL_VERDICT)
            judge(group, channel, (sluice_status)head->number, head->lost);
        else if (meeting && head->era == channel->era && head->number == channel->number &&
                 from >= 0)
            absorb(group, number, meeting, from, *at);
        sl_wire_drop(at);
    }
}

void sl_mpi_hear(struct group *group, int32_t number)
{
    sift(group, number, NULL);
}

/* -------------------------------------------------------------------------------- collectives */

/* The lowest rank whose part is not in, or that has not taken what was sent to it; -1: none. */
static int32_t missing(const struct group *group, const struct channel *channel)
{
    const struct sl_wire *wire = &group->world->wire;
    for (int32_t r = 0; r < group->size; r++)
        if (!channel->parts[r].came)
            return r;
    for (int32_t r = 0; r < group->size; r++)
        if (r != group->rank && sl_wire_pending(wire, channel->parts[r].ticket))
            return r;
    return -1;
}

static int32_t refused(const struct group *group, const struct channel *channel)
{
    const struct sl_wire *wire = &group->world->wire;
    for (int32_t r = 0; r < group->size; r++)
        if (wire->lost[group->members[r]] &&
            (!channel->parts[r].came || sl_wire_pending(wire, channel->parts[r].ticket)))
            return r;
    return -1;
}

static void send_parts(struct group *group, int32_t number, const struct meeting *meeting)
{
    struct channel *channel = &group->channels[number];
    const struct sl_head head = {.group = group->number,
                                 .channel = number,
                                 .kind = meeting->kind,
                                 .era = channel->era,
                                 .number = ++channel->number};
    for (int32_t i = 0; i < group->size; i++) {
        int32_t r = (group->rank + i) % group->size;
        struct part *part = &channel->parts[r];
        bool gathers = meeting->kind == SL_GATHER;
        const void *data = gathers ? meeting->send : meeting->sends[r];
        size_t bytes = gathers ? meeting->bytes : meeting->send_bytes[r];
        *part = (struct part){.came = r == group->rank};
        if (r != group->rank) {
            part->ticket = sl_wire_send(&group->world->wire, group->members[r], head, data, bytes);
            if (!part->ticket)
                condemn(group, number, SLUICE_PEER_LOST, group->rank);
        } else if (bytes != expected(meeting, r)) {
            condemn(group, number, SLUICE_MISMATCH, r);
        } else if (bytes) {
            memcpy(place(meeting, r), data, bytes);
        }
    }
}

static sluice_status hold(struct group *group, int32_t number, const struct meeting *meeting,
                          int64_t timeout_ns, int32_t *peer)
{
    if (number < 0 || number >= SL_MPI_CHANNELS)
        return SLUICE_INVALID;
    struct channel *channel = &group->channels[number];
    struct sluice_comm_mpi *world = group->world;
    int64_t begin = sl_mpi_now();
    int64_t deadline = timeout_ns > INT64_MAX - begin ? INT64_MAX : begin + timeout_ns;
    int32_t spins = 0;
    pthread_mutex_lock(&world->lock);
    sl_wire_progress(&world->wire);
    sift(group, number, NULL);
    sluice_status status = verdict(channel, peer);
    if (!status)
        send_parts(group, number, meeting);
    while (!status) {
        bool last = sl_mpi_now() >= deadline;
        sl_wire_progress(&world->wire);
        sift(group, number, meeting);
        int32_t waits_for = missing(group, channel), gone = refused(group, channel);
        if (waits_for >= 0 && (last || gone >= 0))
            condemn(group, number, SLUICE_PEER_LOST, gone >= 0 ? gone : waits_for);
        status = verdict(channel, peer);
        if (status || waits_for < 0)
            break;
        pthread_mutex_unlock(&world->lock);
        sl_mpi_rest(&spins);
        pthread_mutex_lock(&world->lock);
    }
    pthread_mutex_unlock(&world->lock);
    return status;
}

sluice_status sl_mpi_all_gather(void *user, int32_t channel, const void *send, void *recv,
                                size_t bytes, int64_t timeout_ns, int32_t *peer)
{
    const struct meeting meeting = {.kind = SL_GATHER, .bytes = bytes, .send = send, .recv = recv};
    return hold(user, channel, &meeting, timeout_ns, peer);
}

sluice_status sl_mpi_all_to_all(void *user, int32_t channel, const void *const *send,
                                const size_t *send_bytes, void *const *recv,
                                const size_t *recv_bytes, int64_t timeout_ns, int32_t *peer)
{
    const struct meeting meeting = {.kind = SL_EXCHANGE,
                                    .sends = send,
                                    .send_bytes = send_bytes,
                                    .recv_bytes = recv_bytes,
                                    .recvs = recv};
    return hold(user, channel, &meeting, timeout_ns, peer);
}
