/* SPDX-License-Identifier: Apache-2.0
 * A collective is a meeting: every rank posts what it brings, all copy straight from each other's
 * buffers, and nobody leaves before all have copied. A meeting that fails stays failed, with one
 * verdict for all, until each rank resumes. */
#include "comm_threads.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_RANKS = 1024, CHANNELS = 64, SPINS = 2000 };
enum { GATHER = 1, EXCHANGE = 2 };

/* How a meeting ended for all: status OK while none has failed. */
struct verdict {
    sluice_status status;
    int32_t lost;
};

/* What a rank has posted on a channel. */
struct seat {
    uint64_t era;   /* raised by resume */
    uint64_t posts; /* meetings of this era it has come to */
    uint64_t done;  /* meetings it has finished copying in */
    bool cancelled; /* its waits end until it resumes */
    struct verdict verdict;
    int32_t kind;
    size_t bytes;
    const void *send;
    const void *const *sends;
    const size_t *send_bytes, *recv_bytes;
};

struct channel {
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct seat *seats;  /* [ranks] */
    int32_t copying;     /* ranks that read others' buffers now */
    uint64_t met_era;    /* the last meeting that a rank has left, and so all have copied in: */
    uint64_t met;        /* its era and number */
    uint64_t failed_era; /* the last era that failed, for ranks that come to it later; 0: none */
    struct verdict verdict;
    struct message *messages; /* sends and receives that have not met */
};

struct message {
    struct message *next;
    int32_t channel;
    uint64_t era; /* of its owner: only messages of one era meet */
    int32_t from, to, receives;
    size_t bytes;
    const void *out;
    void *in;
    int32_t done;
    sluice_status status;
    int32_t owner;
};

struct member {
    struct sluice_comm_threads *group;
    int32_t rank;
};

struct sluice_comm_threads {
    int32_t ranks;
    int32_t *node;
    struct channel channels[CHANNELS];
    struct member members[];
};

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Waits for a change until `deadline`; false when it has passed. */
static bool wait_change(struct channel *channel, int64_t deadline)
{
    struct timespec until = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
    return pthread_cond_timedwait(&channel->change, &channel->lock, &until) == 0 ||
           now_ns() < deadline;
}

static sluice_status verdict(const struct seat *own, int32_t *peer)
{
    if (own->cancelled) {
        *peer = -1;
        return SLUICE_CANCELLED;
    }
    if (own->verdict.status)
        *peer = own->verdict.lost;
    return own->verdict.status;
}

/* Ranks of two eras may wait on one channel, and each era has a verdict of its own. */
static sluice_status condemn(const struct sluice_comm_threads *group, struct channel *channel,
                             const struct seat *own, sluice_status status, int32_t lost,
                             int32_t *peer)
{
    struct verdict verdict = {status, lost};
    for (int32_t r = 0; r < group->ranks; r++)
        if (channel->seats[r].era == own->era)
            channel->seats[r].verdict = verdict;
    if (channel->failed_era < own->era) {
        channel->failed_era = own->era;
        channel->verdict = verdict;
    }
    *peer = lost;
    (void)pthread_cond_broadcast(&channel->change);
    return status;
}

/* Has every rank posted this meeting, or finished it? -1, or the lowest that has not. A cancelled
 * rank leaves, and its buffers with it. */
static int32_t missing(const struct sluice_comm_threads *group, const struct channel *channel,
                       const struct seat *own, bool done)
{
    for (int32_t r = 0; r < group->ranks; r++) {
        const struct seat *seat = &channel->seats[r];
        if (seat->era != own->era || (done ? seat->done : seat->posts) < own->posts ||
            (!done && seat->cancelled))
            return r;
    }
    return -1;
}

static sluice_status meet(const struct sluice_comm_threads *group, struct channel *channel,
                          const struct seat *own, bool done, int64_t deadline, int32_t *peer)
{
    for (bool late = false;; late = !wait_change(channel, deadline)) {
        /* Who has left may be in the next era already. */
        if (done && channel->met_era == own->era && channel->met >= own->posts)
            return SLUICE_OK;
        sluice_status status = verdict(own, peer);
        int32_t lost = missing(group, channel, own, done);
        if (!status && lost < 0 && done) {
            channel->met_era = own->era;
            channel->met = own->posts;
        }
        if (status || lost < 0)
            return status;
        /* Only now: another may have given up at the same time, and then its verdict holds. */
        if (late)
            return condemn(group, channel, own, SLUICE_PEER_LOST, lost, peer);
    }
}

/* Does every rank bring what every other expects? All posts are in and the lock is held, so all
 * ranks come to the same answer, and none copies from a rank that has left: the lowest rank that
 * differs, or -1. */
static int32_t mismatched(const struct sluice_comm_threads *group, const struct channel *channel)
{
    const struct seat *seats = channel->seats;
    for (int32_t a = 1; a < group->ranks; a++)
        if (seats[a].kind != seats[0].kind || seats[a].bytes != seats[0].bytes)
            return a;
    for (int32_t a = 0; seats[0].kind == EXCHANGE && a < group->ranks; a++)
        for (int32_t b = 0; b < group->ranks; b++)
            if (seats[a].send_bytes[b] != seats[b].recv_bytes[a])
                return a;
    return -1;
}

struct meeting {
    struct seat seat; /* kind and what is sent */
    void *recv;       /* GATHER */
    void *const *recvs;
};

static void copy_in(const struct sluice_comm_threads *group, const struct channel *channel,
                    int32_t rank, const struct meeting *meeting)
{
    for (int32_t i = 0; i < group->ranks; i++) {
        int32_t r = (rank + i) % group->ranks;
        const struct seat *seat = &channel->seats[r];
        bool gather = meeting->seat.kind == GATHER;
        if (gather && seat->bytes)
            memcpy((char *)meeting->recv + (size_t)r * seat->bytes, seat->send, seat->bytes);
        else if (!gather && seat->send_bytes[rank])
            memcpy(meeting->recvs[r], seat->sends[rank], seat->send_bytes[rank]);
    }
}

static sluice_status hold(struct member *member, int32_t number, const struct meeting *meeting,
                          int64_t timeout_ns, int32_t *peer)
{
    struct sluice_comm_threads *group = member->group;
    if (number < 0 || number >= CHANNELS)
        return SLUICE_INVALID;
    struct channel *channel = &group->channels[number];
    struct seat *own = &channel->seats[member->rank];
    int64_t now = now_ns();
    int64_t deadline = timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
    pthread_mutex_lock(&channel->lock);
    sluice_status status = verdict(own, peer);
    if (!status) {
        struct seat seat = meeting->seat;
        seat.era = own->era;
        seat.posts = own->posts + 1;
        seat.done = own->done;
        *own = seat;
        (void)pthread_cond_broadcast(&channel->change);
        status = meet(group, channel, own, false, deadline, peer);
    }
    if (!status) {
        int32_t other = mismatched(group, channel);
        if (other >= 0)
            status = condemn(group, channel, own, SLUICE_MISMATCH, other, peer);
    }
    if (!status) {
        channel->copying++;
        pthread_mutex_unlock(&channel->lock);
        copy_in(group, channel, member->rank, meeting);
        pthread_mutex_lock(&channel->lock);
        channel->copying--;
        own->done = own->posts;
        (void)pthread_cond_broadcast(&channel->change);
        status = meet(group, channel, own, true, deadline, peer);
    }
    /* Who fails must not leave while another still copies from it: a copy ends by itself. */
    while (status && channel->copying)
        pthread_cond_wait(&channel->change, &channel->lock);
    pthread_mutex_unlock(&channel->lock);
    return status;
}

static sluice_status all_gather(void *user, int32_t channel, const void *send, void *recv,
                                size_t bytes, int64_t timeout_ns, int32_t *peer)
{
    const struct meeting meeting = {.seat = {.kind = GATHER, .bytes = bytes, .send = send},
                                    .recv = recv};
    return hold(user, channel, &meeting, timeout_ns, peer);
}

static sluice_status all_to_all(void *user, int32_t channel, const void *const *send,
                                const size_t *send_bytes, void *const *recv,
                                const size_t *recv_bytes, int64_t timeout_ns, int32_t *peer)
{
    const struct meeting meeting = {.seat = {.kind = EXCHANGE,
                                             .sends = send,
                                             .send_bytes = send_bytes,
                                             .recv_bytes = recv_bytes},
                                    .recvs = recv};
    return hold(user, channel, &meeting, timeout_ns, peer);
}

/* --------------------------------------------------------------------------- point to point */

static void finish(struct message *out, struct message *in)
{
    sluice_status status = out->bytes == in->bytes ? SLUICE_OK : SLUICE_MISMATCH;
    if (status == SLUICE_OK && out->bytes)
        memcpy(in->in, out->out, out->bytes);
    out->status = in->status = status;
    out->done = in->done = 1;
}

/* Adds a message and lets it meet the oldest counterpart that waits. */
static sluice_status post(struct member *member, int32_t number, struct message want,
                          uint64_t *request)
{
    struct sluice_comm_threads *group = member->group;
    if (number < 0 || number >= CHANNELS || want.from < 0 || want.from >= group->ranks ||
        want.to < 0 || want.to >= group->ranks)
        return SLUICE_INVALID;
    struct message *message = malloc(sizeof *message);
    if (!message)
        return SLUICE_NO_MEMORY;
    struct channel *channel = &group->channels[number];
    *message = want;
    message->owner = member->rank;
    message->channel = number;
    pthread_mutex_lock(&channel->lock);
    message->era = channel->seats[member->rank].era;
    struct message **tail = &channel->messages, *other = NULL;
    for (; *tail; tail = &(*tail)->next) {
        struct message *m = *tail;
        if (!other && !m->done && m->from == want.from && m->to == want.to &&
            m->receives != want.receives && m->era == message->era)
            other = m;
    }
    *tail = message;
    if (channel->seats[member->rank].cancelled) {
        message->done = 1;
        message->status = SLUICE_CANCELLED;
    } else if (other && want.receives) {
        finish(other, message);
    } else if (other) {
        finish(message, other);
    }
    pthread_mutex_unlock(&channel->lock);
    *request = (uint64_t)(uintptr_t)message;
    return SLUICE_OK;
}

static sluice_status isend(void *user, int32_t channel, int32_t to, const void *data, size_t bytes,
                           uint64_t *request)
{
    struct member *member = user;
    struct message message = {.from = member->rank, .to = to, .bytes = bytes, .out = data};
    return post(member, channel, message, request);
}

static sluice_status irecv(void *user, int32_t channel, int32_t from, void *data, size_t bytes,
                           uint64_t *request)
{
    struct member *member = user;
    struct message message = {
        .from = from, .to = member->rank, .receives = 1, .bytes = bytes, .in = data};
    return post(member, channel, message, request);
}

static sluice_status poll_message(void *user, uint64_t request, int32_t *done)
{
    struct member *member = user;
    struct message *message = (struct message *)(uintptr_t)request;
    struct channel *channel = &member->group->channels[message->channel];
    sluice_status status = SLUICE_OK;
    pthread_mutex_lock(&channel->lock);
    *done = message->done;
    if (message->done) {
        struct message **at = &channel->messages;
        while (*at != message)
            at = &(*at)->next;
        *at = message->next;
        status = message->status;
        free(message);
    }
    pthread_mutex_unlock(&channel->lock);
    return status;
}

static void end_messages(struct channel *channel, int32_t rank)
{
    for (struct message *m = channel->messages; m; m = m->next)
        if (!m->done && m->owner == rank) {
            m->done = 1;
            m->status = SLUICE_CANCELLED;
        }
}

static void cancel_one(struct channel *channel, int32_t rank)
{
    pthread_mutex_lock(&channel->lock);
    channel->seats[rank].cancelled = true;
    end_messages(channel, rank);
    (void)pthread_cond_broadcast(&channel->change);
    pthread_mutex_unlock(&channel->lock);
}

static void resume_one(struct channel *channel, int32_t rank)
{
    pthread_mutex_lock(&channel->lock);
    struct seat *own = &channel->seats[rank];
    end_messages(channel, rank);
    *own = (struct seat){.era = own->era + 1};
    if (channel->failed_era == own->era)
        own->verdict = channel->verdict;
    (void)pthread_cond_broadcast(&channel->change);
    pthread_mutex_unlock(&channel->lock);
}

static void each(struct member *member, int32_t number,
                 void (*act)(struct channel *channel, int32_t rank))
{
    for (int32_t c = 0; c < CHANNELS; c++)
        if (number == -1 || number == c)
            act(&member->group->channels[c], member->rank);
}

static void cancel(void *user, int32_t channel)
{
    each(user, channel, cancel_one);
}

static void resume(void *user, int32_t channel)
{
    each(user, channel, resume_one);
}

/* ------------------------------------------------------------------------------------ a group */

sluice_comm_threads *sluice_comm_threads_create(int ranks, const int32_t *node)
{
    if (ranks < 1 || ranks > MOST_RANKS)
        return NULL;
    size_t count = (size_t)ranks;
    struct sluice_comm_threads *group = calloc(1, sizeof *group + count * sizeof(struct member));
    struct seat *seats = calloc(count * CHANNELS, sizeof *seats);
    int32_t *nodes = calloc(count, sizeof *nodes);
    if (!group || !seats || !nodes) {
        free(group);
        free(seats);
        free(nodes);
        return NULL;
    }
    group->ranks = ranks;
    group->node = nodes;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    for (int32_t c = 0; c < CHANNELS; c++) {
        struct channel *channel = &group->channels[c];
        pthread_mutex_init(&channel->lock, NULL);
        pthread_cond_init(&channel->change, &clock);
        channel->seats = seats + (size_t)c * count;
    }
    pthread_condattr_destroy(&clock);
    for (int32_t r = 0; r < ranks; r++) {
        group->node[r] = node ? node[r] : 0;
        group->members[r] = (struct member){group, r};
        for (int32_t c = 0; c < CHANNELS; c++)
            group->channels[c].seats[r].era = 1;
    }
    return group;
}

void sluice_comm_threads_get(sluice_comm_threads *group, int rank, sluice_comm *comm)
{
    *comm = (sluice_comm){.struct_size = sizeof *comm,
                          .rank = rank,
                          .size = group->ranks,
                          .node = group->node,
                          .user = &group->members[rank],
                          .all_gather = all_gather,
                          .all_to_all = all_to_all,
                          .isend = isend,
                          .irecv = irecv,
                          .poll = poll_message,
                          .cancel = cancel,
                          .resume = resume};
}

void sluice_comm_threads_destroy(sluice_comm_threads *group)
{
    if (!group)
        return;
    for (int32_t c = 0; c < CHANNELS; c++) {
        struct channel *channel = &group->channels[c];
        while (channel->messages) {
            struct message *next = channel->messages->next;
            free(channel->messages);
            channel->messages = next;
        }
        pthread_cond_destroy(&channel->change);
        pthread_mutex_destroy(&channel->lock);
    }
    free(group->channels[0].seats);
    free(group->node);
    free(group);
}
