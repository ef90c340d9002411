/* Ranks as threads that do the same thing at the same time, and the exchange they do. */
#ifndef SL_BENCH_TEAM_H
#define SL_BENCH_TEAM_H

#include <pthread.h>

#include "../comm/comm_threads.h"
#include "bench.h"

enum {
    SL_TEAM_HIDDEN = 7168,
    SL_TEAM_TOP_K = 8,
    SL_TEAM_EXPERTS = 64,
    SL_TEAM_TOKENS = 256,
    SL_TEAM_RANKS = 8
};

enum sl_team_job {
    SL_TEAM_OPEN,
    SL_TEAM_PREPARE,
    SL_TEAM_EXACT, /* dispatch (count, send) and combine */
    SL_TEAM_FIXED, /* dispatch (fixed) and combine */
    SL_TEAM_DISPATCH,
    SL_TEAM_COMBINE, /* of the last DISPATCH */
    SL_TEAM_MEMCPY,
    SL_TEAM_STOP
};

struct sl_team_rank {
    struct sl_team *team;
    int32_t rank;
    pthread_t thread;
    sluice_context *context;
    sluice_comm comm;
    sluice_handle handle;
    int64_t exact_rows, fixed_rows;
    void *x, *rows, *out, *copy;
    struct sl_bench_tensor x_t, ids_t, weights_t, exact_t, fixed_t, out_t;
    char error[SL_BENCH_ERROR];
};

struct sl_team {
    struct sl_bench *bench;
    int32_t ranks, started;
    enum sl_team_job job;
    int64_t times;
    pthread_barrier_t begin, end;
    sluice_comm_threads *group;
    struct sl_team_rank all[SL_TEAM_RANKS];
};

int sl_team_start(struct sl_team *team, struct sl_bench *bench, int32_t ranks);
/* All ranks do the job so often; -1 with bench->error if one failed. */
int sl_team_run(struct sl_team *team, enum sl_team_job job, int64_t times);
void sl_team_stop(struct sl_team *team);
/* bench_rank.c: a rank's part of a job; rank->error if it fails. */
void sl_team_rank_do(struct sl_team_rank *rank, enum sl_team_job job, int64_t times);
void sl_team_rank_free(struct sl_team_rank *rank);

#endif
