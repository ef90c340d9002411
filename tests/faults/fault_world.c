#include "fault_world.h"

#include "ct.h"
#include "ct_ranks.h"

static void meet(struct fault_world *world, bool leaves)
{
    pthread_mutex_lock(&world->lock);
    int32_t round = world->round;
    world->members -= leaves;
    world->come += !leaves;
    if (world->come == world->members) {
        world->come = 0;
        world->round++;
        (void)pthread_cond_broadcast(&world->change);
    }
    while (!leaves && round == world->round)
        pthread_cond_wait(&world->change, &world->lock);
    pthread_mutex_unlock(&world->lock);
}

void fault_together(struct fault_world *world)
{
    meet(world, false);
}

static void run_rank(int32_t number, void *argument)
{
    struct fault_world *world = argument;
    struct step_rank *rank = step_rank(&world->config, number);
    sluice_comm comm;
    world->all[number] = rank;
    if (!world->config.joins)
        sluice_comm_threads_get(world->group, number, &comm);
    else if (number == FAULT_RANKS - 1)
        comm = (sluice_comm){.struct_size = sizeof comm, .rank = number, .size = FAULT_RANKS};
    else
        sluice_comm_threads_get(world->fewer, number, &comm);
    bool opened = ct_expect_eq_i64(step_open(rank, &comm), SLUICE_OK);
    fault_together(world);
    if (opened)
        world->run(world, rank);
    meet(world, true);
    ct_api()->close(rank->context);
}

struct fault_world *fault_world(void)
{
    struct fault_world *world = ct_alloc(sizeof *world);
    step_config(&world->config, 60);
    return world;
}

void fault_world_run(struct fault_world *world,
                     void (*run)(struct fault_world *world, struct step_rank *rank))
{
    pthread_mutex_init(&world->lock, NULL);
    pthread_cond_init(&world->change, NULL);
    world->members = FAULT_RANKS;
    world->run = run;
    world->group = sluice_comm_threads_create(FAULT_RANKS, NULL);
    world->fewer = sluice_comm_threads_create(FAULT_RANKS - 1, NULL);
    ct_true(world->group != NULL && world->fewer != NULL);
    ct_run_ranks(FAULT_RANKS, run_rank, world);
    sluice_comm_threads_destroy(world->group);
    sluice_comm_threads_destroy(world->fewer);
    pthread_cond_destroy(&world->change);
    pthread_mutex_destroy(&world->lock);
}

void fault_expect(const struct step_rank *rank, sluice_status status, const char *part)
{
    ct_note("rank %d: %s", rank->number, rank->error);
    ct_eq_i64(rank->status, status);
    ct_str_has(rank->error, part);
}

void fault_recover(struct step_rank *rank, int64_t generation)
{
    ct_eq_i64(step_set(rank, generation, -1, NULL), SLUICE_OK);
    ct_note("rank %d: %s", rank->number, rank->error);
    ct_eq_i64(step_run(rank), SLUICE_OK);
    (void)step_expect_literal(rank);
}
