/* Ranks as threads of one test. */
#ifndef CT_RANKS_H
#define CT_RANKS_H

#include "plugin.h"

typedef void ct_rank_fn(int32_t rank, void *argument);

/* Runs `run` once for each rank, all at the same time, and waits for all. */
void ct_run_ranks(int32_t ranks, ct_rank_fn *run, void *argument);

#endif
