#include <string.h>

#include "bench_team.h"
#include "tool_file.h"

static void *serve(void *user)
{
    struct sl_team_rank *rank = user;
    struct sl_team *team = rank->team;
    for (;;) {
        (void)pthread_barrier_wait(&team->begin);
        if (team->job == SL_TEAM_STOP)
            return NULL;
        sl_team_rank_do(rank, team->job, team->times);
        (void)pthread_barrier_wait(&team->end);
    }
}

int sl_team_start(struct sl_team *team, struct sl_bench *bench, int32_t ranks)
{
    *team = (struct sl_team){.bench = bench, .ranks = ranks};
    team->group = sluice_comm_threads_create(ranks, NULL);
    if (!team->group)
        return sl_bench_no_memory(bench);
    (void)pthread_barrier_init(&team->begin, NULL, (unsigned)ranks + 1);
    (void)pthread_barrier_init(&team->end, NULL, (unsigned)ranks + 1);
    for (int32_t r = 0; r < ranks; r++) {
        struct sl_team_rank *rank = &team->all[r];
        rank->team = team;
        rank->rank = r;
        rank->comm.struct_size = sizeof rank->comm;
        sluice_comm_threads_get(team->group, r, &rank->comm);
        if (pthread_create(&rank->thread, NULL, serve, rank))
            return sl_tool_error(bench->error, sizeof bench->error, "cannot start a thread");
        team->started++;
    }
    return 0;
}

int sl_team_run(struct sl_team *team, enum sl_team_job job, int64_t times)
{
    team->job = job;
    team->times = times;
    (void)pthread_barrier_wait(&team->begin);
    (void)pthread_barrier_wait(&team->end);
    for (int32_t r = 0; r < team->ranks; r++)
        if (team->all[r].error[0])
            return sl_tool_error(team->bench->error, sizeof team->bench->error, "rank %d: %s", r,
                                 team->all[r].error);
    return 0;
}

void sl_team_stop(struct sl_team *team)
{
    if (!team->group || team->started < team->ranks)
        return; /* the barriers count all ranks: this team cannot be ended, but the program will */
    team->job = SL_TEAM_STOP;
    (void)pthread_barrier_wait(&team->begin);
    for (int32_t r = 0; r < team->ranks; r++)
        (void)pthread_join(team->all[r].thread, NULL);
    for (int32_t r = 0; r < team->ranks; r++)
        sl_team_rank_free(&team->all[r]);
    sluice_comm_threads_destroy(team->group);
    (void)pthread_barrier_destroy(&team->begin);
    (void)pthread_barrier_destroy(&team->end);
}
