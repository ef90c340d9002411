/* SPDX-License-Identifier: Apache-2.0 */
/* New communicators out of the ranks of one. Every rank leaves its colour and key in its seat; once
 * all have, each finds its place. */
#include <stdio.h>

#include "nccl_comm.h"

static bool before(const struct seat *a, const struct seat *b, int32_t number)
{
    const struct split *x = &a->splits[number], *y = &b->splits[number];
    return x->key < y->key || (x->key == y->key && a < b);
}

ncclResult_t comm_find_place(ncclComm_t comm, char *name, size_t room)
{
    struct world *world = comm->parent->world;
    const struct seat *mine = &world->seats[comm->parent->rank];
    int32_t number = comm->split, left = 0;
    world_lock(world);
    comm->rank = comm->nranks = 0;
    for (int32_t r = 0; r < world->nranks; r++) {
        const struct seat *seat = &world->seats[r];
        left += seat->split_count <= number;
        if (seat->splits[number].color != mine->splits[number].color)
            continue;
        comm->nranks++;
        comm->rank += before(seat, mine, number);
    }
    world_unlock(world);
    (void)snprintf(name, room, "%s-%d-%d", world->name, number, mine->splits[number].color);
    return left ? ncclInProgress : ncclSuccess;
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t *out,
                           ncclConfig_t *config)
{
    bool blocking;
    ncclResult_t result = comm_ready(comm);
    if (!result)
        result = config_read(config, comm->blocking, &blocking);
    if (result)
        return result;
    if (!out || color < -1)
        return nccl_error(ncclInvalidArgument, "ncclCommSplit: color is %d, newcomm %s", color,
                          out ? "there" : "NULL");
    struct world *world = comm->world;
    struct seat *seat = &world->seats[comm->rank];
    if (seat->split_count == WORLD_SPLITS_MAX)
        return nccl_error(ncclInternalError, "the stand-in splits a communicator %d times at most",
                          WORLD_SPLITS_MAX);
    *out = NULL;
    ncclComm_t made = color >= 0 ? comm_new(1, 0, blocking) : NULL;
    if (color >= 0 && !made)
        return nccl_error(ncclSystemError, "out of memory");
    world_lock(world);
    int32_t number = seat->split_count;
    seat->splits[number] = (struct split){color, key};
    seat->split_count++;
    world_wake_all(world);
    world_unlock(world);
    if (!made)
        return ncclSuccess;
    comm_hold(comm);
    made->parent = comm;
    made->split = number;
    made->stage = COMM_SPLITTING;
    made->ctx = comm->ctx;
    made->device = comm->device;
    *out = made;
    return comm_begin(out);
}
