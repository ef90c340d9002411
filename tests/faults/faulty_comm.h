/* Ranks as threads, one of which fails in its n-th callback. */
#ifndef FAULTY_COMM_H
#define FAULTY_COMM_H

#include <pthread.h>
#include <stdbool.h>

#include "src/comm/comm_threads.h"

enum { FAULTY_RANKS = 8 };

enum {
    FAULTY_NONE = 0,
    FAULTY_BROKEN, /* the callback is not made: PEER_LOST, naming the next rank */
    FAULTY_LENGTH, /* the callback is made, then MISMATCH, naming the next rank */
    FAULTY_LATE,   /* the callback is made after the others have given up */
    FAULTY_DEAD    /* the callback is not made: PEER_LOST, naming nobody; the test ends the rank */
};

struct faulty_member {
    struct faulty_group *group;
    sluice_comm inner;
    int32_t rank;
    int32_t calls; /* of all_gather and all_to_all */
    bool healed;   /* resumed since */
    int64_t asked; /* the last timeout the plugin gave */
};

/* Waits of the callbacks before the fault and after healing are long, so that a slow machine is no
 * fault; those from the fault on are what the plugin asks for, and begin together. */
struct faulty_group {
    sluice_comm_threads *inner;
    int32_t ranks;
    int32_t kind, rank, at; /* the fault: callback `at` (from 1) of `rank` */
    pthread_mutex_t lock;
    pthread_cond_t change;
    int32_t come, gone; /* calls of the other ranks from callback `at` on */
    struct faulty_member members[FAULTY_RANKS];
};

bool faulty_create(struct faulty_group *group, int32_t ranks);
void faulty_destroy(struct faulty_group *group);

/* Before the first callback. */
void faulty_arm(struct faulty_group *group, int32_t kind, int32_t rank, int32_t at);

void faulty_get(struct faulty_group *group, int32_t rank, sluice_comm *comm);

#endif
