/* SPDX-License-Identifier: Apache-2.0
 * A frame belongs to the wire until MPI has ended its request, so a rank that never answers costs
 * memory and nothing else. */
#include "comm_mpi_wire.h"

#include <stdlib.h>
#include <string.h>

/* MPI counts bytes in an int; parts also let a long message begin to arrive before all is sent. */
enum { PART = 16 << 20, TAG = 1 };

static void append(struct sl_frame **list, struct sl_frame *frame)
{
    while (*list)
        list = &(*list)->next;
    frame->next = NULL;
    *list = frame;
}

static struct sl_frame *make(int32_t peer, size_t bytes)
{
    struct sl_frame *frame = malloc(sizeof *frame + bytes);
    if (frame) {
        *frame = (struct sl_frame){.request = MPI_REQUEST_NULL, .peer = peer, .bytes = bytes};
    }
    return frame;
}

void sl_wire_drop(struct sl_frame **at)
{
    struct sl_frame *frame = *at;
    *at = frame->next;
    free(frame);
}

uint64_t sl_wire_send(struct sl_wire *wire, int32_t peer, struct sl_head head, const void *data,
                      size_t bytes)
{
    struct sl_frame *parts = NULL;
    uint64_t ticket = wire->tickets + 1;
    size_t at = 0;
    do {
        size_t part = bytes - at < PART ? bytes - at : PART;
        struct sl_frame *frame = make(peer, part);
        if (!frame) {
            while (parts)
                sl_wire_drop(&parts);
            return 0;
        }
        frame->ticket = ticket;
        frame->head = head;
        frame->head.total = bytes;
        frame->head.offset = at;
        if (part)
            memcpy(frame->data, (const char *)data + at, part);
        append(&parts, frame);
        at += part;
    } while (at < bytes);
    wire->tickets = ticket;
    while (parts) {
        struct sl_frame *frame = parts;
        parts = frame->next;
        append(&wire->out, frame);
        if (MPI_Isend(&frame->head, (int)(sizeof frame->head + frame->bytes), MPI_BYTE, peer, TAG,
                      wire->comm, &frame->request) != MPI_SUCCESS)
            wire->lost[peer] = true;
    }
    return ticket;
}

bool sl_wire_pending(const struct sl_wire *wire, uint64_t ticket)
{
    for (const struct sl_frame *frame = wire->out; frame; frame = frame->next)
        if (frame->ticket == ticket)
            return true;
    return false;
}

/* Has MPI done with the frame? One that failed is never done: MPI may still have its memory. */
static bool ended(struct sl_wire *wire, struct sl_frame *frame)
{
    int done = 0;
    if (frame->ended)
        return true;
    if (wire->lost[frame->peer])
        return false;
    if (MPI_Test(&frame->request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) {
        wire->lost[frame->peer] = true;
        return false;
    }
    frame->ended = done != 0;
    return frame->ended;
}

/* Begins to receive the next frame that has arrived. Where there is no memory it stays with MPI and
 * is tried again. */
static bool begin(struct sl_wire *wire)
{
    int there = 0, bytes = 0;
    MPI_Status status;
    if (MPI_Iprobe(MPI_ANY_SOURCE, TAG, wire->comm, &there, &status) != MPI_SUCCESS || !there ||
        MPI_Get_count(&status, MPI_BYTE, &bytes) != MPI_SUCCESS ||
        bytes < (int)sizeof(struct sl_head))
        return false;
    struct sl_frame *frame = make(status.MPI_SOURCE, (size_t)bytes - sizeof(struct sl_head));
    if (!frame)
        return false;
    if (MPI_Irecv(&frame->head, bytes, MPI_BYTE, frame->peer, TAG, wire->comm, &frame->request) !=
        MPI_SUCCESS) {
        wire->lost[frame->peer] = true;
        free(frame);
        return false;
    }
    append(&wire->coming, frame);
    return true;
}

static bool first_of_peer(const struct sl_wire *wire, const struct sl_frame *frame)
{
    const struct sl_frame *other = wire->coming;
    while (other->peer != frame->peer)
        other = other->next;
    return other == frame;
}

void sl_wire_progress(struct sl_wire *wire)
{
    while (begin(wire))
        ;
    for (struct sl_frame **at = &wire->out; *at;) {
        if (ended(wire, *at))
            sl_wire_drop(at);
        else
            at = &(*at)->next;
    }
    for (struct sl_frame **at = &wire->coming; *at;) {
        struct sl_frame *frame = *at;
        if (ended(wire, frame) && first_of_peer(wire, frame)) {
            *at = frame->next;
            append(&wire->inbox, frame);
        } else {
            at = &frame->next;
        }
    }
}

bool sl_wire_clear(struct sl_wire *wire)
{
    bool all = !wire->out;
    while (wire->inbox)
        sl_wire_drop(&wire->inbox);
    while (wire->coming) {
        struct sl_frame *frame = wire->coming;
        wire->coming = frame->next;
        if (frame->ended)
            free(frame);
        else
            all = false;
    }
    wire->out = NULL;
    return all;
}
