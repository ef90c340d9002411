/* SPDX-License-Identifier: Apache-2.0
 * Point to point: a message waits in the inbox for its receive. */
#include <stdlib.h>
#include <string.h>

#include "comm_mpi_group.h"

static bool stale(const struct request *request)
{
    const struct channel *channel = &request->group->channels[request->channel];
    return request->era != channel->era || atomic_load(&channel->cancelled);
}

/* Gives a receive what has come for it, up to the end of its message. */
static void fill(struct request *request)
{
    const struct group *group = request->group;
    struct sl_frame **at = &group->world->wire.inbox;
    while (*at && !request->came) {
        const struct sl_frame *frame = *at;
        const struct sl_head *head = &frame->head;
        if (head->group != group->number || head->channel != request->channel ||
            head->kind != SL_MESSAGE || head->era != request->era ||
            frame->peer != group->members[request->peer]) {
            at = &(*at)->next;
            continue;
        }
        request->wrong = head->total != request->bytes;
        if (!request->wrong && frame->bytes)
            memcpy((char *)request->data + head->offset, frame->data, frame->bytes);
        request->got += frame->bytes;
        request->came = request->got == head->total;
        sl_wire_drop(at);
    }
}

/* Earlier receives come first, so that messages meet them in order. */
static void deliver(struct sluice_comm_mpi *world)
{
    sl_wire_progress(&world->wire);
    for (struct request *r = world->requests; r; r = r->next)
        if (r->receives && !r->came && !stale(r))
            fill(r);
}

static sluice_status post(struct group *group, int32_t number, int32_t peer, struct request want,
                          const void *data, uint64_t *handle)
{
    if (number < 0 || number >= SL_MPI_CHANNELS || peer < 0 || peer >= group->size)
        return SLUICE_INVALID;
    struct sluice_comm_mpi *world = group->world;
    struct request *request = malloc(sizeof *request);
    if (!request)
        return SLUICE_NO_MEMORY;
    pthread_mutex_lock(&world->lock);
    *request = want;
    request->group = group;
    request->channel = number;
    request->peer = peer;
    request->era = group->channels[number].era;
    if (!want.receives && !stale(request)) {
        const struct sl_head head = {
            .group = group->number, .channel = number, .kind = SL_MESSAGE, .era = request->era};
        request->ticket =
            sl_wire_send(&world->wire, group->members[peer], head, data, request->bytes);
        if (!request->ticket) {
            pthread_mutex_unlock(&world->lock);
            free(request);
            return SLUICE_NO_MEMORY;
        }
    }
    struct request **tail = &world->requests;
    while (*tail)
        tail = &(*tail)->next;
    *tail = request;
    pthread_mutex_unlock(&world->lock);
    *handle = (uint64_t)(uintptr_t)request;
    return SLUICE_OK;
}

sluice_status sl_mpi_isend(void *user, int32_t channel, int32_t to, const void *data, size_t bytes,
                           uint64_t *request)
{
    const struct request want = {.bytes = bytes};
    return post(user, channel, to, want, data, request);
}

sluice_status sl_mpi_irecv(void *user, int32_t channel, int32_t from, void *data, size_t bytes,
                           uint64_t *request)
{
    const struct request want = {.receives = true, .data = data, .bytes = bytes};
    return post(user, channel, from, want, NULL, request);
}

sluice_status sl_mpi_poll(void *user, uint64_t request, int32_t *done)
{
    const struct group *group = user;
    struct sluice_comm_mpi *world = group->world;
    struct request *it = (struct request *)(uintptr_t)request;
    sluice_status status = SLUICE_OK;
    pthread_mutex_lock(&world->lock);
    deliver(world);
    bool ended = it->receives ? it->came : !sl_wire_pending(&world->wire, it->ticket);
    if (ended)
        status = it->wrong ? SLUICE_MISMATCH : SLUICE_OK;
    else if (stale(it))
        status = SLUICE_CANCELLED;
    else if (world->wire.lost[it->group->members[it->peer]])
        status = SLUICE_PEER_LOST;
    *done = ended || status;
    if (*done) {
        struct request **at = &world->requests;
        while (*at && *at != it)
            at = &(*at)->next;
        if (*at)
            *at = it->next;
        free(it);
    }
    pthread_mutex_unlock(&world->lock);
    return status;
}
