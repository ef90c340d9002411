#include "ct_ranks.h"

#include <pthread.h>

#include "ct.h"

struct rank {
    int32_t number;
    ct_rank_fn *run;
    void *argument;
};

static void *start(void *argument)
{
    struct rank *rank = argument;
    rank->run(rank->number, rank->argument);
    return NULL;
}

void ct_run_ranks(int32_t ranks, ct_rank_fn *run, void *argument)
{
    struct rank all[64];
    pthread_t threads[64];
    ct_true(ranks >= 1 && ranks <= 64);
    for (int32_t r = 0; r < ranks; r++) {
        all[r] = (struct rank){r, run, argument};
        ct_eq_i64(pthread_create(&threads[r], NULL, start, &all[r]), 0);
    }
    for (int32_t r = 0; r < ranks; r++)
        pthread_join(threads[r], NULL);
}
