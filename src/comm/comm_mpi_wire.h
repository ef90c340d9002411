/* SPDX-License-Identifier: Apache-2.0
 * Frames over MPI: what comm_mpi says to other ranks, in owned memory, in order for each pair. */
#ifndef SL_COMM_MPI_WIRE_H
#define SL_COMM_MPI_WIRE_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a frame is a part of. */
enum { SL_GATHER = 1, SL_EXCHANGE = 2, SL_MESSAGE = 3, SL_VERDICT = 4 };

struct sl_head {
    int32_t group;
    int32_t channel;
    int32_t kind;
    int32_t lost;    /* of a verdict */
    uint64_t era;    /* the sender's */
    uint64_t number; /* of the collective; a verdict's status */
    uint64_t total;  /* bytes of the whole message */
    uint64_t offset; /* of this part in it */
};

/* One message of MPI: head and data lie together. */
struct sl_frame {
    struct sl_frame *next;
    MPI_Request request;
    uint64_t ticket; /* the message a frame on its way out belongs to */
    int32_t peer;
    bool ended;
    size_t bytes; /* of data */
    struct sl_head head;
    unsigned char data[];
};

struct sl_wire {
    MPI_Comm comm;
    int32_t rank, size;
    uint64_t tickets;
    bool *lost;              /* [size] MPI has reported an error about it */
    struct sl_frame *out;    /* not yet taken */
    struct sl_frame *coming; /* being received, in the order sent */
    struct sl_frame *inbox;  /* received, in the order sent */
};

/* Sends `data` in as many frames as it takes, one for an empty message. Returns the ticket, or 0
 * when there was no memory: then nothing was sent. */
uint64_t sl_wire_send(struct sl_wire *wire, int32_t peer, struct sl_head head, const void *data,
                      size_t bytes);

/* Is some of that message still on its way? */
bool sl_wire_pending(const struct sl_wire *wire, uint64_t ticket);

/* Moves what can be moved; never waits. */
void sl_wire_progress(struct sl_wire *wire);

/* Takes `*at` out of its list and frees it. */
void sl_wire_drop(struct sl_frame **at);

/* Frees all frames but those that MPI still has; true when there was none of those. */
bool sl_wire_clear(struct sl_wire *wire);

#endif
