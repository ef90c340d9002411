/* SPDX-License-Identifier: Apache-2.0 */
/* A world: what the ranks of one communicator share, a piece of shared memory whose name is the
 * unique id. Ranks are threads or processes alike, and bytes pass through it: each rank touches its
 * own device's memory alone. One robust lock guards all but the bytes in lanes. */
#ifndef STANDIN_NCCL_WORLD_H
#define STANDIN_NCCL_WORLD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_RANKS_MAX 64
#define WORLD_TEXT 160

/* What one side of a lane has come to. */
struct lane_side {
    uint32_t active;
    int32_t kind, type, op, root;
    uint64_t count;
};

/* Operations of two classes do not meet: a send never matches a collective. */
enum lane_class { LANE_P2P, LANE_COLLECTIVE, LANE_CLASSES };

/* The way from one rank to another, first in, first out. A transfer ends when the receiver has all
 * of it, so that a send never ends before its receive began. */
struct lane {
    struct lane_side send, recv;
    uint32_t send_left, recv_left; /* transfers that the running launch of either side still has */
    uint32_t broken;               /* the sides do not match */
    uint32_t filled;               /* bytes that lie in the buffer */
    uint64_t completed;            /* transfers */
};

#define WORLD_SPLITS_MAX 64

struct split {
    int32_t color, key;
};

enum seat_state { SEAT_EMPTY, SEAT_TAKEN, SEAT_LEFT, SEAT_ABORTED };

struct seat {
    uint32_t wake; /* futex */
    uint32_t state;
    uint32_t running; /* a launch */
    int32_t pid, device;
    int32_t split_count;
    struct split splits[WORLD_SPLITS_MAX];
    uint64_t launches;
    char doing[WORLD_TEXT]; /* the running launch, in words */
};

struct world_head {
    uint32_t ready;
    int32_t nranks;
    int32_t taken;
    uint32_t reported; /* one report is enough: what follows comes of the same mistake */
    pthread_mutex_t lock;
};

struct world {
    char name[128];
    int refs;
    int32_t nranks;
    uint32_t chunk; /* bytes of data in a lane's buffer; as many follow that say what was written */
    size_t bytes;
    struct world_head *head;
    struct seat *seats;
    struct lane *lanes;
    uint8_t *buffers;
    struct world *next;
};

/* Opens or makes the world of a name; a process maps each once. NULL, or another number of ranks in
 * *nranks than was asked for: *nranks says which. */
struct world *world_open(const char *name, int32_t nranks);
void world_close(struct world *world);
/* Nobody needs its name any more. */
void world_forget_name(const struct world *world);

void world_lock(struct world *world);
void world_unlock(struct world *world);
/* Wakes one rank, or all. */
void world_wake(struct world *world, int32_t rank);
void world_wake_all(struct world *world);
/* Waits until the rank is woken after *wake was `seen`; false after that time. */
bool world_wait(struct world *world, int32_t rank, uint32_t seen, int ms);

struct lane *world_lane(struct world *world, int32_t from, int32_t to, enum lane_class class);
uint8_t *world_buffer(struct world *world, const struct lane *lane);

/* Does the process of a rank still run? */
bool world_alive(const struct world *world, int32_t rank);

#endif
