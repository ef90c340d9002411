/* SPDX-License-Identifier: Apache-2.0
 * Worlds, groups and eras. */
#include "comm_mpi.h"

#include <stdlib.h>
#include <string.h>

#include "comm_mpi_group.h"

enum { MOST_RANKS = 1024 };
static const int64_t DRAIN_NS = 100000000;

static void cancel(void *user, int32_t channel)
{
    struct group *group = user;
    for (int32_t c = 0; c < SL_MPI_CHANNELS; c++)
        if (channel == -1 || channel == c)
            atomic_store(&group->channels[c].cancelled, true);
}

static void resume(void *user, int32_t channel)
{
    struct group *group = user;
    pthread_mutex_lock(&group->world->lock);
    for (int32_t c = 0; c < SL_MPI_CHANNELS; c++)
        if (channel == -1 || channel == c) {
            struct channel *it = &group->channels[c];
            it->era++;
            it->number = 0;
            it->verdict = SLUICE_OK;
            atomic_store(&it->cancelled, false);
            sl_mpi_hear(group, c);
        }
    pthread_mutex_unlock(&group->world->lock);
}

static struct group *make_group(sluice_comm_mpi *world, int32_t number, const uint8_t *alive,
                                int32_t size)
{
    size_t count = (size_t)size;
    struct group *group = calloc(1, sizeof *group + count * SL_MPI_CHANNELS * sizeof(struct part));
    int32_t *numbers = calloc(2 * count, sizeof *numbers);
    if (!group || !numbers) {
        free(group);
        free(numbers);
        return NULL;
    }
    group->world = world;
    group->number = number;
    group->members = numbers;
    group->node = numbers + count;
    for (int32_t r = 0; r < world->wire.size; r++) {
        if (alive && !alive[r])
            continue;
        if (r == world->wire.rank)
            group->rank = group->size;
        group->node[group->size] = world->node[r];
        group->members[group->size++] = r;
    }
    for (int32_t c = 0; c < SL_MPI_CHANNELS; c++) {
        group->channels[c].era = 1;
        group->channels[c].parts = group->parts + (size_t)c * count;
        atomic_init(&group->channels[c].cancelled, false);
    }
    return group;
}

static bool taken(const sluice_comm_mpi *world, int32_t number)
{
    for (const struct group *group = world->groups; group; group = group->next)
        if (group->number == number)
            return true;
    return false;
}

sluice_status sluice_comm_mpi_get(sluice_comm_mpi *world, int32_t group, const uint8_t *alive,
                                  sluice_comm *comm)
{
    int32_t size = 0;
    for (int32_t r = 0; r < world->wire.size; r++)
        size += !alive || alive[r];
    if (group < 0 || size < 1 || (alive && !alive[world->wire.rank]))
        return SLUICE_INVALID;
    struct group *made = make_group(world, group, alive, size);
    if (!made)
        return SLUICE_NO_MEMORY;
    pthread_mutex_lock(&world->lock);
    bool twice = taken(world, group);
    if (!twice) {
        made->next = world->groups;
        world->groups = made;
    }
    pthread_mutex_unlock(&world->lock);
    if (twice) {
        free(made->members);
        free(made);
        return SLUICE_INVALID;
    }
    *comm = (sluice_comm){.struct_size = sizeof *comm,
                          .rank = made->rank,
                          .size = made->size,
                          .node = made->node,
                          .user = made,
                          .all_gather = sl_mpi_all_gather,
                          .all_to_all = sl_mpi_all_to_all,
                          .isend = sl_mpi_isend,
                          .irecv = sl_mpi_irecv,
                          .poll = sl_mpi_poll,
                          .cancel = cancel,
                          .resume = resume};
    return SLUICE_OK;
}

/* ------------------------------------------------------------------------------------- a world */

/* A machine is called by the lowest rank on it. */
static bool find_nodes(MPI_Comm comm, int32_t rank, int32_t *node)
{
    MPI_Comm near = MPI_COMM_NULL;
    if (MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &near) != MPI_SUCCESS)
        return false;
    int32_t lowest = rank;
    bool ok = MPI_Allreduce(&rank, &lowest, 1, MPI_INT32_T, MPI_MIN, near) == MPI_SUCCESS &&
              MPI_Allgather(&lowest, 1, MPI_INT32_T, node, 1, MPI_INT32_T, comm) == MPI_SUCCESS;
    (void)MPI_Comm_free(&near);
    return ok;
}

static void free_world(sluice_comm_mpi *world)
{
    free(world->node);
    free(world->wire.lost);
    free(world);
}

static sluice_comm_mpi *make_world(int size, int rank)
{
    sluice_comm_mpi *world = calloc(1, sizeof *world);
    if (!world)
        return NULL;
    world->wire.rank = rank;
    world->wire.size = size;
    world->node = calloc((size_t)size, sizeof *world->node);
    world->wire.lost = calloc((size_t)size, sizeof *world->wire.lost);
    if (!world->node || !world->wire.lost) {
        free_world(world);
        return NULL;
    }
    return world;
}

sluice_comm_mpi *sluice_comm_mpi_create(MPI_Comm comm, const int32_t *node)
{
    int runs = 0, rank = 0, size = 0;
    if (MPI_Initialized(&runs) != MPI_SUCCESS || !runs ||
        MPI_Comm_rank(comm, &rank) != MPI_SUCCESS || MPI_Comm_size(comm, &size) != MPI_SUCCESS ||
        size > MOST_RANKS)
        return NULL;
    sluice_comm_mpi *world = make_world(size, rank);
    if (!world)
        return NULL;
    if (MPI_Comm_dup(comm, &world->wire.comm) != MPI_SUCCESS) {
        free_world(world);
        return NULL;
    }
    if (node)
        memcpy(world->node, node, (size_t)size * sizeof *node);
    if (MPI_Comm_set_errhandler(world->wire.comm, MPI_ERRORS_RETURN) != MPI_SUCCESS ||
        (!node && !find_nodes(world->wire.comm, rank, world->node)) ||
        pthread_mutex_init(&world->lock, NULL)) {
        (void)MPI_Comm_free(&world->wire.comm);
        free_world(world);
        return NULL;
    }
    return world;
}

static void drain(sluice_comm_mpi *world)
{
    int64_t deadline = sl_mpi_now() + DRAIN_NS;
    int32_t spins = 0;
    sl_wire_progress(&world->wire);
    while ((world->wire.out || world->wire.coming) && sl_mpi_now() < deadline) {
        sl_mpi_rest(&spins);
        sl_wire_progress(&world->wire);
    }
}

void sluice_comm_mpi_destroy(sluice_comm_mpi *world)
{
    int over = 0;
    if (!world)
        return;
    bool runs = MPI_Finalized(&over) == MPI_SUCCESS && !over;
    if (runs)
        drain(world);
    /* MPI_Comm_free may wait for all ranks, so it is left out where one is lost. */
    if (sl_wire_clear(&world->wire) && runs && !world->broken)
        (void)MPI_Comm_free(&world->wire.comm);
    while (world->requests) {
        struct request *next = world->requests->next;
        free(world->requests);
        world->requests = next;
    }
    while (world->groups) {
        struct group *next = world->groups->next;
        free(world->groups->members);
        free(world->groups);
        world->groups = next;
    }
    pthread_mutex_destroy(&world->lock);
    free_world(world);
}
